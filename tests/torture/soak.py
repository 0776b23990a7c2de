"""Rebuild a changing corpus again and again in one process; nothing may grow."""

import os
import random
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from helpers import Sandbox, code_location
from mini_corpus import LANGUAGES, write_corpus

from cyrene_assets.orchestration import builder
from cyrene_assets.orchestration.garbage_collector import collect
from cyrene_assets.project.instance import open_instance, prepare
from cyrene_assets.project.project import Project

from .bench import environment, write_settings

TARGETS = ("cpt_documents", "sft_chat")
# Between the third and the last quarter of the rebuilds; memory is given back late.
GROWTH = {"memory_mb": 0.10}
USUAL_GROWTH = 0.05
ENOUGH = 16
WORDS = ("water", "lantern", "harbour", "kettle", "clock", "garden", "letter", "ferry")


def soak(place: Path, rebuilds: int, seed: int) -> Iterator[dict[str, float]]:
    """Change the corpus, build it, collect garbage, ``rebuilds`` times; yield what there is then.

    Sizes in bytes on the disk, numbers of files, runs and rows, the process's memory in MB.
    """
    shutil.rmtree(place, ignore_errors=True)
    corpus = write_corpus(place / "corpus")
    write_settings(place / "home", corpus, place / "none.yaml")
    (place / "home" / "project.yaml").write_text(f"corpus: {corpus}\n", encoding="utf-8")
    os.environ.update(environment(place))
    draw = random.Random(seed)
    for rebuild in range(rebuilds):
        started = time.monotonic()
        for file in draw.sample(sorted(corpus.glob("*/*.jsonl")), draw.randint(1, 3)):
            _reword(file, draw)
        if draw.random() < 0.2:
            _reword(corpus / "corpus.yaml", draw, "Be [a-z]+")
        project = Project.load()
        prepare(project, place)
        with open_instance(project) as instance:
            for target in TARGETS:
                builder.build(project, instance, code_location(), target, "tiny", _quiet)
            collect(project, instance, dry_run=False, now=True)
            sandbox = Sandbox(project.home, corpus, instance)
            waiting = [n for t in TARGETS for n, why in sandbox.plan(t).items() if why is not None]
            if waiting:
                raise RuntimeError(f"rebuild {rebuild}: out of date after a build: {waiting}")
            runs = instance.get_runs_count()
        yield {
            "rebuild": rebuild,
            "seconds": round(time.monotonic() - started, 2),
            "runs": runs,
            **_measured(project),
        }


def _quiet(_: object) -> None:
    pass


def _reword(file: Path, draw: random.Random, pattern: str | None = None) -> None:
    """Put other words in a file, as long as they were, nearly."""
    text = file.read_text(encoding="utf-8")
    if pattern is not None:
        text = re.sub(pattern, f"Be {draw.choice(WORDS)}", text)
    else:
        lines = text.splitlines()
        number = draw.randrange(len(lines))
        language = LANGUAGES.index(file.stem)
        first, second = draw.choice(WORDS), draw.choice(WORDS)
        said = f"{first} {second} {language}{number}{draw.randrange(100):02}"
        lines[number] = re.sub(r'("text": ")[^"]*"', rf'\g<1>{said}."', lines[number])
        text = "\n".join(lines) + "\n"
    file.write_text(text, encoding="utf-8")


def _measured(project: Project) -> dict[str, float]:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    memory = re.search(r"VmRSS:\s+(\d+) kB", status)
    index = project.dagster_home / "history" / "runs" / "index.db"
    with sqlite3.connect(index) as database:
        rows = sum(
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for (table,) in database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
        )
    database.close()
    return {
        "store_kb": _size(project.store.root) / 1e3,
        "work_and_logs_kb": (_size(project.work) + _size(project.logs)) / 1e3,
        "dagster_kb": _size(project.dagster_home) / 1e3,
        "files": sum(1 for path in project.home.rglob("*") if path.is_file()),
        "rows": rows,
        "open_files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "memory_mb": int(memory[1]) / 1e3 if memory else 0.0,
    }


def _size(folder: Path) -> float:
    return float(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))


def growth(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return by how much each measure grew from the third quarter of the rebuilds to the last.

    A few rebuilds tell nothing of it.
    """
    if len(rows) < ENOUGH:
        return {}
    quarter = len(rows) // 4
    third, last = rows[-2 * quarter : -quarter], rows[-quarter:]

    def mean(part: Sequence[Mapping[str, float]], name: str) -> float:
        return sum(row[name] for row in part) / len(part)

    names = [name for name in rows[0] if name not in ("rebuild", "seconds")]
    return {
        name: round(mean(last, name) / mean(third, name) - 1, 4)
        for name in names
        if mean(third, name)
    }


def grown(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the measures that do not stay flat."""
    return [name for name, by in growth(rows).items() if by > GROWTH.get(name, USUAL_GROWTH)]
