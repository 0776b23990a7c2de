"""A score is one row: it is measured, averaged, reported, documented and shown without an edit."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from score_reference import reference

from cyrene_assets.corpus.chat_tables import encode_chats
from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.identity import ReportIdentity
from cyrene_assets.evaluation.metrics.reference import read_reference
from cyrene_assets.evaluation.scoreboard import html, markdown
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.results import EvaluationResult, SceneScores
from cyrene_assets.evaluation.scoreboard.table import scoreboard_table
from cyrene_assets.evaluation.scoring import scores
from cyrene_assets.evaluation.scoring.answer_texts import AnswerTexts, Floats
from cyrene_assets.evaluation.scoring.language_report import report_language
from cyrene_assets.evaluation.scoring.score_registry import SCORES, Score
from evaluation.evaluated import LANGUAGES, PROFILE, run, units


def shouting(answers: AnswerTexts) -> Floats:
    return answers.where_text([float(text.isupper()) for text in answers.texts])


ROW = Score(
    "shouting", "Shouting", "low", "share", "Answers in capital letters alone", "Names are too",
    example_column="shouting", averaged=True, measure=shouting,
)  # fmt: skip


@pytest.fixture
def one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry with a row more."""
    monkeypatch.setitem(SCORES, ROW.name, ROW)


def test_score_added_as_one_row_is_in_report_board_page_document_and_examples(
    one_more: None, tmp_path: Path
) -> None:
    answers = run(lambda n: f"THE FERRY {n}" if n % 2 else f"the ferry {n}")
    report = report_language(answers, units, LANGUAGES, "en", PROFILE)
    rows = report.scores.filter(score="shouting")
    values = dict(rows.filter(profile=PROFILE).select("model", "value").iter_rows())
    assert values == {"base": 0.5, "fp8": 0.5}
    assert rows["low"].null_count() == 0
    assert rows.filter(model="real lines")["value"].to_list() == [0.0]
    assert set(report.examples.filter(score="shouting")["side"]) == {"best", "worst"}
    encode_chats(answers.prompts).write_parquet(tmp_path / "prompts.parquet")
    answers.generations.write_parquet(tmp_path / "generations.parquet")
    report.write(tmp_path)
    digests = {"base": "b0", "fp8": "f8"}
    identity = ReportIdentity("Mini", "c0ffee", "tiny", "mine", "base", PROFILE, (), digests)
    result = EvaluationResult(identity, report.scores, report.examples, tmp_path, tmp_path)
    table = scoreboard_table([result])
    assert table.filter(score="shouting", model="fp8", language=scores.MEAN)["value"][0] == 0.5
    page = html.scoreboard_html(Scoreboard(table, SceneScores([result])), table, [result])
    assert "Shouting" in page
    assert "Answers in capital letters alone" in page
    assert "50.0%" in page
    shown = markdown.profile_table(report.scores, PROFILE)
    assert "shouting" in shown["score"].to_list()
    assert (
        "| Shouting | less is better | 1.0 points | Answers in capital letters alone |"
        in reference()
    )


def test_registry_names_each_score_once_and_measures_what_it_averages() -> None:
    assert all(name == score.name for name, score in SCORES.items())
    assert all(score.measure is not None for score in SCORES.values() if score.averaged)
    assert set(markdown.OVERVIEW) <= set(SCORES)


def test_measure_of_an_empty_answer_has_no_value() -> None:
    reference_of = read_reference(units, {"en": traits("en")}, "en")
    answers = AnswerTexts([""], [()], reference_of, LANGUAGES, lambda key: pl.Series(["tea"]))
    for score in SCORES.values():
        if score.measure is not None and score.name != "empty":
            assert np.isnan(score.measure(answers)).all(), score.name
