"""What a fresh process finds in a home after a power cut: everything that is not as promised."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import ProjectFile
from cyrene_assets.store import records
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import CorruptArtifactError, Store
from cyrene_assets.utils.errors import CyreneError
from cyrene_assets.utils.files import DIGEST_LENGTH
from cyrene_assets.workers.train.resume import LOG as LOG_OF_STEPS
from cyrene_assets.workers.train.resume import prepare_attempt, resumable
from cyrene_assets.workers.train.training_log import cut_log

from .acts import COMMAND, CORPORA

Marks = Sequence[tuple[str, Any]]


def look(home: Path, made: Path, marks: Marks) -> list[str]:
    """Return what is wrong in ``home``; ``made`` is the same moment without a cut."""
    found = [*half_artifacts(home, marks), *missing(home, marks), *settings(home, marks)]
    found += [*trash(home, made, marks), *training(home, made, marks), *databases(home, marks)]
    return found


def half_artifacts(home: Path, marks: Marks) -> Iterator[str]:
    """Yield artifacts that are neither complete nor absent, and records that cannot be read."""
    store = Store(home / "store")
    harmed = _harmed(marks)
    for folder in store.folders():
        if len(folder.name) != DIGEST_LENGTH:
            continue
        key = ArtifactKey.of_folder(folder.parent.parent.name, folder.parent.name)
        artifact = store.locate(key, folder.name)
        try:
            artifact.verify(contents=True)
        except CorruptArtifactError as error:
            if artifact.digest not in harmed:
                yield f"half an artifact: {error}"
    for file in (store.root / records.FOLDER).glob("*/*/*.json"):
        if records._read(file) is None:
            yield f"half a record: {file}"


def _harmed(marks: Marks) -> set[str]:
    """Return the digests that an act harmed itself, on purpose, and did not make again."""
    harmed = set()
    for kind, said in marks:
        if kind == "damaged":
            harmed.add(said)
        elif kind == "recorded":
            harmed.discard(said["digest"])
    return harmed


def missing(home: Path, marks: Marks) -> Iterator[str]:
    """Yield what was promised to be in the store and is not."""
    store = Store(home / "store")
    harmed = _harmed(marks)
    for kind, said in marks:
        if kind != "recorded" or said["digest"] in harmed:
            continue
        key = ArtifactKey.parse(said["name"])
        try:
            store.open(key, said["digest"])
        except CorruptArtifactError as error:
            yield f"lost: {error}"
        if not records.is_written(store, key, said["digest"], said["lineage"]):
            yield f"lost: the record of {said['name']} {said['digest']}"


def settings(home: Path, marks: Marks) -> Iterator[str]:
    """Yield what is wrong with ``project.yaml`` and the home's name: old or new, nothing else."""
    promised = [said for kind, said in marks if kind == "project"]
    os.environ["CYRENE_HOME"] = str(home)
    try:
        corpus = Project.load().settings.corpus
    except CyreneError as error:
        yield f"project.yaml: {error}"
        return
    order = (ProjectFile().corpus, *CORPORA)
    if promised and order.index(corpus) < order.index(promised[-1]):
        yield f"project.yaml is that of before: {corpus}, not {promised[-1]}"
    for kind, said in marks:
        file = home / ".home-id"
        if kind == "claimed" and (not file.is_file() or file.read_text(encoding="utf-8") != said):
            yield "the home's name is lost"


def trash(home: Path, made: Path, marks: Marks) -> Iterator[str]:
    """Yield artifacts and records that are neither complete in the trash nor in the store.

    What is in either place of ``made``, where nothing was cut, has to be in one of them here.
    """
    emptied = {name for kind, said in marks if kind == "emptied" for name in said}
    emptied |= _harmed(marks)
    here = {path.name: path for path in _kept(home)}
    for path in _kept(made):
        found = here.get(path.name)
        if path.name in emptied:
            continue
        if found is not None:
            yield from _differs(found, path)
        elif "trash" in path.relative_to(made).parts:
            yield f"{path.name} is in neither the trash nor the store"


def _kept(home: Path) -> Iterator[Path]:
    """Yield the artifacts and records of the store and of the trash."""
    for place in (home / "store", *(home / "trash").glob("*/store")):
        for path in place.glob("[!.]*/*/*"):
            if len(path.name) == DIGEST_LENGTH:
                yield path
        yield from place.glob(f"{records.FOLDER}/*/*/*.json")


def _differs(found: Path, made: Path) -> Iterator[str]:
    """Yield the files that are not what was written."""
    for file in [made] if made.is_file() else [f for f in made.rglob("*") if f.is_file()]:
        copy = found / file.relative_to(made)
        if not copy.is_file() or copy.read_bytes() != file.read_bytes():
            yield f"{found}: {file.name} is damaged"


def training(home: Path, made: Path, marks: Marks) -> Iterator[str]:
    """Yield what is wrong where a training resumes: it begins at a complete checkpoint."""
    sealed = max((said for kind, said in marks if kind == "sealed"), default=None)
    for run in {path.parent for path in made.glob("work/*/*/*/*/checkpoint-*")}:
        here = home / run.relative_to(made)
        newest = resumable(here)
        if sealed is not None and (newest is None or newest[0] < sealed):
            yield f"sealed at step {sealed}, and resumes at {newest and newest[0]}"
        if newest is None:
            continue
        step, checkpoint = newest
        yield from _differs(checkpoint, run / checkpoint.name)
        if sealed is not None:
            yield from _resumed(here, run, step)


def _resumed(here: Path, made: Path, step: int) -> Iterator[str]:
    """Yield what is wrong after a training has begun again."""
    try:
        start = prepare_attempt(here, COMMAND)
    except CyreneError as error:
        yield f"no resume: {error}"
        return
    if start.step != step:
        yield f"resumes at {start.step}, not {step}"
    cut_log(here / LOG_OF_STEPS, step)
    wanted = (made / LOG_OF_STEPS).read_text(encoding="utf-8").splitlines(keepends=True)
    last = next(n for n, line in enumerate(wanted, 1) if f'"{step}/60"' in line)
    log = here / LOG_OF_STEPS
    if not log.is_file() or log.read_text(encoding="utf-8") != "".join(wanted[:last]):
        yield f"the log is not what it was up to step {step}"


def databases(home: Path, marks: Marks) -> Iterator[str]:
    """Yield artifacts that Dagster's database names and the store has not."""
    emptied = {name for kind, said in marks if kind == "emptied" for name in said}
    file = home / "dagster" / "history" / "runs" / "index.db"
    if not file.is_file():
        return
    store = Store(home / "store")
    for asset, partition, digest in _materialized(file):
        try:
            store.open(ArtifactKey(asset, partition), digest)
        except CorruptArtifactError as error:
            trashed = (home / "trash").glob(f"*/store/{asset}/*/{digest}")
            if digest not in emptied and not any(trashed):
                yield f"Dagster knows more than the store: {error}"


def _materialized(file: Path) -> list[tuple[str, str | None, str]]:
    """Return what the database says was made; one that is lost, or not yet made, says nothing."""
    asked = (
        "select event, partition from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'"
    )
    try:
        with sqlite3.connect(file) as database:
            rows = database.execute(asked).fetchall()
    except sqlite3.DatabaseError:
        return []
    found = []
    for event, partition in rows:
        said = json.loads(event)["dagster_event"]["event_specific_data"]["materialization"]
        asset = said["asset_key"]["path"][-1]
        found.append((asset, partition, said["tags"]["dagster/data_version"]))
    return found
