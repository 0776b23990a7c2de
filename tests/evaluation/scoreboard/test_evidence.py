"""What is said before there are enough scenes for a verdict."""

import numpy as np
import pytest
from scipy import stats

from cyrene_assets.evaluation.scoreboard.comparison import ModelComparison, Value, judge
from cyrene_assets.evaluation.scoreboard.evidence import USEFUL_SCENES, verdict
from cyrene_assets.evaluation.scoreboard.glossary import WORDS
from cyrene_assets.evaluation.scoreboard.plot_style import DARK, LIGHT, in_both_themes, new_figure
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.evaluation.statistics.bootstrap import TOO_FEW, Estimate


def compared(
    score: str, first: float, second: float, scenes: int = 2, reference: float | None = None
) -> ModelComparison:
    difference = first - second
    if reference is not None:
        difference = abs(first - reference) - abs(second - reference)
    values = (Value(first, None, None), Value(second, None, None))
    estimate = Estimate(difference, count=scenes, note=TOO_FEW)
    return judge(SCORES[score], *values, estimate, reference)


def test_too_few_scenes_say_why_what_helps_and_what_was_seen() -> None:
    said = verdict(
        [
            compared("language", 1.0, 0.077),
            compared("loss", 6.474, 9.063),
            compared("style", 0.3, 0.4),
            compared("rep4", 0.2, 0.1, reference=0.0),
            compared("cloze", 0.5, 0.5),
        ]
    )
    assert said == (
        "Too early to tell: 2 held-out scenes, and a verdict takes 6 at least, about 12 to be "
        "useful. Add scenes to the corpus, or raise split.validation in corpus.yaml. So far it "
        "looks better in language (100% against 7.7%), loss (6.474 against 9.063); looks worse in "
        "style (0.300 against 0.400), rep-4 (20.0% against 10.0%); is level in lore cloze (50.0% "
        "against 50.0%)"
    )


@pytest.mark.parametrize(
    ("scenes", "said"), [(1, "1 held-out scene,"), (0, "few held-out scenes,")]
)
def test_the_number_of_scenes_is_said_where_it_is_known(scenes: int, said: str) -> None:
    assert said in verdict([compared("loss", 1.0, 2.0, scenes)])


def test_one_verdict_is_enough_for_the_usual_sentence() -> None:
    values = (Value(6.0, None, None), Value(9.0, None, None))
    known = judge(SCORES["loss"], *values, Estimate(-3.0, -4.0, -2.0, 12))
    said = verdict([known, compared("style", 0.4, 0.2)])
    assert said == "Yes: better in loss (-3.000); too little data in style (+0.200)"


def test_the_useful_number_of_scenes_finds_a_difference_of_nine_tenths_of_its_deviation() -> None:
    def power(scenes: int) -> float:
        limit = stats.t.ppf(0.975, scenes - 1)
        shift = 0.9 * np.sqrt(scenes)
        return float(
            stats.nct.sf(limit, scenes - 1, shift) + stats.nct.cdf(-limit, scenes - 1, shift)
        )

    assert power(USEFUL_SCENES) >= 0.8 > power(USEFUL_SCENES - 1)


def test_a_dark_picture_has_the_dark_theme_s_colours_alone() -> None:
    def draw(theme: object) -> object:
        assert theme is LIGHT
        figure, axes = new_figure(LIGHT, 3, 3)
        axes.plot([1, 2], [1, 2], color=LIGHT.colours[0])
        return figure

    images = in_both_themes(draw)  # type: ignore[arg-type]
    assert images is not None
    light, dark = images
    assert LIGHT.colours[0].encode() in light
    assert DARK.colours[0].encode() in dark
    assert not [colour for colour in set(LIGHT.all_colours()) if colour.encode() in dark]


def test_the_words_of_the_first_table_are_explained() -> None:
    explained = " ".join(WORDS).lower()
    for word in ("lore cloze", "rep-4", "excess regurgitation", "distinct-2", "self-bleu", "nats",
                 "gap", "profile", "one half"):  # fmt: skip
        assert word in explained
