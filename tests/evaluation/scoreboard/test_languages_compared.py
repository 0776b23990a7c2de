"""Two models that answered in different languages, and the red flags of their trainings."""

from pathlib import Path

import polars as pl
import pytest

from cyrene_assets.evaluation.identity import ReportIdentity
from cyrene_assets.evaluation.scoreboard import pareto
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.results import EvaluationResult, SceneScores
from cyrene_assets.evaluation.scoreboard.summary import summarize
from cyrene_assets.evaluation.scoreboard.table import scoreboard_table
from cyrene_assets.evaluation.scoring.run_tables import CURVES, CURVES_SCHEMA
from cyrene_assets.evaluation.scoring.scores import EXAMPLES, SCENES, SCENES_SCHEMA, SCHEMA

PROFILE = "adopted"
SCENES_EACH = 8


def report(folder: Path, recipe: str, shares: dict[str, dict[str, float | None]]) -> None:
    """Write a report of ``score: share`` by language, each scene of 100 answers alike."""
    folder.mkdir(exist_ok=True)
    rows, scenes = [], []
    for model in ("real lines", "fp8"):
        for language, scores in shares.items():
            for score, share in scores.items():
                value = 0.9 if model == "real lines" else share
                profile = PROFILE if model == "fp8" else "-"
                row = {"model": model, "profile": profile, "language": language, "score": score}
                rows.append(row | {"value": value, "low": value, "high": value, "count": 8})
                if value is not None:
                    scenes += [
                        row | {"scene": f"s{n}", "top": 100 * value, "bottom": 100.0}
                        for n in range(SCENES_EACH)
                    ]
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(folder / "scores.parquet")
    pl.DataFrame(scenes, schema=SCENES_SCHEMA).write_parquet(folder / SCENES)
    pl.DataFrame().write_parquet(folder / EXAMPLES)


def read(folder: Path, recipe: str) -> EvaluationResult:
    identity = ReportIdentity(
        "Mini", "c0ffee", "4B", recipe, "base", PROFILE, (), {"fp8": f"{recipe}0000000000"}
    )
    return EvaluationResult.read(folder, folder, identity)


def board(folder: Path, **recipes: dict[str, dict[str, float | None]]) -> Scoreboard:
    for recipe, shares in recipes.items():
        report(folder / recipe, recipe, shares)
    results = [read(folder / recipe, recipe) for recipe in recipes]
    return Scoreboard(scoreboard_table(results), SceneScores(results))


def in_language(*shares: float | None) -> dict[str, dict[str, float | None]]:
    """Return the scores of a model in English, and in Thai if a second share is given."""
    return {
        language: {"language": share, "empty": None if share is None else 0.0}
        for language, share in zip(("en", "th"), shares, strict=False)
    }


def test_values_and_difference_are_over_the_languages_that_both_have(tmp_path: Path) -> None:
    """.8 in English for both; .4 in Thai, where the other says nothing, is not in the sentence."""
    found = board(tmp_path, silent=in_language(0.8, None), both=in_language(0.8, 0.4))
    silent, both = (found.find_models(recipe=name)[0] for name in ("silent", "both"))
    own = found.value(both, "language")
    assert own is not None
    assert own.value == pytest.approx(0.6)
    (told,) = found.compare(silent, both, ["language"])
    assert (told.first.value, told.second.value, told.difference.value) == pytest.approx(
        (0.8, 0.8, 0)
    )
    assert told.verdict == "level"
    assert (told.only_first, told.only_second) == ((), ("th",))
    assert "without th (the first has no value there)" in told.describe()


def test_better_in_what_both_have_is_better_and_the_gap_is_named(tmp_path: Path) -> None:
    """.9 against .7 in English: 20 points, not the 45 of .9 against the mean of .7 and .2."""
    found = board(tmp_path, silent=in_language(0.9, None), both=in_language(0.7, 0.2))
    silent, both = (found.find_models(recipe=name)[0] for name in ("silent", "both"))
    (told,) = found.compare(silent, both, ["language"])
    assert told.describe_difference() == "+20.0 points"
    assert told.verdict == "better"


def test_model_silent_in_a_language_beats_nobody_who_speaks_it(tmp_path: Path) -> None:
    """Ahead in English by 20 points and level in the rest: it wins unless it is silent in Thai."""

    def axes(lore: float, *languages: str, silent: str = "") -> dict[str, dict[str, float | None]]:
        shares = {"cloze": lore, "style": 0.5, "regurgitation_excess": 0.01, "empty": 0.0}
        return {
            language: {name: None if language == silent else x for name, x in shares.items()}
            for language in languages
        }

    found = board(
        tmp_path,
        silent=axes(0.9, "en", "th", silent="th"),
        speaks=axes(0.9, "en", "th"),
        behind=axes(0.7, "en", "th"),
    )
    chosen = {one.key.recipe: one for one in pareto.candidates(found, found.trained())}
    assert [rival.recipe for rival in chosen["behind"].dominated_by] == ["speaks"]
    assert chosen["silent"].best
    assert found.silent_in(chosen["silent"].key) == ["th"]


def test_models_without_a_common_language_are_not_compared(tmp_path: Path) -> None:
    found = board(tmp_path, thai=in_language(None, 0.9), english=in_language(0.7))
    thai, english = (found.find_models(recipe=name)[0] for name in ("thai", "english"))
    assert found.compare(thai, english, ["language"]) == []


def test_silence_in_a_language_is_a_warning(tmp_path: Path) -> None:
    found = board(tmp_path, silent=in_language(0.9, None), both=in_language(0.9, 0.9))
    (line,) = summarize(found).warnings
    assert line == "4B fp8 silent: gave no answer in th, so it is not compared there"


def test_model_is_measured_by_the_real_lines_of_its_own_languages(tmp_path: Path) -> None:
    """.88 in English next to .9 is no warning, whatever the real lines are in Thai."""
    found = board(tmp_path, silent=in_language(0.88, None), both=in_language(0.9, 0.9))
    assert not any("another language" in line for line in summarize(found).warnings)


@pytest.mark.parametrize(
    ("losses", "warned"),
    [
        # Lowest at the third of ten evaluations, 2% above it at the end: 70% of the run ago.
        ([2.0, 1.5, 1.0, *[1.02] * 7], "lowest at step 30 of 100 and ended 2.0% above that"),
        # Lowest at the ninth, but 6% above it at the end.
        ([2.0] * 8 + [1.0, 1.06], "lowest at step 90 of 100 and ended 6.0% above that"),
        # 2% above the lowest, which was only 20% of the run ago.
        ([2.0] * 7 + [1.0, 1.01, 1.02], ""),
        ([2.0] * 9 + [1.0], ""),
    ],
)
def test_validation_loss_that_did_not_recover_is_a_red_flag(
    tmp_path: Path, losses: list[float], warned: str
) -> None:
    report(tmp_path / "mine", "mine", in_language(0.9))
    pl.DataFrame(
        [
            {"step": 10 * n, "eval_loss": loss, "stage": "lora_adapter", "chosen": 30}
            for n, loss in enumerate(losses, 1)
        ],
        schema=CURVES_SCHEMA,
    ).write_parquet(tmp_path / "mine" / CURVES)
    results = [read(tmp_path / "mine", "mine")]
    warnings = summarize(Scoreboard(scoreboard_table(results), SceneScores(results))).warnings
    said = f"4B fp8: the validation loss of its fine-tuning was {warned}, a red flag"
    assert warnings == ((said,) if warned else ())
