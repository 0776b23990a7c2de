from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.miniature import byte_tokenizer, count_tokens
from cyrene_assets.corpus.packing.chunking import chunk_documents
from cyrene_assets.corpus.packing.token_counting import TokenCounter


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    return byte_tokenizer(folder / "tokenizer.json", ["water comes and water goes\n" * 3])


@pytest.fixture(scope="module")
def counter(tokenizer: Path) -> TokenCounter:
    return TokenCounter(tokenizer)


Cut = Callable[[str, int], list[str]]


@pytest.fixture(scope="module")
def cut(tokenizer: Path, counter: TokenCounter) -> Cut:
    def one(text: str, length: int) -> list[str]:
        frame = pl.DataFrame({"document": ["d"], "text": [text]})
        pieces = chunk_documents(frame, counter, length)
        counted = count_tokens(pieces["text"].to_list(), tokenizer)
        assert pieces["tokens"].to_list() == [n + 1 for n in counted]
        assert all(piece == piece.strip() != "" for piece in pieces["text"])
        assert max(pieces["tokens"], default=0) <= length
        texts: list[str] = pieces["text"].to_list()
        return texts

    return one


def test_short_documents_stay_whole(counter: TokenCounter) -> None:
    frame = pl.DataFrame({"document": ["a", "b"], "text": ["water", "goes"], "kind": ["x", "y"]})
    pieces = chunk_documents(frame, counter, 64)
    assert pieces.drop("tokens").to_dicts() == [
        {"document": "a", "text": "water", "kind": "x", "source": "a"},
        {"document": "b", "text": "goes", "kind": "y", "source": "b"},
    ]


def test_a_document_of_just_the_limit_stays_whole(tokenizer: Path, cut: Cut) -> None:
    text = "water comes and goes"
    [count] = count_tokens([text], tokenizer)
    assert cut(text, count + 1) == [text]
    assert len(cut(text, count)) == 2


def test_long_documents_are_cut_between_lines(counter: TokenCounter, cut: Cut) -> None:
    text = "\n".join(f"water comes {n}" for n in range(50))
    pieces = cut(text, 64)
    assert len(pieces) > 1
    assert "\n".join(pieces) == text
    frame = pl.DataFrame({"document": ["d"], "text": [text], "kind": ["book"]})
    named = chunk_documents(frame, counter, 64)
    assert named["document"].to_list() == [f"d#{n + 1}" for n in range(len(pieces))]
    assert set(named["source"]) == {"d"}
    assert set(named["kind"]) == {"book"}


def test_a_line_that_is_too_long_is_cut_between_characters(cut: Cut) -> None:
    line = "雨が降る港町" * 20
    pieces = cut(line, 64)
    assert "".join(pieces) == line
    assert len(pieces) == 6  # 120 characters of three bytes, a token a byte, 63 to a piece
    mixed = cut(f"water\n{line}\ngoes", 64)
    assert mixed[0].startswith("water")
    assert "".join(mixed).replace("\n", "") == f"water{line}goes"


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("water goes\n\n雨🌧é ."), max_size=400), st.integers(16, 80))
def test_nothing_is_lost_and_nothing_is_over_the_limit(cut: Cut, text: str, length: int) -> None:
    """All but white space around the pieces, which training would not see."""
    assert "".join("".join(cut(text, length)).split()) == "".join(text.split())


def test_documents_keep_their_order_whether_cut_or_not(counter: TokenCounter) -> None:
    texts = ["water", "goes and " * 60, " \n", "comes", "and " * 90]
    frame = pl.DataFrame({"document": list("abcde"), "text": texts})
    pieces = chunk_documents(frame, counter, 64)
    assert pieces["source"].unique(maintain_order=True).to_list() == ["a", "b", "d", "e"]
    of_b = pieces.filter(source="b")["document"].to_list()
    assert of_b == [f"b#{n + 1}" for n in range(len(of_b))]
    assert chunk_documents(frame.clear(), counter, 64).columns == pieces.columns
