"""Tables that leave their module have the columns of the schema that it names."""

import json
from pathlib import Path

import polars as pl
import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.identity import ReportIdentity
from cyrene_assets.evaluation.inputs import loss_texts, prompts, questions
from cyrene_assets.evaluation.metrics import cloze, training_losses
from cyrene_assets.evaluation.metrics.reference import read_reference
from cyrene_assets.evaluation.scoreboard import table
from cyrene_assets.evaluation.scoreboard.results import EvaluationResult
from cyrene_assets.evaluation.scoring import example_selection, per_answer, run_tables, scores
from cyrene_assets.evaluation.scoring.language_report import report_language
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from evaluation import evaluated
from evaluation.evaluated import LANGUAGES, PROFILE

ENGLISH = {"en": traits("en")}


def chats() -> pl.DataFrame:
    messages = [
        {"role": "system", "content": "You are Ovelle."},
        {"role": "user", "content": "Is the lamp lit?"},
        {"role": "assistant", "content": "It is lit, my dear."},
    ]
    return pl.DataFrame(
        {
            "chat": "c", "scene": "s", "split": "validation", "language": "en",
            "messages": [messages],
        }
    )  # fmt: skip


def documents() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "document": f"d{split}", "scene": split, "kind": "dialog", "split": split,
            "text": "The ferry leaves at six.", "language": "en",
        }
        for split in ("train", "validation")
    )  # fmt: skip


def test_inputs_have_their_schemas() -> None:
    assert prompts.select_prompts(chats(), 5).schema == prompts.SCHEMA
    assert prompts.select_prompts(chats().clear(), 5).schema == prompts.SCHEMA
    asked = questions.select_questions(ENGLISH, {"en": "You are Ovelle."}, 2)
    assert asked.schema == prompts.SCHEMA
    assert len(asked) == 2
    texts = loss_texts.select_texts(documents(), 5, 100)
    assert texts.schema == loss_texts.SCHEMA
    assert len(texts) == 2
    assert loss_texts.formal_texts(ENGLISH).schema == loss_texts.SCHEMA
    assert cloze.select_pairs(evaluated.units("en"), "en", traits("en"), 3).schema == cloze.SCHEMA


@pytest.mark.parametrize("written", [True, False])
def test_collected_tables_have_their_schemas_also_without_rows(
    tmp_path: Path, written: bool
) -> None:
    rows = {
        "generations": evaluated.generations(lambda n: f"it is {n}").to_dicts(),
        "losses": [{"model": "fp8", "text_id": "t", "tokens": 3, "nll": 1.5}],
        "cloze": [
            {"model": "fp8", "cloze": "c", "true": -1, "swapped": -2, "name": -3, "other": -4}
        ],
        "extraction": [{"model": "fp8", "text_id": "t", "asked": 50, "matched": 2}],
        "questions": [{"model": "fp8", "question": "q", "language": "en", "text": "6"}],
    }  # fmt: skip
    for name, lines in rows.items() if written else ():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    texts = loss_texts.select_texts(documents(), 5, 100)
    found = run_tables.collect(tmp_path, evaluated.prompts(), texts, cloze.SCHEMA.to_frame())
    assert found.prompts.schema == prompts.SCHEMA
    assert found.generations.schema == run_tables.GENERATIONS_SCHEMA
    assert found.tables.losses.schema == run_tables.LOSSES_SCHEMA
    assert found.tables.cloze.schema == run_tables.CLOZE_SCHEMA
    assert found.tables.extraction.schema == run_tables.EXTRACTION_SCHEMA
    assert found.tables.questions.schema == run_tables.QUESTIONS_SCHEMA
    assert [len(table) > 0 for table in vars(found.tables).values()] == [written] * 4


def test_measured_answers_have_their_schema_and_a_column_of_each_measured_score() -> None:
    run = evaluated.run(lambda n: f"the ferry leaves at {n}")
    answers = per_answer.measure_answers(
        run.generations,
        run.prompts,
        read_reference(evaluated.units, ENGLISH, "en"),
        ENGLISH,
        lambda key: evaluated.units(key)["text"],
    )
    measured = {score.name: pl.Float64() for score in SCORES.values() if score.measure is not None}
    assert dict(answers.table.schema) == dict(per_answer.ANSWERS_SCHEMA) | measured


def test_report_and_scoreboard_have_their_schemas(tmp_path: Path) -> None:
    run = evaluated.run(lambda n: f"the ferry leaves at {n}")
    report = report_language(run, evaluated.units, LANGUAGES, "en", PROFILE)
    assert report.scores.schema == scores.SCHEMA
    assert report.scenes.schema == scores.SCENES_SCHEMA
    assert report.examples.schema == example_selection.SCHEMA
    identity = ReportIdentity("Mini", "c0ffee", "tiny", "mine", "base", PROFILE, ("a", "b"), {})
    identity.write(tmp_path)
    assert ReportIdentity.read(tmp_path) == identity
    result = EvaluationResult(identity, report.scores, report.examples, tmp_path, tmp_path)
    assert table.scoreboard_table([result]).schema == table.SCHEMA


def test_losses_of_a_training_have_their_schemas(tmp_path: Path) -> None:
    log = tmp_path / "losses.jsonl"
    log.write_text('{"step": 1, "loss": 2.0}\n{"step": 1, "language": "en", "eval_loss": 3.0}\n')
    losses = training_losses.read_losses(log)
    assert losses.schema == training_losses.SCHEMA
    assert training_losses.read_language_losses(log).schema == training_losses.LANGUAGE_SCHEMA
