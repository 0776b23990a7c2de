"""The board of all models, the questions it answers, the choice, and the page."""

import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cyrene_assets.evaluation import board, pareto, report
from cyrene_assets.evaluation.answers import REAL_LINES
from cyrene_assets.evaluation.board import Evaluated
from cyrene_assets.evaluation.findings import Value, findings, verdict
from cyrene_assets.evaluation.run import LanguageReport, Run, report_language
from cyrene_assets.evaluation.samples import marked
from cyrene_assets.evaluation.scores import MEAN
from evaluation.evaluated import LANGUAGES, PROFILE, TRAINED, generations, prompts, tables, units

HOSTILE = '</td><script>alert("x")</script> {{ 7 * 7 }} ![a](http://b) | `c`'
Evaluate = Callable[..., Evaluated]


@cache
def said(says: str) -> tuple[Run, LanguageReport]:
    """A run of models that say ``says`` to everything, and its report."""
    answers = generations(lambda n: f"{says} {n}", profiles=(PROFILE, "greedy"))
    run = Run(prompts(), answers, tables())
    return run, report_language(run, units, LANGUAGES, "en", PROFILE)


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Return a function that evaluates a model which says ``says`` to everything."""

    def evaluated(says: str = "the ferry leaves soon with the goat", **identity: Any) -> Evaluated:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        run, found = said(says)
        run.prompts.write_parquet(folder / "prompts.parquet")
        run.generations.write_parquet(folder / "generations.parquet")
        size = identity.get("size", "tiny")
        return Evaluated(
            {
                "corpus": "Mini", "corpus_digest": "c0ffee0123456789", "size": size,
                "recipe": "mine", "starts_from": "base", "profile": PROFILE,
                "digests": {"base": f"base{size}00000000", "fp8": f"fp8{says[:3]}{size}0000000"},
            } | identity,
            found.scores, found.examples, folder,
        )  # fmt: skip

    return evaluated


def test_references_appear_once_and_means_come_first(evaluate: Evaluate) -> None:
    table = board.board_table([evaluate(), evaluate(recipe="other"), evaluate(size="4B")])
    means = table.filter(language=MEAN, score="rep4", profile=PROFILE)
    assert means.select("size", "model", "recipe").rows() == [
        ("tiny", "base", None), ("tiny", "fp8", "mine"), ("tiny", "fp8", "other"),
        ("4B", "base", None), ("4B", "fp8", "mine"),
    ]  # fmt: skip
    assert len(table.filter(model=REAL_LINES, score="rep4", language=MEAN)) == 1
    assert table.schema == board.SCHEMA
    assert table["language"][0] == MEAN
    assert set(table.filter(pl.col("served"))["profile"]) == {PROFILE, "-"}


def test_models_of_another_corpus_are_kept_apart(evaluate: Evaluate) -> None:
    table = board.board_table([evaluate(), evaluate(corpus_digest="0123456789abcdef")])
    assert table["corpus"].unique().sort().to_list() == ["Mini 01234567", "Mini c0ffee01"]
    names = board.labels(table)
    assert len(set(names.values())) == len(names) == 4
    assert len(table.filter(model=REAL_LINES, score="rep4", language=MEAN)) == 2


def test_means_are_over_the_languages_that_have_a_value(evaluate: Evaluate) -> None:
    one = evaluate()
    row = {"model": "fp8", "profile": PROFILE, "score": "rep4", "count": 1, "note": None}
    scores = pl.DataFrame(
        [
            {**row, "language": "en", "value": 0.2, "low": 0.1, "high": 0.3},
            {**row, "language": "th", "value": 0.4, "low": 0.2, "high": 0.6},
            {**row, "language": "kr", "value": None, "low": None, "high": None, "note": "nothing"},
        ],
        schema=one.scores.schema,
    )
    table = board.board_table([Evaluated(one.identity, scores, one.examples, one.run)])
    mean = table.row(0, named=True)
    assert (mean["value"], mean["low"], mean["high"]) == pytest.approx((0.3, 0.15, 0.45))
    assert (mean["languages"], mean["count"]) == (2, 3)


def test_nothing_gives_an_empty_board_and_a_page() -> None:
    table = board.board_table([])
    assert "0 models in 0 languages" in report.scoreboard_html(table, [])
    assert report.scoreboard_png(table).startswith(b"\x89PNG")
    assert all(not found.answers for found in findings(table))
    assert report.overview(table).is_empty()


def answers_of(table: pl.DataFrame, question: str) -> list[str]:
    (found,) = [f for f in findings(table) if question in f.question]
    return [" ".join((answer.about, *answer.parts)) for answer in found.answers]


def test_the_seeds_questions_are_answered_when_the_models_are_there(evaluate: Evaluate) -> None:
    alone = board.board_table([evaluate()])
    assert "lore cloze 1.000" in answers_of(alone, "pretraining")[0]
    assert not answers_of(alone, "larger")
    assert not answers_of(alone, "instruct")
    assert "choose among" in answers_of(alone, "profile")[0]
    more = board.board_table(
        [
            evaluate(size="4B"),
            evaluate(size="9B"),
            evaluate(size="4B", recipe="i", starts_from="instruct"),
        ]
    )
    (sizes,) = answers_of(more, "larger")
    assert sizes.startswith("9B fp8")
    assert "beside 4B fp8 mine" in sizes
    assert len(answers_of(more, "instruct")) == 1


def test_reciting_is_overfitted_although_the_loss_is_fine(evaluate: Evaluate) -> None:
    reciting = board.board_table([evaluate(TRAINED[0])])
    fine = board.board_table([evaluate("hello there")])
    assert "yes: its loss looks fine and it recites" in answers_of(reciting, "overfitted")[0]
    assert "no sign of it" in answers_of(fine, "overfitted")[0]


def test_checkpoints_are_compared_over_their_training(evaluate: Evaluate) -> None:
    kept = [evaluate(TRAINED[0], recipe="late"), evaluate("hello there", recipe="early")]
    told = answers_of(board.board_table(kept), "overfitted")
    assert "over the checkpoints of tiny" in told[-1]


@pytest.mark.parametrize(
    ("first", "second", "direction", "expected"),
    [
        (Value(1.0, 0.9, 1.1), Value(0.5, 0.4, 0.6), 1, "better"),
        (Value(1.0, 0.9, 1.1), Value(0.5, 0.4, 0.6), -1, "worse"),
        (Value(1.0, 0.5, 1.5), Value(0.8, 0.4, 1.2), 1, "no difference that can be told"),
        (Value(1.0, None, None), Value(0.8, 0.4, 1.2), 1, "better, by how much cannot be told"),
        (Value(0.8, None, None), Value(0.8, None, None), 1, "not better"),
    ],
)
def test_intervals_decide(first: Value, second: Value, direction: int, expected: str) -> None:
    assert verdict(first, second, direction) == expected


def test_what_nobody_beats_in_everything_is_chosen(evaluate: Evaluate) -> None:
    table = board.board_table(
        [evaluate(TRAINED[0], recipe="late"), evaluate("hello you", recipe="early")]
    )
    chosen = {one.key[3]: one for one in pareto.candidates(table)}
    assert set(chosen) == {"late", "early"}
    assert chosen["early"].best
    assert chosen["late"].values["regurgitation_excess"] > 0.5


def test_the_front_by_hand() -> None:
    points = [
        {"a": 1.0, "b": 1.0},
        {"a": 2.0, "b": 2.0},
        {"a": 0.0, "b": 0.0},
        {"a": 1.0, "b": 1.0},
    ]
    assert pareto.front(points, {"a": 1, "b": -1}) == [True, True, True, True]
    assert pareto.front(points, {"a": 1, "b": 1}) == [False, True, False, False]


def test_corpus_and_model_texts_cannot_be_markup(evaluate: Evaluate) -> None:
    one = evaluate(HOSTILE, recipe="r")
    page = report.scoreboard_html(board.board_table([one]), [one])
    assert "<script" not in page
    assert "&lt;script&gt;alert" in page
    assert "<b>Is the lamp" not in page
    assert "{{ 7 * 7 }}" in page
    assert "://" not in page.replace("http://b", "")
    table = report.markdown_table(pl.DataFrame({"a": [HOSTILE]}))
    assert "<" not in table
    assert table.count("\n") == 3
    assert not re.search(r"(?<!\\)[`|*_]", table.splitlines()[2].strip("| "))


def test_the_page_shows_intervals_memorized_passages_and_both_themes(evaluate: Evaluate) -> None:
    one = evaluate(TRAINED[0])
    page = report.scoreboard_html(board.board_table([one]), [one])
    assert f'word for word">{TRAINED[0]}' in page
    assert 'class="interval">' in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("data:image/svg+xml;base64,") >= 6


def test_passages_are_cut_at_their_ends() -> None:
    assert marked("abcdef", [(1, 3), (5, 6)]) == [
        (False, "a"),
        (True, "bc"),
        (False, "de"),
        (True, "f"),
    ]
    assert marked("", []) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.12345, "0.123"), (1234.5, "1,234"), (1200, "1,200"), (math.nan, "nan")],
)
def test_cells(value: object, shown: str) -> None:
    assert report.format_value(value) == shown


def test_a_profile_table_has_a_column_per_model(evaluate: Evaluate) -> None:
    table = report.profile_table(evaluate().scores, PROFILE)
    assert table.columns == ["score", REAL_LINES, "base", "fp8"]
    assert report.profile_table(evaluate().scores.clear(), PROFILE).is_empty()
