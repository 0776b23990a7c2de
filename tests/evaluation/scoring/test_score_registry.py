"""A score is one row: it is measured, averaged, reported and shown without another edit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from cyrene_assets.corpus.chat_tables import encode_chats
from cyrene_assets.evaluation.scoreboard import board, markdown
from cyrene_assets.evaluation.scoreboard import html as page
from cyrene_assets.evaluation.scoreboard.board import Evaluated
from cyrene_assets.evaluation.scoreboard.comparison import Board
from cyrene_assets.evaluation.scoring import example_selection, per_answer, score_registry, scores
from cyrene_assets.evaluation.scoring.language_report import report_language
from cyrene_assets.evaluation.scoring.score_registry import SCORES, Score
from evaluation.evaluated import LANGUAGES, PROFILE, run, units


def shouting(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([float(text.isupper()) if text else np.nan for text in texts])


ROW = Score(
    "shouting", "Shouting", "low", "share", "Answers in capital letters alone", "Names are too",
    answer="shouting", averaged=True, measure=shouting,
)  # fmt: skip


@pytest.fixture
def one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry with a row more."""
    rows = (*SCORES, ROW)
    for module in (per_answer, score_registry, example_selection, page, scores):
        monkeypatch.setattr(module, "SCORES", rows)
    monkeypatch.setitem(score_registry.BY_NAME, ROW.name, ROW)
    monkeypatch.setitem(board._SCORE_RANKS, ROW.name, len(SCORES))


def test_score_added_as_one_row_is_in_report_board_page_and_examples(
    one_more: None, tmp_path: Path
) -> None:
    said = run(lambda n: f"THE FERRY {n}" if n % 2 else f"the ferry {n}")
    found = report_language(said, units, LANGUAGES, "en", PROFILE)
    own = found.scores.filter(score="shouting")
    values = dict(own.filter(profile=PROFILE).select("model", "value").iter_rows())
    assert values == {"base": 0.5, "fp8": 0.5}
    assert own.filter(model="real lines")["value"].to_list() == [0.0]
    assert set(found.examples.filter(score="shouting")["side"]) == {"best", "worst"}
    encode_chats(said.prompts).write_parquet(tmp_path / "prompts.parquet")
    said.generations.write_parquet(tmp_path / "generations.parquet")
    found.write(tmp_path)
    identity = {
        **{"corpus": "Mini", "corpus_digest": "c0ffee", "size": "tiny", "recipe": "mine"},
        **{"starts_from": "base", "profile": PROFILE, "digests": {"base": "b0", "fp8": "f8"}},
    }
    evaluated = Evaluated(identity, found.scores, found.examples, tmp_path, tmp_path)
    table = board.board_table([evaluated])
    assert table.filter(score="shouting", model="fp8", language=scores.MEAN)["value"][0] == 0.5
    html = page.scoreboard_html(Board(table, board.Scenes([evaluated])), table, [evaluated])
    assert "Shouting" in html
    assert "Answers in capital letters alone" in html
    assert "50.0%" in html
    shown = markdown.profile_table(found.scores, PROFILE)
    assert "shouting" in shown["score"].to_list()


def test_registry_names_each_score_once_and_measures_what_it_averages() -> None:
    assert len(score_registry.BY_NAME) == len(SCORES)
    assert all(score.averaged for score in SCORES if score.measure is not None)
    assert set(markdown.OVERVIEW) <= set(score_registry.BY_NAME)
    empty = pl.Series([""], dtype=pl.String).to_list()
    for score in SCORES:
        if score.measure is not None:
            assert np.isnan(score.measure(empty)).all(), score.name
