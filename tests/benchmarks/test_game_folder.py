import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.sources.registry import read_listed
from cyrene_assets.corpus.sources.types import Problem

ROOT = Path(__file__).parents[2]
SCALE = "0.004"
# Rows of these are made of several entries, or of one with changes.
KINDS = {"dialog", "book", "story", "voice", "term", "quest", "mail", "chronicle", "wiki"}


def write(out: Path, *languages: str, seed: int = 1) -> Path:
    command = [sys.executable, "-m", "benchmarks.game_folder", str(out), "--scale", SCALE]
    command += ["--seed", str(seed), "--languages", *languages]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("game"), "chs", "en", "th")


@pytest.fixture(scope="module")
def truth(game: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((game / "truth.json").read_text(encoding="utf-8"))
    return found


def rows_of(game: Path, corpus: str, language: str) -> tuple[pl.DataFrame, list[Problem]]:
    return read_listed(game / corpus, load_corpus(game / corpus), language)


def test_every_kind_of_text_is_there_and_nothing_is_wrong_but_what_is_said(
    game: Path, truth: dict[str, Any]
) -> None:
    rows, left_out = rows_of(game, "everything", "chs")
    assert set(rows["kind"]) == KINDS | {"vendor", "instruction"}
    lines = rows.filter(kind="dialog")
    assert len(lines) == truth["lines"] - len(truth["by_language"]["chs"]["missing"])
    said = {problem.message.rpartition(": ")[2] for problem in left_out}
    assert said <= {
        "a line without a text in this language",
        "a speaker whose name this language does not have (the player's is put there)",
    } | {message for message in said if message.startswith("nothing belongs to")}


def test_the_characters_selection_finds_a_share_and_her(game: Path) -> None:
    everything, _ = rows_of(game, "everything", "en")
    hers, _ = rows_of(game, "character", "en")
    scenes = [rows.filter(kind="dialog")["scene"].n_unique() for rows in (everything, hers)]
    assert 0.05 < scenes[1] / scenes[0] < 0.4
    assert "Cyrene" in set(hers.filter(role="character")["speaker"])


def test_faults_are_where_the_truth_says(game: Path, truth: dict[str, Any]) -> None:
    texts = {
        language: dict(rows_of(game, "everything", language)[0].select("unit", "text").rows())
        for language in ("chs", "en", "th")
    }
    faults = truth["by_language"]["th"]
    assert faults["untranslated_copy"]
    for unit in faults["untranslated_copy"]:
        assert texts["th"][unit] == texts["en"][unit] != texts["chs"].get(unit)
    assert all(unit not in texts["th"] for unit in faults["missing"])
    assert all(texts["th"][unit] == "" for unit in faults["empty"])
    for unit in faults["placeholder_mismatch"]:
        marks = [any(mark in texts[code][unit] for mark in "{<") for code in ("en", "th")]
        assert marks == [True, False]
    for unit in truth["unknown_placeholder"]:
        assert "{AETHER#7}" in texts["en"][unit]


def test_scenes_repeat_others_as_the_truth_says(game: Path, truth: dict[str, Any]) -> None:
    rows, _ = rows_of(game, "everything", "en")
    said = dict(rows.group_by("scene").agg(pl.col("text").sort_by("order")).rows())
    assert truth["exact_duplicates"]
    for scene, original in truth["exact_duplicates"].items():
        assert said[scene] == said[original]
    assert truth["near_duplicates"]
    for scene, origin in truth["near_duplicates"].items():
        words = [" ".join(said[name]).split() for name in (scene, origin["of"])]
        same = sum(a == b for a, b in zip(*words, strict=True)) / len(words[0])
        assert 0.5 < same <= 1


def test_a_languages_text_depends_on_nothing_but_the_seed(game: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again", "en")
    other = write(tmp_path / "other", "en", seed=2)
    file = "game/TextMap/TextMapEN.json"
    assert (again / file).read_bytes() == (game / file).read_bytes()
    assert (other / file).read_bytes() != (game / file).read_bytes()
    table = "game/ExcelOutput/TalkSentenceConfig.json"
    assert (again / table).read_bytes() == (game / table).read_bytes()
    assert {path.stem for path in (game / "game" / "TextMap").iterdir()} == {
        *("TextMapCHS", "TextMapEN", "TextMapTH_0", "TextMapTH_1")
    }
