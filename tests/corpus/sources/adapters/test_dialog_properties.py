"""Whatever is done to the files of a plain corpus: rows, or a problem that names the line."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.miniature import write_corpus
from corpus.sources.mangling import (
    CHANGES,
    JSON,
    NUMBERS,
    QUICK,
    WHOLES,
    changed_bytes,
    in_place_of,
    read,
    replaced,
)
from cyrene_assets.corpus.config import Corpus, load_corpus

FILES = ["dialog/en.jsonl", "documents/en.jsonl"]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dialog-"))
    yield write_corpus(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def corpus(root: Path) -> Corpus:
    return load_corpus(root)


@QUICK
@given(name=st.sampled_from(FILES), data=st.data())
def test_changed_lines(root: Path, corpus: Corpus, name: str, data: st.DataObject) -> None:
    path = root / name
    records: list[Any] = [json.loads(line) for line in path.read_bytes().splitlines()]
    number = data.draw(st.integers(0, len(records) - 1))
    record: dict[str, Any] = records[number]
    match data.draw(st.sampled_from(["set", "drop", "add", "twice", "replace", "say"])):
        case "set":
            record[data.draw(st.sampled_from(sorted(record)))] = data.draw(JSON | NUMBERS)
        case "drop":
            del record[data.draw(st.sampled_from(sorted(record)))]
        case "add":
            record[data.draw(st.text(max_size=5) | st.just("only"))] = data.draw(JSON)
        case "twice":
            records.append(record)
        case "say":
            record["text"] = data.draw(st.text(max_size=40))
        case _:
            records[number] = data.draw(JSON)
    escaped = data.draw(st.booleans())
    lines = [json.dumps(record, ensure_ascii=escaped) for record in records]
    with replaced(path, "\n".join(lines).encode()):
        rows = read(root, corpus, "en")
    if rows is not None:
        assert len(rows.filter(file=name)) == len(records)


@QUICK
@given(name=st.sampled_from(FILES), change=CHANGES)
def test_changed_bytes(
    root: Path, corpus: Corpus, name: str, change: tuple[float, int, bytes, bool]
) -> None:
    path = root / name
    with changed_bytes(path, change):
        rows = read(root, corpus, "en")
        if rows is not None:
            # What was read is what a plain reader of JSON makes of each line.
            lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
            said = [json.loads(line)["text"] for line in lines if line.strip()]
            assert rows.filter(file=name)["text"].to_list() == said


@QUICK
@given(texts=st.lists(st.text(max_size=12), max_size=6), escaped=st.booleans())
def test_any_texts_become_rows(root: Path, corpus: Corpus, texts: list[str], escaped: bool) -> None:
    """Any text without half a surrogate pair or a NUL character is read as it was written."""
    records = [
        {"scene": "s", "line": str(number), "speaker": None if number % 2 else "Ada", "text": text}
        for number, text in enumerate(texts)
    ]
    lines = [json.dumps(record, ensure_ascii=escaped) for record in records]
    with replaced(root / FILES[0], "\n".join(lines).encode()):
        rows = read(root, corpus, "en")
    if any("\0" in text for text in texts):
        assert rows is None
    else:
        assert rows is not None
        assert rows.filter(kind="dialog")["text"].to_list() == texts


@QUICK
@given(
    marks=st.lists(st.sampled_from(["documents", "chats", "nothing", None, ""]), max_size=6),
    escaped=st.booleans(),
)
def test_marks_of_lines_are_read_as_they_stand(
    root: Path, corpus: Corpus, marks: list[str | None], escaped: bool
) -> None:
    """``""`` stands for a line without the key."""
    records = [
        {"scene": "s", "line": str(number), "speaker": None, "text": "é"}
        | ({} if mark == "" else {"only": mark})
        for number, mark in enumerate(marks)
    ]
    lines = [json.dumps(record, ensure_ascii=escaped) for record in records]
    with replaced(root / FILES[0], "\n".join(lines).encode()):
        rows = read(root, corpus, "en")
    assert rows is not None
    dialog = rows.filter(kind="dialog")
    found = dialog["only"].to_list() if "only" in rows.columns else [None] * len(dialog)
    assert found == [mark or None for mark in marks]


@pytest.mark.parametrize("what", WHOLES)
@pytest.mark.parametrize("name", FILES)
def test_files_of_another_kind(
    root: Path, corpus: Corpus, name: str, what: str, tmp_path: Path
) -> None:
    with in_place_of(root / name, what, tmp_path):
        rows = read(root, corpus, "en")
    gone = {"missing", "empty", "blank", "a dangling link", "a link to itself"}
    assert (rows is not None) == (what in gone)
