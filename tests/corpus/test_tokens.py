from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from cyrene_assets.corpus.tokens import chat_text, count_tokens, cut_documents
from cyrene_assets.errors import UserError

from .miniature import byte_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    return byte_tokenizer(folder / "tokenizer.json", ["water comes and water goes\n" * 3])


Cut = Callable[[str, int], list[str]]


@pytest.fixture(scope="module")
def cut(tokenizer: Path) -> Cut:
    def one(text: str, length: int) -> list[str]:
        frame = pl.DataFrame({"document": ["d"], "text": [text]})
        pieces = cut_documents(frame, tokenizer, length)
        counted = count_tokens(pieces["text"].to_list(), tokenizer)
        assert pieces["tokens"].to_list() == [n + 1 for n in counted]
        assert pieces["tokens"].max() <= length  # type: ignore[operator]
        texts: list[str] = pieces["text"].to_list()
        return texts

    return one


def test_counts_are_the_tokenizers_own(tokenizer: Path) -> None:
    own = Tokenizer.from_file(str(tokenizer))
    texts = ["water goes", "雨", "", "<|im_end|>"]
    counts = [len(own.encode(text, add_special_tokens=False).ids) for text in texts]
    assert count_tokens(texts, tokenizer) == counts
    assert counts[2:] == [0, 1]


def test_no_tokenizer(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(UserError, match=r"tokenizer.json: cannot be read as a tokenizer"):
        count_tokens(["a"], path)
    path.write_text("{}")
    with pytest.raises(UserError, match=r"give the tokenizer.json of the base model"):
        count_tokens(["a"], path)


def test_chats_are_counted_as_the_template_renders_them_in_training() -> None:
    messages = (
        '[{"role": "system", "content": "S"}, {"role": "user", "content": "U"},'
        ' {"role": "assistant", "content": "A"}, {"role": "user", "content": "V"},'
        ' {"role": "assistant", "content": "B"}]'
    )
    assert chat_text(messages) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
        "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\nB<|im_end|>\n"
    )


def test_short_documents_stay_whole(tokenizer: Path) -> None:
    frame = pl.DataFrame({"document": ["a", "b"], "text": ["water", "goes"], "kind": ["x", "y"]})
    pieces = cut_documents(frame, tokenizer, 64)
    assert pieces.drop("tokens").to_dicts() == [
        {"document": "a", "text": "water", "kind": "x", "source": "a"},
        {"document": "b", "text": "goes", "kind": "y", "source": "b"},
    ]


def test_a_document_of_just_the_limit_stays_whole(tokenizer: Path, cut: Cut) -> None:
    text = "water comes and goes"
    [count] = count_tokens([text], tokenizer)
    assert cut(text, count + 1) == [text]
    assert len(cut(text, count)) == 2


def test_long_documents_are_cut_between_lines(tokenizer: Path, cut: Cut) -> None:
    text = "\n".join(f"water comes {n}" for n in range(50))
    pieces = cut(text, 64)
    assert len(pieces) > 1
    assert "\n".join(pieces) == text
    frame = pl.DataFrame({"document": ["d"], "text": [text], "kind": ["book"]})
    named = cut_documents(frame, tokenizer, 64)
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
    assert "".join(cut(text, length)).replace("\n", "") == text.replace("\n", "")
