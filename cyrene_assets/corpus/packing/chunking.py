"""Cutting documents that are longer than a training sequence."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

import polars as pl

from cyrene_assets.corpus.packing.token_counting import END_TOKENS, TokenCounter
from cyrene_assets.corpus.text import WHITESPACE


def chunk_documents(
    documents: pl.DataFrame, counter: TokenCounter, sequence_length: int
) -> pl.DataFrame:
    """Cut documents (``document``, ``text``, any other columns) to the sequence length.

    A document of more than ``sequence_length`` tokens, its end token included, becomes several,
    named ``<document>#1`` and so on: cut between lines (the line break goes), and within a line at
    a token's boundary only where the line alone is too long. Column ``source`` keeps the name of
    the complete document, ``tokens`` (i32) counts each piece's tokens with its end token.

    Outer white space goes, of pieces too, and so does what has nothing else: ms-swift strips a
    content before it encodes it.
    """
    limit = sequence_length - END_TOKENS
    rows = documents.with_row_index("number").with_columns(
        pl.col("document").alias("source"), pl.col("text").str.strip_chars(WHITESPACE)
    )
    rows = rows.with_columns(pl.Series("tokens", counter.count(rows["text"]), dtype=pl.Int32))
    columns = [*documents.columns, "source", "tokens"]
    chunks = [
        (number, piece, text, tokens)
        for number, long in rows.filter(pl.col("tokens") > limit).select("number", "text").rows()
        for piece, (text, tokens) in enumerate(_chunk(long, counter, limit), 1)
    ]
    schema = {"number": pl.UInt32, "piece": pl.Int32, "text": pl.String, "tokens": pl.Int32}
    pieces = (
        pl.DataFrame(chunks, schema=schema, orient="row")
        .join(rows.drop("text", "tokens"), on="number")
        .with_columns(pl.format("{}#{}", "document", "piece").alias("document"))
    )
    short = rows.filter(pl.col("tokens") <= limit, pl.col("text") != "")
    return (
        pl.concat([short.with_columns(piece=pl.lit(0, pl.Int32)), pieces], how="diagonal")
        .sort("number", "piece")
        .select(columns)
        .with_columns(pl.col("tokens") + END_TOKENS)
    )


def _chunk(text: str, counter: TokenCounter, limit: int) -> Iterator[tuple[str, int]]:
    """Yield pieces of a text, each with its number of tokens, at most ``limit``."""
    text = text.strip()
    [count] = counter.count_few([text])
    if count <= limit:
        if text:
            yield text, count
        return
    for part in _split_lines(text, counter, limit) or _split_tokens(text, counter, limit):
        yield from _chunk(part, counter, limit)


def _split_lines(text: str, counter: TokenCounter, limit: int) -> list[str]:
    """Group the lines into parts of about ``limit`` tokens; nothing for a single line.

    Lines are measured one by one with their line break. Joined they may come to another count,
    which the caller looks at; parts are at least two, so that cutting ends.
    """
    lines = text.split("\n")
    if len(lines) == 1:
        return []
    counts = counter.count_few([f"{line}\n" for line in lines])
    starts, size = [0], 0
    for index, count in enumerate(counts):
        if size and size + count > limit:
            starts.append(index)
            size = 0
        size += count
    if len(starts) == 1:
        starts.append(len(lines) // 2)
    return ["\n".join(lines[a:b]) for a, b in pairwise([*starts, len(lines)])]


def _split_tokens(line: str, counter: TokenCounter, limit: int) -> list[str]:
    """Cut a line after every ``limit`` tokens, at the last boundary between complete characters."""
    offsets = counter.tokenizer.encode(line, add_special_tokens=False).offsets
    boundaries = [0, *(end for (_, end), (start, _) in pairwise(offsets) if start >= end)]
    limits = (offsets[index - 1][1] for index in range(limit, len(offsets), limit))
    cuts = {boundaries[bisect_right(boundaries, end) - 1] for end in limits} - {0, len(line)}
    if not cuts:
        cuts = {len(line) // 2}
    return [line[a:b] for a, b in pairwise([0, *sorted(cuts), len(line)])]
