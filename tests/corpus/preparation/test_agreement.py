# ruff: noqa: RUF001
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyrene_assets.corpus.preparation.agreement import (
    ELLIPSIS,
    EXCLAMATION,
    FULL_STOP,
    NONE,
    OPEN,
    QUESTION,
    classify_endings,
    ending_mismatch,
    extract_numbers,
    number_mismatch,
)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Give me 200 gold, or 3.", [3, 200]),
        ("1,000 and 1.000.000 and 2\u202f500", [1000, 2500, 1000000]),
        ("10 000 men", [10000]),
        ("room 12 030", [12, 30]),
        ("3万", [30000]),
        ("\uff11\uff12日", [12]),
        ("\u0e53\u0e50", [30]),
        ("\u0661\u0662", [12]),
        ("007", [7]),
        ("12:30", [12, 30]),
        ("9" * 40, [int("9" * 18)]),
        ("none", []),
    ],
)
def test_numbers_are_read_however_they_are_written(text: str, numbers: list[int]) -> None:
    assert sorted(extract_numbers(pl.Series([text]))["number"].to_list()) == numbers


@given(st.integers(0, 10**15))
def test_a_number_reads_the_same_with_any_mark_between_thousands(number: int) -> None:
    texts = [f"{number:,}".replace(",", mark) for mark in (",", ".", "'", "\u00a0", "\u202f")]
    assert extract_numbers(pl.Series(texts))["number"].to_list() == [number] * len(texts)


def _odd(of_languages: list[list[int]]) -> list[int]:
    rows = [(index, 7, 1, n) for index, found in enumerate(of_languages) for n in found]
    table = pl.DataFrame(rows, schema=["language", "row", "unit", "number"], orient="row")
    return number_mismatch(table)["language"].to_list()


@pytest.mark.parametrize(
    ("of_languages", "odd"),
    [
        ([[60], [60], [80]], [2]),
        ([[60], [80], [80]], [0]),
        ([[60], [80]], [1]),
        ([[60], []], []),
        ([[], [60], [80]], []),
        ([[3, 20], [20], [3, 20], [20, 5]], [3]),
        ([[12], [12], [12, 30]], []),
        ([[1], [1], [1], [1]], []),
    ],
)
def test_a_number_that_no_translation_has_is_odd(
    of_languages: list[list[int]], odd: list[int]
) -> None:
    assert _odd(of_languages) == odd


@given(st.lists(st.integers(1, 99), min_size=1, max_size=4), st.integers(2, 6))
def test_equal_numbers_are_never_odd(numbers: list[int], languages: int) -> None:
    assert _odd([sorted(set(numbers))] * languages) == []


def test_ends_of_any_script() -> None:
    texts = [
        "Who?", "谁？\u300d", "من\u061f", "No!", "Well\u2026", "Well...", "Yes.\u201d",
        "是。", "हा\u0901\u0964", "First,", "He said:", "no mark", "(aside)", "", "\u2026?",
    ]  # fmt: skip
    assert classify_endings(pl.Series(texts)).to_list() == [
        QUESTION, QUESTION, QUESTION, EXCLAMATION, ELLIPSIS, ELLIPSIS, FULL_STOP,
        FULL_STOP, FULL_STOP, OPEN, OPEN, NONE, NONE, 0, QUESTION,
    ]  # fmt: skip


def _ends(table: list[list[int]]) -> list[tuple[int, int]]:
    rows = [(k, unit, unit, ends) for k, own in enumerate(table) for unit, ends in enumerate(own)]
    frame = pl.DataFrame(rows, schema=["language", "row", "unit", "ends"], orient="row")
    return ending_mismatch(frame).rows()


def test_an_end_that_no_other_language_has_is_odd() -> None:
    table = [[FULL_STOP] * 300 + [QUESTION] * 300 for _ in range(4)]
    assert _ends(table) == []
    table[2][5], table[3][400], table[1][7] = NONE, FULL_STOP, EXCLAMATION
    assert _ends(table) == [(2, 5), (3, 400)]


def test_a_question_where_others_state_is_for_the_translator() -> None:
    table = [[FULL_STOP] * 300 + [NONE] * 300 for _ in range(4)]
    table[2][5], table[3][400] = QUESTION, FULL_STOP
    assert _ends(table) == []


def test_what_a_language_always_does_is_its_habit() -> None:
    thai = [NONE] * 600
    table = [[FULL_STOP] * 300 + [QUESTION] * 300 for _ in range(4)]
    assert _ends([*table, thai]) == []
