"""Whatever is done to a game-data folder: rows, or a problem that names the file."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyrene_assets.corpus.clean import clean_units
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.sources import Row, SourceError, read_listed

from .game_miniature import broken

SHIPPED = Path(__file__).parents[3] / "corpora" / "cyrene"
ROOT = Path(tempfile.gettempdir())


@pytest.fixture(scope="module")
def game() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="game-data-"))
    yield broken().write(root)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def corpus(game: Path) -> Corpus:
    config = yaml.safe_load((SHIPPED / "corpus.yaml").read_text(encoding="utf-8"))
    config["source"] |= {"folder": str(game), "select": {}}
    return Corpus.model_validate(config)


def _read(corpus: Corpus, language: str) -> pl.DataFrame | None:
    """Read a language; null when its files are refused, each problem with a file and a remedy."""
    try:
        rows, left_out = read_listed(ROOT, corpus, language)
    except SourceError as error:
        refused = error.problems
    else:
        refused = []
    if refused:
        assert all(problem.file and problem.remedy for problem in refused)
        return None
    assert rows.columns == list(Row._fields)
    assert rows["unit"].is_unique().all()
    assert rows["text"].null_count() == rows["scene"].null_count() == 0
    assert not rows["text"].str.contains("\0", literal=True).any()
    assert all(problem.file and problem.line >= 0 for problem in left_out)
    assert len(clean_units(rows, "Kai")) == len(rows)
    return rows


FILES = [
    *("TalkSentenceConfig", "BookSeriesConfig", "LocalbookConfig", "StoryAtlas", "VoiceAtlas"),
    *("AvatarConfig", "AvatarConfigLD", "NounAtlas", "ChronicleConclusion", "MainMission"),
    *("SubMission", "TarotMailbox", "TarotMails", "TarotBookSentence", "TarotWikiData"),
    *("TarotWikiSubdata", "TarotWikiChangeinfo", "TextJoinConfig", "TextJoinItem"),
]
NUMBERS = st.integers(-(1 << 66), 1 << 66) | st.sampled_from([0, -1, 1415, (1 << 63) - 1, 1 << 63])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Hash", "ID", "x"]), inner, max_size=2)
    ),
    max_leaves=5,
)
QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUICK
@given(name=st.sampled_from(FILES), data=st.data())
def test_changed_entries(game: Path, corpus: Corpus, name: str, data: st.DataObject) -> None:
    path = game / "ExcelOutput" / f"{name}.json"
    original = path.read_bytes()
    entries: list[Any] = json.loads(original)
    number = data.draw(st.integers(0, len(entries) - 1))
    entry: dict[str, Any] = entries[number]
    match data.draw(st.sampled_from(["set", "drop", "twice", "replace"])):
        case "set" if entry:
            entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(JSON | _hashes())
        case "drop" if entry:
            del entry[data.draw(st.sampled_from(sorted(entry)))]
        case "twice":
            entries.append(entry)
        case _:
            entries[number] = data.draw(JSON)
    try:
        path.write_text(json.dumps(entries), encoding="utf-8")
        _read(corpus, "en")
    finally:
        path.write_bytes(original)


def _hashes() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"Hash": NUMBERS | st.none()})


@QUICK
@given(
    name=st.sampled_from(
        [*(f"ExcelOutput/{name}.json" for name in FILES), "TextMap/TextMapTH_1.json"]
    ),
    start=st.floats(0, 1),
    length=st.integers(0, 40),
    put=st.binary(max_size=8) | st.sampled_from([b"\\u0000", b"\\ud800", b'"', b"\\n", b"{}"]),
    cut=st.booleans(),
)
def test_changed_bytes(
    game: Path, corpus: Corpus, name: str, start: float, length: int, put: bytes, cut: bool
) -> None:
    path = game / name
    original = path.read_bytes()
    at = int(start * len(original))
    try:
        path.write_bytes(original[:at] + put + (b"" if cut else original[at + length :]))
        _read(corpus, "th")
    finally:
        path.write_bytes(original)


@QUICK
@given(texts=st.dictionaries(st.text(max_size=3) | NUMBERS.map(str), JSON, max_size=4))
def test_any_text_map(game: Path, corpus: Corpus, texts: dict[str, Any]) -> None:
    path = game / "TextMap" / "TextMapDE.json"
    original = path.read_bytes()
    try:
        path.write_text(json.dumps(texts), encoding="utf-8")
        _read(corpus, "de")
    finally:
        path.write_bytes(original)


@QUICK
@given(texts=st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_any_texts_become_rows(game: Path, corpus: Corpus, texts: list[str]) -> None:
    """Any text without half a surrogate pair or a NUL character can be told and read again."""
    path = game / "TextMap" / "TextMapDE.json"
    original = path.read_bytes()
    named = dict(zip(json.loads(original), texts * 500, strict=False))
    try:
        path.write_text(json.dumps(named), encoding="utf-8")
        rows = _read(corpus, "de")
        if rows is not None:
            told = set(rows.filter(kind="dialog")["text"])
            assert told <= set(texts) | set(rows["text"].filter(rows["text"].str.contains("\n")))
    finally:
        path.write_bytes(original)
