import pytest

from cyrene_assets.evaluation.scoreboard.comparison import (
    ModelComparison,
    Value,
    dominates,
    headline,
    judge,
)
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.evaluation.statistics.bootstrap import TOO_FEW, Estimate


def compared(
    score: str, apart: Estimate, first: float = 0.6, second: float = 0.5, real: float | None = None
) -> ModelComparison:
    one, other = Value(first, None, None), Value(second, None, None)
    return judge(SCORES[score], one, other, apart, real)


@pytest.mark.parametrize(
    ("score", "value", "low", "high", "verdict"),
    [
        ("cloze", 0.1, 0.05, 0.15, "better"),
        ("cloze", -0.1, -0.15, -0.05, "worse"),
        ("loss", -0.1, -0.15, -0.05, "better"),
        ("rep4", 0.1, 0.05, 0.15, "worse"),
        ("cloze", 0.1, -0.01, 0.2, "same"),
        ("cloze", 0.1, None, None, "unknown"),
    ],
)
def test_verdict_follows_from_the_interval_of_the_difference(
    score: str, value: float, low: float | None, high: float | None, verdict: str
) -> None:
    assert compared(score, Estimate(value, low, high)).verdict == verdict


def test_description_of_a_comparison_has_its_numbers() -> None:
    told = compared("cloze", Estimate(0.1, 0.05, 0.15)).describe()
    assert told == "lore cloze 60.0% against 50.0%, +10.0 points [+5.0, +15.0]: better"
    near = compared("rep4", Estimate(-0.02, -0.03, -0.01), 0.04, 0.06, real=0.03).describe()
    assert near == (
        "rep-4 4.0% against 6.0% (real lines 3.0%), 2.0 points nearer [-3.0, -1.0]: better"
    )
    few = compared("loss", Estimate(0.1, note=TOO_FEW), 2.1, 2.0).describe()
    assert few.endswith(f"+0.100: {TOO_FEW}, so neither is called better")


BETTER = compared("cloze", Estimate(0.1, 0.05, 0.15))
WORSE = compared("loss", Estimate(0.1, 0.05, 0.15))
AHEAD = compared("style", Estimate(0.1, -0.1, 0.2))
BEHIND = compared("style", Estimate(-0.1, -0.2, 0.1))
UNKNOWN = compared("language", Estimate(0.1, note=TOO_FEW))


def test_headline_of_comparisons_names_every_score() -> None:
    assert headline([BETTER, AHEAD]) == (
        "Yes: better in lore cloze (+10.0 points); no significant difference in style"
    )
    both = headline([BETTER, WORSE, UNKNOWN])
    assert both == (
        "In part: better in lore cloze (+10.0 points); worse in loss (+0.100); too little data "
        "in language (+10.0 points)"
    )
    assert headline([WORSE]).startswith("No: ")
    assert headline([AHEAD]).startswith("No difference: ")
    assert headline([UNKNOWN]).startswith("Unknown: ")


def test_dominates_takes_one_significant_lead_and_no_setback() -> None:
    assert dominates([BETTER, AHEAD])
    assert not dominates([AHEAD])
    assert not dominates([BETTER, BEHIND])
    assert not dominates([BETTER, WORSE])
    assert not dominates([])
