"""The projects that the power is cut in while a build or the collector works on them."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mini_corpus import write_corpus

from torture.bench import Bench, build, write_settings
from torture.kills import finish
from torture.processes import in_child

_BUILD = "build "
_COLLECTED = "sft_chat"


def project_of(bench: Bench, act: str) -> Callable[[Path], object] | None:
    """Return what makes the project that an act works on; None where it makes its own."""
    if act.startswith(_BUILD):
        stage = act.removeprefix(_BUILD)
        bench.prepare((stage,))
        return partial(bench.restore, stage)
    if act == "collect":
        bench.prepare((_COLLECTED,))
        return partial(_with_garbage, bench)
    return None


def after_build(bench: Bench, act: str, place: Path) -> Callable[[], list[str]] | None:
    """Return what builds on after a cut, and says what is not as it would be without one."""
    if not act.startswith(_BUILD):
        return None
    return partial(finish, bench, act.removeprefix(_BUILD), place)


def _with_garbage(bench: Bench, place: Path) -> None:
    """Make a project whose corpus has changed, so that the artifacts of before are garbage."""
    shutil.copytree(bench.folder / "after" / _COLLECTED, place / "home", symlinks=True)
    corpus = write_corpus(place / "corpus")
    for file in corpus.glob("dialog/*.jsonl"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("3.", "3!"), encoding="utf-8")
    write_settings(place / "home", corpus, bench.recipe)
    in_child(place / "build", partial(build, place, _COLLECTED))
