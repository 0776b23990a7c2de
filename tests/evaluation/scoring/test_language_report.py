"""Scores of complete runs: known answers, and input that is odd."""

import json
from pathlib import Path

import polars as pl
import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.scoring.language_report import LanguageReport, report_language
from cyrene_assets.evaluation.scoring.per_answer import REAL_LINES
from cyrene_assets.evaluation.scoring.run_tables import ModelTables, Run, collect
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from evaluation.evaluated import (
    LANGUAGES,
    PROFILE,
    TRAINED,
    generations,
    prompts,
    run,
    tables,
    units,
)


def report(run_of: Run, language: str = "en") -> LanguageReport:
    return report_language(run_of, units, LANGUAGES, language, PROFILE)


def value(reported: LanguageReport, score: str, model: str = "fp8") -> float | None:
    row = reported.scores.filter(score=score, model=model).row(0, named=True)
    assert (row["value"] is None) <= (row["note"] is not None), row
    found: float | None = row["value"]
    return found


def fresh(scene: int) -> str:
    return f"the ferry leaves at {scene} with the goat, so hurry down to the quay now"


def test_a_copied_corpus_scores_1_on_regurgitation_and_the_real_lines_0() -> None:
    copied = report(run(lambda scene: TRAINED[scene]))
    assert value(copied, "regurgitation") == 1
    assert value(copied, "regurgitation", REAL_LINES) == 0
    assert value(copied, "regurgitation_excess") == 1
    assert value(report(run(fresh)), "regurgitation") == 0


def test_a_looping_model_fails_repetition() -> None:
    looping = report(run(lambda _: "I am waiting. " * 60, finish_reason="length"))
    assert value(looping, "rep4") == pytest.approx(1, abs=0.05)
    assert value(looping, "loop_rate") == value(looping, "limit_rate") == 1
    assert value(looping, "loop_rate", REAL_LINES) == 0


def test_an_english_answer_to_a_thai_prompt_fails_language_consistency() -> None:
    asked = prompts(("th",))
    thai = Run(asked, generations(fresh, asked=asked), tables())
    assert value(report(thai, "th"), "language") == 0


def test_scores_have_intervals_and_every_score_is_in_the_catalog() -> None:
    reported = report(run(fresh))
    own = reported.scores.filter(model="fp8")
    # What two models say of the same lines is measured where the quantized one is made.
    measured = {"greedy_agreement", "mean_kl", "dialog_perplexity"}
    assert set(own["score"]) == SCORES.keys() - measured
    row = own.filter(score="echo").row(0, named=True)
    assert row["low"] <= row["value"] <= row["high"]
    told = own.filter(pl.col("value").is_null())
    assert told["note"].null_count() == 0


def test_models_without_sampling() -> None:
    reported = report(run(fresh))
    assert value(reported, "loss", "base") == pytest.approx(3.025)
    assert value(reported, "gap", "base") == pytest.approx(0.2 / 3.025)
    assert value(reported, "cloze") == 1
    assert value(reported, "cloze", "base") == 0
    assert value(reported, "extraction") == 1
    assert value(reported, "extraction", "base") == 0
    assert value(reported, "question_form") == 0
    assert value(reported, "question_form", "base") == pytest.approx(100 * 4 / 9)


@pytest.mark.parametrize("text", ["", None, " \n"])
def test_empty_answers_are_named_and_never_a_zero(text: str | None) -> None:
    reported = report(run(lambda _: text))
    assert value(reported, "empty") == 1
    for score in (
        "regurgitation",
        "rep4",
        "echo",
        "language",
        "style",
        "think_leaks",
        "length_ratio",
    ):
        assert value(reported, score) is None, score


def test_a_hundred_thousand_characters_from_a_model_that_never_stops() -> None:
    endless = "and so it goes on " * 6000
    reported = report(run(lambda scene: fresh(scene) if scene else endless, models=("fp8",)))
    assert value(reported, "loop_rate") == 1 / 8
    assert reported.examples["text"].str.len_chars().max() == 2000
    assert reported.examples["characters"].max() == len(endless) > 100_000


def test_a_language_without_a_held_out_scene_is_named() -> None:
    reported = report(run(fresh), "th")
    assert reported.examples.is_empty()
    assert set(reported.scores["score"]) >= {"loss", "cloze", "extraction"}
    assert reported.scores["value"].null_count() == len(reported.scores)
    assert reported.scores["note"].null_count() == 0


def test_one_scene_and_one_answer_are_scored() -> None:
    asked = prompts(scenes=1)
    reported = report(Run(asked, generations(fresh, asked=asked), tables()))
    assert value(reported, "regurgitation") == 0
    row = reported.scores.filter(score="regurgitation", model="fp8").row(0, named=True)
    assert row["note"].startswith("no interval")


def test_a_corpus_without_the_character_still_scores_the_rest() -> None:
    def nobody(language: str) -> pl.DataFrame:
        return units(language).with_columns(role=pl.lit("narration"))

    reported = report_language(run(fresh), nobody, LANGUAGES, "en", PROFILE)
    assert value(reported, "style") is None
    assert value(reported, "regurgitation") == 0


def test_a_language_with_a_code_of_its_own() -> None:
    asked = prompts(("xq7",))
    one = Run(asked, generations(lambda scene: TRAINED[scene], asked=asked), tables())
    reported = report_language(
        one, units, {key: traits(key) for key in ("en", "xq7")}, "xq7", PROFILE
    )
    assert value(reported, "regurgitation") == 1
    assert value(reported, "assistant") is None


def test_the_best_and_the_worst_answers_are_shown_with_what_was_memorized() -> None:
    reported = report(run(lambda scene: TRAINED[scene] if scene < 3 else fresh(scene)))
    shown = reported.examples.filter(score="regurgitation")
    # The fourth of the worst would be as good as the best.
    assert shown["side"].to_list() == ["best"] * 4 + ["worst"] * 3
    assert shown["value"].to_list() == [0, 0, 0, 0, 1, 1, 1]
    worst = shown.row(4, named=True)
    assert worst["spans"] == [[0, len(worst["text"])]]
    assert worst["user"] == "<b>Is the lamp lit?</b>"


def test_the_program_s_lines_become_tables(tmp_path: Path) -> None:
    answers = generations(fresh).drop("model").to_dicts()
    lines = {
        "generations": [{"model": "fp8", **row} for row in answers],
        "losses": [{"model": "fp8", "text_id": "t", "tokens": 3, "nll": 1.5}],
        "cloze": [
            {"model": "fp8", "cloze": "c", "true": -1, "swapped": -2, "name": -3, "other": -4}
        ],
        "extraction": [],
    }
    for name, rows in lines.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    texts = pl.DataFrame({"text_id": "t", "language": "en", "split": "train", "scene": "d"})
    pairs = pl.DataFrame(
        {"cloze": "c", "language": "en", "scene": "s", "text": "Ada", "name": "Ada", "other": "Bo"}
    )
    found = collect(tmp_path, prompts(), texts, pairs)
    assert not list(tmp_path.glob("*.jsonl"))
    assert len(found.generations) == len(answers)
    assert found.tables.losses.row(0, named=True)["scene"] == "d"
    assert found.tables.cloze.row(0, named=True)["true_name"] == "Ada"
    assert found.tables.extraction.is_empty()
    assert found.tables.questions.is_empty()
    assert found.generations["user"][0] == "<b>Is the lamp lit?</b>"


def test_what_each_scene_gives_adds_up_to_the_score() -> None:
    reported = report(run(lambda scene: TRAINED[scene] if scene < 3 else fresh(scene)))
    told = {"style", "language", "loss", "cloze", "rep4", "length_ratio", "regurgitation"}
    for score in told:
        rows = reported.scenes.filter(score=score, model="fp8")
        assert rows["scene"].str.contains("^[sd][0-9]$").all(), score
        value_of_sums = float(rows["top"].to_numpy().sum() / rows["bottom"].to_numpy().sum())
        assert value_of_sums == pytest.approx(value(reported, score)), score
    scenes = reported.scenes.filter(score="regurgitation", model="fp8").sort("scene")
    assert (scenes["top"] > 0).to_list() == [True] * 3 + [False] * 5


def test_likelihoods_that_are_no_numbers_are_named() -> None:
    known = tables()
    broken = ModelTables(
        known.losses.with_columns(nll=pl.when(model="fp8").then(None).otherwise("nll")),
        known.cloze.with_columns(true=pl.when(model="fp8").then(float("nan")).otherwise("true")),
        known.extraction,
        known.questions,
    )
    reported = report(Run(prompts(), generations(fresh), broken))
    for score in ("loss", "gap", "perplexity", "cloze"):
        assert value(reported, score) is None
        assert value(reported, score, "base") is not None
    (note,) = reported.scores.filter(score="loss", model="fp8")["note"]
    assert note == "12 of 12 texts have no finite likelihood"


def test_a_model_that_answered_nothing_in_a_language_is_named() -> None:
    """It may have failed halfway, or have been prompted under fewer profiles."""
    asked = prompts(("en", "th"))
    both = generations(fresh, asked=asked, profiles=(PROFILE, "greedy"))
    here = (pl.col("language") == "th") & (pl.col("model") == "fp8")
    for missing in (here, here & (pl.col("profile") == PROFILE)):
        reported = report(Run(asked, both.filter(~missing), tables()), "th")
        silent = reported.scores.filter(score="rep4", model="fp8", profile=PROFILE)
        assert silent["value"].to_list() == [None]
        assert silent["note"].to_list() == ["no answer to any of the prompts in this language"]
        assert value(reported, "rep4", "base") is not None


def test_without_training_text_nothing_is_said_to_be_new() -> None:
    def untrained(language: str) -> pl.DataFrame:
        return units(language).filter(pl.col("split") != "train")

    reported = report_language(run(fresh), untrained, LANGUAGES, "en", PROFILE)
    for score in ("regurgitation", "regurgitation_excess", "longest_match", "style"):
        assert value(reported, score) is None, score
