"""A source adapter is one module: nothing else has to know it."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mini_corpus import PEOPLE

from corpus.miniature import read_parallel
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.corpus.sources import adapters as installed
from cyrene_assets.corpus.sources.registry import adapters, digest_of, raw_files

TAPE = '''
"""Lines of a tape: scene, line, speaker and text, parted by tabs."""

from cyrene_assets.config.yaml_config import Strict
from cyrene_assets.corpus.sources.types import Problem, Row

MARKUP = ()


class Options(Strict):
    speed: int = 1


def files(root, corpus, language):
    return [root / "tape" / f"{language}.tsv"]


def read(root, corpus, language):
    [path] = files(root, corpus, language)
    people = corpus.language(language)
    roles = {**dict.fromkeys(people.players, "player"), "": "narration"}
    roles |= dict.fromkeys(people.speakers, "character")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line:
            yield Problem(f"tape/{language}.tsv", number, "silence", "cut it out")
            continue
        scene, unit, speaker, text = line.split("\\t")
        yield Row(
            unit=unit, scene=scene, order=number, kind="dialog", speaker=speaker or None,
            role=roles.get(speaker, "other"), title=None, text=text, language=language,
            file=f"tape/{language}.tsv", line=number,
        )
'''


@pytest.fixture
def tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A corpus that an adapter of one file reads."""
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "tape.py").write_text(TAPE, encoding="utf-8")
    monkeypatch.setattr(installed, "__path__", [*installed.__path__, str(tmp_path / "adapters")])
    importlib.invalidate_caches()
    root = tmp_path / "corpus"
    (root / "tape").mkdir(parents=True)
    config = {
        "name": "Taped",
        "source": {"adapter": "tape", "speed": 2},
        "split": {"validation": 0.2},
        "languages": {"en": PEOPLE["en"]},
    }
    (root / "corpus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    lines = [
        f"s{scene}\ts{scene}-{number}\t{speaker}\tReel {scene}, {text}."
        for scene in range(9)
        for number, (speaker, text) in enumerate(
            (("", "it hums"), ("You", "who is there"), ("Ada", f"it is only me and {scene} owls"))
        )
    ]
    (root / "tape" / "en.tsv").write_text("\n".join([*lines, "", ""]), encoding="utf-8")
    yield root
    sys.modules.pop(f"{installed.__name__}.tape", None)
    vars(installed).pop("tape", None)


def test_adapter_of_one_module_is_read_checked_and_rendered(tape: Path) -> None:
    assert "tape" in adapters()
    report = lint(tape)
    assert report.errors == []
    assert [str(found) for found in report.warnings if "silence" in str(found)] == [
        "tape/en.tsv:28: silence; cut it out"
    ]
    corpus, parallel = read_parallel(tape)
    assert corpus.source_params("en")["source"] == {"adapter": "tape", "speed": 2}
    before = raw_files(tape, corpus, "en")
    assert list(before) == ["tape/en.tsv"]
    units = parallel.units("en")
    documents = cpt_documents(units, corpus, "en")
    assert len(documents) == 9
    assert documents["text"].str.contains("Ada: Reel").all()
    assert len(sft_chats(units, corpus, "en")) == 9
    (tape / "tape" / "en.tsv").write_text("s\tl\tAda\tx\n", encoding="utf-8")
    assert digest_of(raw_files(tape, corpus, "en")) != digest_of(before)
