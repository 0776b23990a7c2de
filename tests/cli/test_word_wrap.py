"""Answers that come in pieces are broken at words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cyrene_assets.cli.word_wrap import WordWrap


def wrapped(pieces: list[str], width: int, column: int = 0) -> str:
    wrap = WordWrap(width, column)
    return "".join([*map(wrap.feed, pieces), wrap.end()])


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["Mind the ", "wi", "nd, my dear."], "Mind the\nwind, my\ndear."),
        (["one\ntwo three"], "one\ntwo three"),
        (["abcdefghijklmnop q"], "abcdefghij\nklmnop q"),
        (["当心风当心风"], "当心风当心\n风"),
        (["see 当心风当"], "see 当心风\n当"),
    ],
)
def test_text_is_broken_at_words_and_between_wide_characters(pieces: list[str], shown: str) -> None:
    assert "\n".join(line.rstrip() for line in wrapped(pieces, 10).split("\n")) == shown


def test_the_label_before_the_text_counts() -> None:
    assert wrapped(["Mind it"], 12, len("Ovelle: ")) == "Mind\nit"


@given(st.lists(st.text("ab \n当é"), max_size=20), st.integers(2, 12))
def test_no_line_is_too_wide_and_no_text_is_lost(pieces: list[str], width: int) -> None:
    shown = wrapped(pieces, width)
    assert "".join(shown.split()) == "".join("".join(pieces).split())
    assert max(map(cell_len, shown.split("\n"))) <= width
