from dataclasses import replace

import numpy as np
import pytest

from cyrene_assets.evaluation.scoreboard.comparison import (
    ModelComparison,
    Value,
    as_family,
    headline,
    judge,
)
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.evaluation.statistics.bootstrap import TOO_FEW, Estimate, mean


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
        # Certain, and too small to be worth naming.
        ("style", 1e-6, 1e-6, 1e-6, "level"),
        ("style", 0.015, 0.01, 0.025, "same"),
        ("style", 0.015, -0.02, 0.05, "same"),
        ("style", 0.0, -0.019, 0.019, "level"),
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


def test_verdicts_of_a_family_hold_together() -> None:
    """One of eight with a p-value of 0.02 is not significant, alone it is; one of 0.001 is both."""
    # The p-values of 0.1 are 2 * (1 - Phi(1.96 * 0.1 / reach)), Phi(2.326) = 0.99, Phi(3.29) =
    # 0.9995: a reach of 0.1 * 1.96 / 2.326 = 0.0843, and one of 0.0596.
    weak, strong = (
        compared("cloze", Estimate(0.1, 0.1 - reach, 0.1 + reach)) for reach in (0.0843, 0.0596)
    )
    none = compared("style", Estimate(0.0, -0.1, 0.1))
    assert (weak.verdict, strong.verdict) == ("better", "better")
    family = as_family([weak, strong, *[none] * 6])
    assert [one.verdict for one in family] == ["same", "better", *["same"] * 6]
    assert family[0].describe().endswith(": not significant as one of 8 comparisons")
    # What has no interval makes no claim, so it does not count.
    alone = as_family([weak, *[UNKNOWN] * 7])
    assert [one.verdict for one in alone] == ["better", *["unknown"] * 7]


def test_description_says_why_a_certain_difference_is_not_named() -> None:
    small = compared("style", Estimate(0.015, 0.01, 0.025)).describe()
    assert small.endswith(": less than 0.020, too little to name")
    level = compared("rep4", Estimate(0.001, -0.002, 0.004), real=0.03).describe()
    assert level.endswith(": level, within 1.0 points")


def test_languages_that_one_of_both_lacks_are_named_in_the_line_and_in_the_sentence() -> None:
    silent = replace(BETTER, only_second=("kr", "th"))
    assert silent.describe().endswith(
        "[+5.0, +15.0], without kr, th (the first has no value there): better"
    )
    assert headline([silent, AHEAD]) == (
        "Yes: better in lore cloze (+10.0 points); no significant difference in style; compared "
        "without kr, th, where the first has no value of lore cloze"
    )
    assert headline([silent]).endswith("; compared without kr, th, where the first has no value")


def test_a_training_that_changed_nothing_is_rarely_headlined() -> None:
    """Of 200 sentences about 8 equal scores of 30 scenes, alone 34% would begin with a verdict.

    At 5% each, 18 or more of 200 happen in 1.2% of cases.
    """
    rng = np.random.default_rng(3)
    scores = ("cloze", "style", "regurgitation_excess", "rep4", "language", "loss", "empty", "gap")
    begins = []
    for _ in range(200):
        drawn = rng.normal(0, 1, (len(scores), 30))
        apart = [mean(values, range(30)) for values in drawn]
        family = as_family([compared(*one) for one in zip(scores, apart, strict=True)])
        begins.append(headline(family).split(":")[0])
    assert sum(lead in ("Yes", "No", "In part") for lead in begins) < 18
