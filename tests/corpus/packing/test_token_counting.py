import json
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from corpus.miniature import byte_tokenizer, count_tokens
from cyrene_assets.corpus.packing import token_counting
from cyrene_assets.corpus.packing.token_counting import TokenCounter, load_tokenizer
from cyrene_assets.utils.errors import UserError
from cyrene_assets.workers.train.tiny_tokenizer import write_tokenizer

SAMPLE = Path(__file__).parents[3] / "corpora" / "sample"
PIECES = (
    *("water", "Wasser", "s\u2019", "'S", "'ll", "don't", "\u00e9te\u0301", "e\u0301\u0323"),
    *("\u96e8\u304c\u964d\u308b", "\u0e19\u0e49\u0e33\u0e21\u0e32", "\ubb3c", "\u1112\u1161"),
    *(" ", "  ", "\n", "\r\n", "\t", "\u3000", "\u00a0", "\u2028", "\x1c", "\x85", "\0"),
    *(
        "1843",
        "\u00bd",
        "\u2167",
        "\u0968",
        "!?",
        "\u2026",
        "\u300c",
        "\U0001f327\ufe0f\u200d",
        "_",
        "-",
    ),
    *(
        "<|im_end|>",
        "<think>",
        "<|im_",
        "<image>",
        "{NICKNAME}",
        "\U0001e4d0",
        "\ua7cb",
        "\U00010d40",
    ),
)

BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": True,
    "trim_offsets": True,
    "use_regex": True,
}


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    return byte_tokenizer(folder / "tokenizer.json", ["water comes and water goes\n" * 3])


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's tokenizer: normalizer, expression and added tokens are Qwen3.5's."""
    folder = tmp_path_factory.mktemp("qwen")
    write_tokenizer(sorted(SAMPLE.glob("dialog/*.jsonl")), 4096, folder)
    return folder / "tokenizer.json"


@pytest.fixture(scope="module")
def counter(qwen: Path) -> TokenCounter:
    return TokenCounter(qwen)


def _changed(path: Path, folder: Path, **parts: Any) -> Path:
    changed = folder / "tokenizer.json"
    changed.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | parts))
    return changed


@cache
def _tokenizer(content: bytes) -> Tokenizer:
    return Tokenizer.from_buffer(content)


def _own(texts: list[str], path: Path) -> list[int]:
    tokenizer = _tokenizer(path.read_bytes())
    return [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


def test_counts_are_the_tokenizers_own(byte_level: Path) -> None:
    texts = ["water goes", "\u96e8", "", "<|im_end|>"]
    counts = count_tokens(texts, byte_level)
    assert counts == _own(texts, byte_level)
    assert counts[2:] == [0, 1]
    assert count_tokens([], byte_level) == []


def test_counts_of_the_sample_corpus_are_the_tokenizers_own(
    qwen: Path, counter: TokenCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        row["text"]
        for path in sorted(SAMPLE.glob("d*/*.jsonl"))
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    ]
    asked: list[int] = []
    plain = counter._plain

    def listed(some: pl.Series) -> token_counting.Counts:
        asked.append(len(some))
        return plain(some)

    monkeypatch.setattr(counter, "_plain", listed)
    monkeypatch.setattr(token_counting, "_CHUNK_BYTES", 100_000)
    assert counter.count(pl.Series(texts)).tolist() == _own(texts, qwen)
    # The fast way did nearly all of it.
    assert sum(asked) < len(texts) / 50


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=4))
def test_counts_of_whatever_is_written_are_the_tokenizers_own(
    qwen: Path, counter: TokenCounter, texts: list[str]
) -> None:
    assert counter.count(pl.Series(texts, dtype=pl.String)).tolist() == _own(texts, qwen)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=3))
def test_counts_of_any_characters_are_the_tokenizers_own(
    qwen: Path, counter: TokenCounter, texts: list[str]
) -> None:
    assert counter.count(pl.Series(texts, dtype=pl.String)).tolist() == _own(texts, qwen)


def test_a_character_of_which_the_libraries_think_differently(
    qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = TokenCounter(qwen)
    texts = ["water \u96e8\u96e8 goes", "water goes"]
    # As if Polars took the character for something else than a letter.
    monkeypatch.setattr(
        counter, "_words", (counter._words or "").replace(r"[\p{L}\p{M}]+", r"[\p{Latin}]+")
    )
    assert counter.count(pl.Series(texts)).tolist() == _own(texts, qwen)


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": {"type": "NFKC"}},
        {"pre_tokenizer": BYTE_LEVEL},
    ],
)
def test_a_tokenizer_of_another_kind_counts_all_itself(
    qwen: Path, tmp_path: Path, parts: dict[str, Any]
) -> None:
    changed = _changed(qwen, tmp_path, **parts)
    texts = ["water  goes", "\uff37\uff41ter", "\u96e8 1843\n\nend"]
    assert count_tokens(texts, changed) == _own(texts, changed)


def test_no_tokenizer(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(UserError, match=r"tokenizer.json: cannot be read as a tokenizer"):
        count_tokens(["a"], path)
    path.write_text("{}")
    with pytest.raises(UserError, match=r"give the tokenizer.json of the base model"):
        load_tokenizer(path)
