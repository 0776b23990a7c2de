"""Doing harm to files, and what must be true of whatever is read from them afterwards."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.sources.registry import raw_digest, read_listed
from cyrene_assets.corpus.sources.types import (
    LONGEST_LINE,
    ONLY,
    Problem,
    Row,
    SourceError,
    too_long,
)

# CYRENE_EXAMPLES=2000 looks further than the usual run, at examples of other runs' choosing.
EXAMPLES = os.environ.get("CYRENE_EXAMPLES", "")
QUICK = settings(
    max_examples=int(EXAMPLES or 60),
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = st.integers(-(1 << 66), 1 << 66) | st.sampled_from([0, -1, 1415, (1 << 63) - 1, 1 << 63])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Hash", "ID", "x"]), inner, max_size=2)
    ),
    max_leaves=5,
)
PIECES = (
    *(b"\0", b"\\u0000", b"\\ud800", b"\xed\xa0\x80", b'"', b"\\", b"\\n", b"\n", b"{}"),
    *(b"[" * 2000, b"9" * 5000, b"1e999", b"NaN", b"\xef\xbb\xbf", b"water " * 20_000),
)
BYTES = st.binary(max_size=8) | st.sampled_from(PIECES)
# Where in a file (a share of it), how many bytes go, what comes instead, and whether it ends there.
CHANGES = st.tuples(st.floats(0, 1), st.integers(0, 40), BYTES, st.booleans())
# What may lie in a file's place.
WHOLES = (
    *("missing", "empty", "blank", "truncated", "twice", "a directory", "a pipe"),
    *("a link out", "a link to itself", "a dangling link", "UTF-16", "latin-1", "NUL bytes"),
    *("nested deep", "a number", "null", "a huge number"),
)


@contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    """Put something else into a file, for a while."""
    original = path.read_bytes()
    try:
        path.write_bytes(content)
        yield
    finally:
        path.write_bytes(original)


@contextmanager
def changed_bytes(path: Path, change: tuple[float, int, bytes, bool]) -> Iterator[None]:
    """Change a file somewhere (``CHANGES``), for a while."""
    start, length, put, cut = change
    original = path.read_bytes()
    at = int(start * len(original))
    with replaced(path, original[:at] + put + (b"" if cut else original[at + length :])):
        yield


@contextmanager
def in_place_of(path: Path, what: str, elsewhere: Path) -> Iterator[None]:
    """Put one of ``WHOLES`` in a file's place, for a while."""
    original = path.read_bytes()
    path.unlink()
    try:
        _put(path, what, original, elsewhere)
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.write_bytes(original)


def _put(path: Path, what: str, original: bytes, elsewhere: Path) -> None:
    match what:
        case "missing":
            return
        case "a directory":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case "a link out":
            (elsewhere / path.name).write_bytes(original)
            path.symlink_to(elsewhere / path.name)
        case "a link to itself":
            path.symlink_to(path)
        case "a dangling link":
            path.symlink_to(path.with_name("nowhere"))
        case _:
            path.write_bytes(_content(what, original))


def _content(what: str, original: bytes) -> bytes:
    text = original.decode()
    contents = {
        "empty": b"",
        "blank": b" \n \n",
        "truncated": original[: len(original) * 2 // 3],
        "twice": original + original,
        "UTF-16": text.encode("utf-16"),
        "latin-1": text.replace("a", "é").encode("latin-1", "replace"),
        "NUL bytes": b"\0" * len(original),
        "nested deep": b"[" * 200_000,
        "a number": b"7",
        "null": b"null",
        "a huge number": b"9" * 10_000,
    }
    return contents[what]


def read(root: Path, corpus: Corpus, language: str) -> pl.DataFrame | None:
    """Read a language; null when its files are refused, each problem with a place and a remedy.

    The digest of the files is refused only where they are.
    """
    refused: list[Problem] = []
    try:
        rows, left_out = read_listed(root, corpus, language)
    except SourceError as error:
        refused = error.problems or [Problem("", 0, "nothing is said", "")]
    if refused:
        assert all(p.file and p.line >= 0 and p.message and p.remedy for p in refused)
        return None
    assert len(raw_digest(root, corpus, language)) == 16
    # What is for documents or chats alone is said only where anything is.
    columns = [name for name in Row._fields if name != ONLY or ONLY in rows.columns]
    assert rows.schema == dict.fromkeys(columns, pl.String()) | {
        "order": pl.Int32(),
        "line": pl.Int32(),
    }
    assert rows["unit"].is_unique().all()
    always = ["unit", "scene", "order", "kind", "role", "text", "language", "file", "line"]
    assert sum(rows[column].null_count() for column in always) == 0
    texts = pl.concat([rows[name] for name in ("unit", "scene", "speaker", "title", "text")])
    assert not texts.str.contains("\0", literal=True).any()
    for text in texts.drop_nulls():
        text.encode()
        assert len(text) <= LONGEST_LINE or not too_long(text)
    assert (rows["line"] >= 1).all()
    orders = rows.group_by("scene").agg(pl.col("order").sort())["order"].to_list()
    assert all(order == list(range(len(order))) for order in orders)
    assert all(p.file and p.line >= 0 and p.message and p.remedy for p in left_out)
    return rows
