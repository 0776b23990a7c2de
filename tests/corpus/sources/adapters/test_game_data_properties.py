"""Whatever is done to a game-data folder: rows, or a problem that names the file."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from corpus.sources.game_miniature import broken
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
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.preparation.cleaning import clean_units

SHIPPED = Path(__file__).parents[4] / "corpora" / "cyrene"
ROOT = Path(tempfile.gettempdir())
FILES = [
    *("TalkSentenceConfig", "BookSeriesConfig", "LocalbookConfig", "StoryAtlas", "VoiceAtlas"),
    *("AvatarConfig", "AvatarConfigLD", "NounAtlas", "ChronicleConclusion", "MainMission"),
    *("SubMission", "TarotMailbox", "TarotMails", "TarotBookSentence", "TarotWikiData"),
    *("TarotWikiSubdata", "TarotWikiChangeinfo", "TextJoinConfig", "TextJoinItem"),
]
TEXTS = "TextMap/TextMapTH_1.json"
PLACES = [*(f"ExcelOutput/{name}.json" for name in FILES), TEXTS, "vendor/a.md", "vendor/b.jsonl"]
# What may be done without at the language's cost alone.
OPTIONAL = ("vendor/a.md", "vendor/b.jsonl")


@pytest.fixture(scope="module")
def game() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="game-data-"))
    game = broken().write(root / "game")
    (game / "vendor").mkdir()
    (game / "vendor" / "a.md").write_text("# The Mill\n\nIt turns.\n")
    instruction = {"instruction": "Add.", "input": "1", "output": "a \\n b"}
    (game / "vendor" / "b.jsonl").write_text(f"{json.dumps(instruction)}\n" * 2)
    yield game
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def corpus(game: Path) -> Corpus:
    config = yaml.safe_load((SHIPPED / "corpus.yaml").read_text(encoding="utf-8"))
    config["source"] |= {"folder": str(game), "select": {}, "vendor": {"th": ["vendor"]}}
    return Corpus.model_validate(config)


@QUICK
@given(name=st.sampled_from(FILES), data=st.data())
def test_changed_entries(game: Path, corpus: Corpus, name: str, data: st.DataObject) -> None:
    path = game / "ExcelOutput" / f"{name}.json"
    entries: list[Any] = json.loads(path.read_bytes())
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
    with replaced(path, json.dumps(entries).encode()):
        rows = read(ROOT, corpus, "en")
    assert rows is None or len(clean_units(rows, "Kai", corpus.rules())) == len(rows)


def _hashes() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"Hash": NUMBERS | st.none()})


@QUICK
@given(name=st.sampled_from(PLACES), change=CHANGES)
def test_changed_bytes(
    game: Path, corpus: Corpus, name: str, change: tuple[float, int, bytes, bool]
) -> None:
    with changed_bytes(game / name, change):
        read(ROOT, corpus, "th")


@pytest.mark.parametrize("what", WHOLES)
@pytest.mark.parametrize("name", [PLACES[0], PLACES[3], TEXTS, *OPTIONAL])
def test_files_of_another_kind(
    game: Path, corpus: Corpus, name: str, what: str, tmp_path: Path
) -> None:
    with in_place_of(game / name, what, tmp_path):
        rows = read(ROOT, corpus, "th")
    harmless = {
        "vendor/a.md": {"empty", "blank", "truncated", "twice", "nested deep", "a number", "null"},
        "vendor/b.jsonl": {"empty", "blank", "twice"},
    }
    if name not in OPTIONAL:
        assert rows is None
    elif what in harmless[name]:
        assert rows is not None
    elif what != "NUL bytes":
        gone = ("missing", "a dangling link", "a link to itself")
        assert rows is None or what in gone or "a.md" in name


@QUICK
@given(texts=st.dictionaries(st.text(max_size=3) | NUMBERS.map(str), JSON, max_size=4))
def test_any_text_map(game: Path, corpus: Corpus, texts: dict[str, Any]) -> None:
    with replaced(game / "TextMap" / "TextMapDE.json", json.dumps(texts).encode()):
        read(ROOT, corpus, "de")


@QUICK
@given(texts=st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_any_texts_become_rows(game: Path, corpus: Corpus, texts: list[str]) -> None:
    """Any text without half a surrogate pair or a NUL character can be told and read again."""
    path = game / "TextMap" / "TextMapDE.json"
    named = dict(zip(json.loads(path.read_bytes()), texts * 500, strict=False))
    with replaced(path, json.dumps(named).encode()):
        rows = read(ROOT, corpus, "de")
    if rows is not None:
        told = set(rows.filter(kind="dialog")["text"])
        assert told <= set(texts) | set(rows["text"].filter(rows["text"].str.contains("\n")))
