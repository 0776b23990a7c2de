"""Adoption: what the store has and Dagster's database does not know is recorded there again.

A database may be lost, wiped or another project's; a store may come from another machine. Each
artifact lies next to a record of what it was made from, so that nothing has to be made again: the
event that the normal path would have left is reported from that record.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from cyrene_assets.orchestration import lineage as lineages
from cyrene_assets.orchestration import planner
from cyrene_assets.orchestration.artifact_spec import SPECS, ArtifactSpec, expected_lineage
from cyrene_assets.orchestration.lineage import Record
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.orchestration.recorded_again import report
from cyrene_assets.orchestration.stored_records import RecordReader, to_stored_record
from cyrene_assets.project.project import Project
from cyrene_assets.store import records
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Store
from cyrene_assets.store.gc_lock import shared_lock
from cyrene_assets.store.records import StoredRecord
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import CyreneError


@dataclass(frozen=True)
class Adopted:
    """What an adoption did: the artifacts recorded, and why others could not be."""

    recorded: tuple[Record, ...] = ()
    left: tuple[str, ...] = ()


def adopt_inputs(
    project: Project, instance: dg.DagsterInstance, spec: ArtifactSpec, partition: str | None
) -> None:
    """Adopt what the store has, if the database knows no good input of what is about to be made."""
    for key in spec.upstream(partition):
        record = lineages.latest(instance, key)
        if record is None or not _is_there(project.store, record):
            adopt(project, instance)
            return


def adopt(project: Project, instance: dg.DagsterInstance) -> Adopted:
    """Record in Dagster what the store has and Dagster does not know; the other way round as well.

    Where Dagster names nothing that is in this store, what the next build would make is taken,
    else the newest that passed its blocking checks. Where it names something, only what is newer
    and was never recorded: a run that somebody deleted. What another process makes is left to it.
    Ended at any moment, the next adoption does the rest.
    """
    if not project.store.root.is_dir():
        return Adopted()
    with disk_errors(project.work):
        project.work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(project.work / "adopt.lock")
    with shared_lock(project.store.root), lock:
        return _Adoption(project, instance).run()


class _Adoption:
    def __init__(self, project: Project, instance: dg.DagsterInstance) -> None:
        self._project = project
        self._instance = instance
        self._store = project.store
        self._state = ProjectState(project, instance)
        self._reader = RecordReader(project.store)
        self._current: dict[ArtifactKey, Record | None] = {}
        self._recorded: list[Record] = []
        self._left: list[str] = []

    def run(self) -> Adopted:
        for asset in planner.build_order():
            spec = SPECS[asset]
            for partition in spec.partitions:
                if (self._store.root / spec.key(partition).folder).is_dir():
                    self._adopt_key(spec, spec.key(partition))
        return Adopted(tuple(self._recorded), tuple(self._left))

    def _adopt_key(self, spec: ArtifactSpec, key: ArtifactKey) -> None:
        work = self._project.work / key.folder
        with disk_errors(work):
            work.mkdir(parents=True, exist_ok=True)
        # The process that makes it records it.
        with suppress(Timeout), FileLock(work / "lock", timeout=0):
            latest = self._state.record(key)
            chosen = self._choose(spec, key, latest)
            if chosen is not None:
                report(self._instance, spec, key.partition, chosen)
                self._recorded.append(chosen)
            elif latest is not None and _is_there(self._store, latest):
                self._write_down(latest)
            self._current[key] = chosen or latest

    def _choose(self, spec: ArtifactSpec, key: ArtifactKey, latest: Record | None) -> Record | None:
        """Return what is to be current instead of ``latest``, or None."""
        makings = records.of_artifact(self._store, key)
        is_stored, was_stored_here = False, False
        if latest is not None:
            is_stored, was_stored_here = _is_there(self._store, latest), self._is_own(latest)
        if latest is not None and is_stored:
            newer = self._best(spec, self._never_recorded(latest, makings))
            if newer is not None or was_stored_here:
                return newer
        expected = self._wanted(spec, key.partition)
        if latest is not None and is_stored and latest.lineage.fingerprint in expected:
            return None
        # Another home's build may have come to the same content from other inputs.
        exact = self._best(spec, [r for r in makings if r.fingerprint in expected])
        if exact is not None or is_stored or was_stored_here:
            return exact
        best = self._best(spec, makings)
        if best is None and makings:
            self._left.append(
                f"{key}: no artifact of it is complete and says that its "
                "blocking checks passed: the next build makes it"
            )
        return best

    def _never_recorded(
        self, latest: Record, makings: Sequence[StoredRecord]
    ) -> list[StoredRecord]:
        """Return what is newer than ``latest`` and not in Dagster's history."""
        current = latest.digest, latest.lineage.fingerprint
        newer = [r for r in makings if r.recorded > latest.created]
        newer = [r for r in newer if (r.digest, r.fingerprint) != current]
        if not newer:
            return []
        history = lineages.history(self._instance, latest.key)
        known = {(record.digest, record.lineage.fingerprint) for record in history}
        return [r for r in newer if (r.digest, r.fingerprint) not in known]

    def _best(self, spec: ArtifactSpec, makings: Iterable[StoredRecord]) -> Record | None:
        candidates = [self._reader.record(spec, record) for record in makings]
        good = [record for record in candidates if record is not None]
        return max(good, key=lambda r: (not r.failed_checks, r.created), default=None)

    def _is_own(self, record: Record) -> bool:
        """Return whether an artifact was in this store: somebody removed it by hand, then."""
        path = record.metadata.get("path")
        root = self._store.root.resolve()
        return path is not None and Path(str(path.value)).resolve().is_relative_to(root)

    def _wanted(self, spec: ArtifactSpec, partition: str | None) -> frozenset[str]:
        """Return the fingerprints that the next build's artifact may have; none where not known."""
        inputs = {}
        for key in spec.upstream(partition):
            record = self._current.get(key)
            if record is not None:
                inputs[key] = record.digest
            elif not spec.allow_missing_inputs:
                return frozenset()
        try:
            return expected_lineage(spec, self._project, partition, inputs).fingerprints
        except CyreneError:
            return frozenset()

    def _write_down(self, record: Record) -> None:
        """Give the store a record of what only Dagster knows, as older versions left it."""
        lineage = record.lineage.fingerprint
        if not records.is_written(self._store, record.key, record.digest, lineage):
            artifact = self._store.locate(record.key, record.digest)
            entry = to_stored_record(
                artifact,
                record.lineage,
                record.metadata,
                record.checks,
                record.sources,
                record.run_id,
                record.seconds,
                recorded=record.created,
            )
            records.write(self._store, entry)


def _is_there(store: Store, record: Record) -> bool:
    return store.locate(record.key, record.digest).path.is_dir()
