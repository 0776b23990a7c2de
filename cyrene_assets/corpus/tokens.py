"""Counting tokens as ms-swift's training will, and cutting documents that are too long."""

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from cyrene_assets.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# ms-swift ends a pretraining document with the end token.
END_TOKENS = 1
# The `qwen3_5` template puts this before the answer in progress when thinking is off, in training
# (with the arguments of `cyrene_assets.training.finetune_command`) as in serving.
NO_THOUGHT = "<think>\n\n</think>\n\n"


def load_tokenizer(tokenizer_json: Path) -> "Tokenizer":
    """Load a model's own tokenizer.json.

    Raises:
        UserError: the file is missing or is no tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_json))
    except Exception as error:  # the library raises nothing more specific
        raise UserError(
            f"{tokenizer_json}: cannot be read as a tokenizer ({error}); "
            "give the tokenizer.json of the base model"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_tokens(texts: Sequence[str], tokenizer_json: Path) -> list[int]:
    """Count each text's tokens, none added; special tokens written in a text count as one.

    Raises:
        UserError: the file is missing or is no tokenizer.
    """
    return _counts(texts, load_tokenizer(tokenizer_json))


def chat_text(messages: str) -> str:
    r"""Return the text that a conversation (JSON list of messages) is trained on.

    That is ``<|im_start|>role\ncontent<|im_end|>\n`` per message, with the empty think block before
    the content of the last one: what serving renders as the prompt, and the answer to it.
    """
    turns = json.loads(messages)
    return "".join(
        f"<|im_start|>{turn['role']}\n"
        f"{NO_THOUGHT if number == len(turns) else ''}{turn['content']}<|im_end|>\n"
        for number, turn in enumerate(turns, 1)
    )


def cut_documents(
    documents: pl.DataFrame, tokenizer_json: Path, sequence_length: int
) -> pl.DataFrame:
    """Cut documents (``document``, ``text``, any other columns) to the sequence length.

    A document of more than ``sequence_length`` tokens, its end token included, becomes several,
    named ``<document>#1`` and so on: cut between lines (the line break goes), and within a line at
    a token's boundary only where the line alone is too long. Column ``source`` keeps the name of
    the whole document, ``tokens`` (i32) counts each piece's tokens with its end token.

    Raises:
        UserError: the file is missing or is no tokenizer.
    """
    tokenizer = load_tokenizer(tokenizer_json)
    limit = sequence_length - END_TOKENS
    texts: list[list[str]] = []
    counts: list[list[int]] = []
    whole = _counts(documents["text"].to_list(), tokenizer)
    for text, count in zip(documents["text"], whole, strict=True):
        pieces = [(text, count)] if count <= limit else list(_cut(text, tokenizer, limit))
        texts.append([piece for piece, _ in pieces])
        counts.append([tokens + END_TOKENS for _, tokens in pieces])
    pieces_of = documents.with_columns(
        pl.col("document").alias("source"),
        pl.Series("text", texts, dtype=pl.List(pl.String)),
        pl.Series("tokens", counts, dtype=pl.List(pl.Int32)),
        pl.Series("piece", [list(range(1, len(c) + 1)) for c in counts], dtype=pl.List(pl.Int32)),
        pl.Series("pieces", [len(c) for c in counts], dtype=pl.Int32),
    ).explode("text", "tokens", "piece")
    numbered = pl.format("{}#{}", "document", "piece")
    return pieces_of.with_columns(
        pl.when(pl.col("pieces") > 1).then(numbered).otherwise("document").alias("document")
    ).drop("piece", "pieces")


def _counts(texts: Sequence[str], tokenizer: "Tokenizer") -> list[int]:
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [len(encoding.ids) for encoding in encodings]


def _cut(text: str, tokenizer: "Tokenizer", limit: int) -> Iterator[tuple[str, int]]:
    """Yield pieces of a text, each with its number of tokens, at most ``limit``."""
    [count] = _counts([text], tokenizer)
    if count <= limit:
        yield text, count
        return
    for part in _by_lines(text, tokenizer, limit) or _by_tokens(text, tokenizer, limit):
        yield from _cut(part, tokenizer, limit)


def _by_lines(text: str, tokenizer: "Tokenizer", limit: int) -> list[str]:
    """Group the lines into parts of about ``limit`` tokens; nothing for a single line.

    Lines are measured one by one with their line break. Joined they may come to another count,
    which the caller looks at; parts are at least two, so that cutting ends.
    """
    lines = text.split("\n")
    if len(lines) == 1:
        return []
    counts = _counts([f"{line}\n" for line in lines], tokenizer)
    starts, size = [0], 0
    for index, count in enumerate(counts):
        if size and size + count > limit:
            starts.append(index)
            size = 0
        size += count
    if len(starts) == 1:
        starts.append(len(lines) // 2)
    parts = ["\n".join(lines[a:b]) for a, b in pairwise([*starts, len(lines)])]
    return [part for part in parts if part]


def _by_tokens(line: str, tokenizer: "Tokenizer", limit: int) -> list[str]:
    """Cut a line after every ``limit`` tokens, at the last boundary between whole characters."""
    offsets = tokenizer.encode(line, add_special_tokens=False).offsets
    boundaries = [0, *(end for (_, end), (start, _) in pairwise(offsets) if start >= end)]
    wanted = (offsets[index - 1][1] for index in range(limit, len(offsets), limit))
    cuts = {boundaries[bisect_right(boundaries, end) - 1] for end in wanted} - {0, len(line)}
    if not cuts:
        cuts = {len(line) // 2}
    return [line[a:b] for a, b in pairwise([0, *sorted(cuts), len(line)])]
