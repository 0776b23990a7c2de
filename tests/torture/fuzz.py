"""100,000 harmed inputs: rows, or an error in words; never a crash, never a hang."""

import json
import random
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import yaml
from corpus.miniature import write_corpus
from corpus.sources.game_miniature import broken
from corpus.sources.mangling import read

from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.config.yaml_config import parse_model
from cyrene_assets.corpus.chat_tables import spoken_texts
from cyrene_assets.corpus.config import Corpus, load_corpus
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.preparation.cleaning import has_control_tokens
from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus
from cyrene_assets.corpus.rendering import rendering
from cyrene_assets.corpus.sources.registry import read_listed
from cyrene_assets.project.settings import ProjectFile
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import CorruptArtifactError, Store
from cyrene_assets.utils.errors import UserError

from .bench import ROOT
from .mutations import Change, changed, json_file, json_lines, yaml_file

HANG_SECONDS = 30
# How often a corpus is made completely, up to documents and chats: far slower than reading it.
WHOLE = 0.05


class HungError(Exception):
    """An input that took longer than any may."""


@dataclass
class Outcomes:
    """How inputs of one kind ended; ``crashes`` names each that ended otherwise, with its seed."""

    kind: str
    inputs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    crashes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the outcomes as a JSON value."""
        return {**vars(self), "ends": dict(self.ends), "slowest": round(self.slowest, 2)}


@dataclass(frozen=True)
class Kind:
    """A kind of input: the files that are harmed, how, and what then reads them."""

    name: str
    share: float
    files: tuple[Path, ...]
    structural: Change
    read: Callable[[random.Random, Path], str]


def kinds(folder: Path) -> list[Kind]:
    """Write one complete input of every kind into ``folder``."""
    return [
        _dialog(folder / "dialog"),
        _game(folder / "game"),
        _corpus_yaml(folder / "settings"),
        _recipe(folder / "recipe.yaml"),
        _project(folder / "project.yaml"),
        _manifest(folder / "store"),
    ]


def run(kind: Kind, first: int, number: int, seed: int) -> Outcomes:
    """Harm and read ``number`` inputs, from the ``first`` on; each is its own number's."""
    outcomes = Outcomes(kind.name)
    originals = {path: path.read_bytes() for path in kind.files}
    for case in range(first, first + number):
        draw = random.Random(f"{kind.name} {seed} {case}")
        path = draw.choice(kind.files)
        path.write_bytes(changed(originals[path], kind.structural, draw))
        started = time.monotonic()
        try:
            with _limit():
                outcomes.ends[kind.read(draw, path)] += 1
        except Exception:
            said = traceback.format_exc(limit=-4)[-1500:]
            outcomes.crashes.append(f"{kind.name} {seed} {case} ({path.name}): {said}")
        finally:
            path.write_bytes(originals[path])
        outcomes.slowest = max(outcomes.slowest, time.monotonic() - started)
        outcomes.inputs += 1
    return outcomes


@contextmanager
def _limit() -> Iterator[None]:
    def hung(number: int, frame: FrameType | None) -> None:
        raise HungError(f"over {HANG_SECONDS} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(HANG_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _read_corpus(root: Path, corpus: Corpus, language: str, draw: random.Random) -> str:
    if draw.random() > WHOLE:
        return "error" if read(root, corpus, language) is None else "read"
    report = lint(root)
    for problem in (*report.errors, *report.warnings):
        str(problem).encode()
    return _render(root, corpus) if report.ok else "error"


def _render(root: Path, corpus: Corpus) -> str:
    """Make what models learn from of a corpus that can be built."""
    with TemporaryDirectory() as scratch:
        parallel = build_parallel_corpus(
            lambda code: read_listed(root, corpus, code)[0], corpus, Path(scratch)
        )
        for language in corpus.languages:
            units = parallel.units(language)
            documents = rendering.cpt_documents(units, corpus, language)
            chats = rendering.sft_chats(units, corpus, language)
            assert not has_control_tokens(documents["text"]).any()
            assert not has_control_tokens(spoken_texts(chats["messages"])).any()
    return "rendered"


def _dialog(root: Path) -> Kind:
    write_corpus(root)
    corpus = load_corpus(root)
    files = (root / "dialog" / "en.jsonl", root / "documents" / "en.jsonl")
    return Kind(
        "dialog corpus",
        0.34,
        files,
        json_lines,
        lambda draw, _: _read_corpus(root, corpus, "en", draw),
    )


def _game(root: Path) -> Kind:
    game = broken().write(root / "data")
    (game / "vendor").mkdir()
    (game / "vendor" / "a.md").write_text("# The Mill\n\nIt turns.\n", encoding="utf-8")
    instruction = json.dumps({"instruction": "Add.", "input": "1", "output": "a \\n b"})
    (game / "vendor" / "b.jsonl").write_text(f"{instruction}\n", encoding="utf-8")
    shipped = ROOT / "corpora" / "cyrene" / "corpus.yaml"
    config = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    config["source"] |= {"folder": str(game), "select": {}, "vendor": {"th": ["vendor"]}}
    config["languages"] = {key: config["languages"][key] for key in ("en", "th")}
    (root / "corpus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    corpus = load_corpus(root)
    files = (
        *sorted((game / "ExcelOutput").glob("*.json")),
        *sorted((game / "TextMap").glob("TextMap*TH*.json")),
        *sorted((game / "TextMap").glob("TextMap*EN*.json")),
        *sorted((game / "vendor").iterdir()),
    )

    def structural(content: bytes, draw: random.Random) -> bytes:
        try:
            return json_file(content, draw)
        except ValueError:  # a page
            return content

    return Kind(
        "game data",
        0.3,
        files,
        structural,
        lambda draw, _: _read_corpus(root, corpus, draw.choice(("en", "th")), draw),
    )


def _settled(read_it: Callable[[Path], Any]) -> Callable[[random.Random, Path], str]:
    def read_settings(_: random.Random, path: Path) -> str:
        try:
            read_it(path)
        except UserError as error:
            said = str(error)
            assert str(path) in said
            assert len(said) < 30_000
            said.encode()
            return "error"
        return "read"

    return read_settings


def _corpus_yaml(root: Path) -> Kind:
    write_corpus(root)
    game = root / "game" / "corpus.yaml"
    game.parent.mkdir()
    shipped = yaml.safe_load((ROOT / "corpora/cyrene/corpus.yaml").read_text(encoding="utf-8"))
    shipped["languages"] = {"en": shipped["languages"]["en"]}
    game.write_text(yaml.safe_dump(shipped, allow_unicode=True), encoding="utf-8")

    def load(path: Path) -> None:
        corpus = load_corpus(path.parent)
        for language in corpus.languages:
            json.dumps(corpus.source_params(language))

    files = (root / "corpus.yaml", game)
    return Kind("corpus.yaml", 0.14, files, yaml_file, _settled(load))


def _recipe(path: Path) -> Kind:
    shutil.copyfile(ROOT / "cyrene_assets" / "recipes" / "tiny.yaml", path)

    def load(recipe: Path) -> None:
        json.dumps(load_recipe(str(recipe)).values())

    return Kind("recipe", 0.1, (path,), yaml_file, _settled(load))


def _project(path: Path) -> Kind:
    settings = {
        "corpus": "sample",
        "recipes": {"4B": "seed-v2", "tiny": "/some/mine.yaml"},
        "base_models": {"4B": {"path": "/models/x"}, "2B": {"repository": "a/b"}},
        "pins": {"a/b": "0" * 40},
        "report_to": ["wandb"],
    }
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return Kind(
        "project.yaml",
        0.04,
        (path,),
        yaml_file,
        _settled(lambda file: parse_model(ProjectFile, file)),
    )


def _manifest(root: Path) -> Kind:
    store = Store(root)
    with store.stage("thing") as out:
        (out / "data.txt").write_text("the data\n")
        (out / "log.txt").write_text("a log\n")
        fields = {"code_version": "1", "inputs": {"other[en]": "0" * 16}, "params": {"a": [1, "b"]}}
        artifact = store.publish(out, ArtifactKey("thing", "en"), fields)

    def look(_: random.Random, path: Path) -> str:
        try:
            found = store.open(ArtifactKey("thing", "en"), artifact.digest)
        except CorruptArtifactError:
            return "error"
        # What reads the same is the same.
        assert found.manifest == artifact.manifest
        return "read"

    return Kind("manifest", 0.08, (artifact.path / "manifest.json",), json_file, look)
