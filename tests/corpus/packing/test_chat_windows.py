from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.miniature import byte_tokenizer
from cyrene_assets.corpus.packing.chat_windows import (
    chunk_chats,
    count_answer_lines,
    fits_any_tokenizer,
)
from cyrene_assets.corpus.packing.token_counting import Counts, TokenCounter

SYSTEM = "You are Ada."
Turn = tuple[str, str]


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> TokenCounter:
    return TokenCounter(byte_tokenizer(tmp_path_factory.mktemp("tokenizer") / "t.json"))


def _chats(*chats: list[Turn]) -> pl.DataFrame:
    said = [
        [
            {"role": "system", "content": SYSTEM},
            *(
                {"role": role, "content": content}
                for turn in turns
                for role, content in zip(("user", "assistant"), turn, strict=True)
            ),
        ]
        for turns in chats
    ]
    return pl.DataFrame({"chat": [f"c{n}" for n in range(len(chats))], "messages": said})


def _answers(windows: pl.DataFrame) -> list[str]:
    return [
        line
        for messages in windows["messages"]
        for turn in messages
        if turn["role"] == "assistant"
        for line in turn["content"].split("\n")
    ]


def _well_formed(windows: pl.DataFrame, limit: int, counter: TokenCounter) -> None:
    assert max(windows["tokens"], default=0) <= limit
    for messages in windows["messages"]:
        roles = [turn["role"] for turn in messages]
        assert roles == ["system", *["user", "assistant"] * (len(roles) // 2)]
        assert len(roles) >= 3
        assert messages[0]["content"] == SYSTEM
    again = chunk_chats(windows.select("chat", "messages"), counter, limit)
    assert again["tokens"].to_list() == windows["tokens"].to_list()
    assert again["chat"].to_list() == windows["chat"].to_list()


def test_cut_chats_with_room_leaves_them_as_they_are(counter: TokenCounter) -> None:
    chats = _chats([("Who?", "Me.")], [("Where?", "Here.\nAnd there.")])
    windows = chunk_chats(chats, counter, 500)
    assert windows.drop("source", "tokens").equals(chats)
    assert windows["source"].to_list() == ["c0", "c1"]
    assert count_answer_lines(chats["messages"]).to_list() == [1, 2]


def test_cut_chats_of_many_turns_loses_and_repeats_no_answer(counter: TokenCounter) -> None:
    turns = [(f"Question {n}?", f"Answer {n}.\nAnd more of {n}.") for n in range(300)]
    windows = chunk_chats(_chats(turns, [("Who?", "Me.")]), counter, 400)
    _well_formed(windows, 400, counter)
    assert _answers(windows) == [*(line for _, a in turns for line in a.split("\n")), "Me."]
    assert windows["chat"].to_list()[:2] == ["c0#1", "c0#2"]
    assert windows["chat"].to_list()[-1] == "c1"
    assert windows["tokens"].to_numpy()[:-2].min() > 300


def test_a_monologue_goes_into_several_windows_each_after_what_was_said(
    counter: TokenCounter,
) -> None:
    lines = [f"This is line {n} of the monologue." for n in range(200)]
    windows = chunk_chats(_chats([("Tell me.", "\n".join(lines)), ("So.", "Yes.")]), counter, 300)
    _well_formed(windows, 300, counter)
    assert _answers(windows) == [*lines, "Yes."]
    users = {messages[1]["content"] for messages in windows["messages"]}
    assert users == {"Tell me."}


def test_only_a_line_that_is_too_long_by_itself_is_left_out(counter: TokenCounter) -> None:
    turns = [
        ("One?", f"One.\n{'long ' * 200}\nTwo."),
        ("word " * 400, "Three."),
        ("Four?", "Four."),
    ]
    windows = chunk_chats(_chats(turns), counter, 200)
    _well_formed(windows, 200, counter)
    assert _answers(windows) == ["One.", "Two.", "Three.", "Four."]
    assert count_answer_lines(_chats(turns)["messages"]).sum() == 5


@settings(max_examples=40, deadline=None)
@given(
    turns=st.lists(
        st.tuples(st.text(min_size=1, max_size=120), st.text(min_size=1, max_size=200)),
        min_size=1,
        max_size=12,
    ),
    limit=st.integers(20, 400),
)
def test_windows_fit_and_what_surely_fits_is_there(
    counter: TokenCounter, turns: list[Turn], limit: int
) -> None:
    stripped = [(u.strip() or "?", a.strip() or "!") for u, a in turns]
    chats = _chats(stripped)
    windows = chunk_chats(chats, counter, limit)
    _well_formed(windows, limit, counter)
    whole, there = _answers(chats), _answers(windows)
    assert [line for line in whole if line in set(there)] == there
    if fits_any_tokenizer(chats["messages"], limit).item():
        assert len(windows)


class _Counting(TokenCounter):
    """A counter that says how many bytes it was given."""

    given = 0

    def count(self, texts: pl.Series) -> Counts:
        self.given += int(texts.str.len_bytes().sum())
        return super().count(texts)


@pytest.mark.slow
def test_cut_chats_of_200_000_lines_keeps_all_and_counts_four_times_what_a_quarter_takes(
    tmp_path: Path,
) -> None:
    turns = [(f"Question {n}?\nAnd {n}?", f"This is what I say of {n}.") for n in range(66_667)]
    given = []
    for part in (turns[: len(turns) // 4], turns):
        counting = _Counting(byte_tokenizer(tmp_path / "t.json"))
        windows = chunk_chats(_chats(part), counting, 4096)
        given.append(counting.given)
        assert count_answer_lines(windows["messages"]).sum() == len(part)
    assert 3.9 * given[0] < given[1] < 4.2 * given[0]
