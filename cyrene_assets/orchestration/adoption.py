"""Adoption: what the store has and Dagster's database does not know is recorded there again.

A database may be lost, wiped or another project's; a store may come from another machine. Each
artifact lies next to a record of what it was made from, so that nothing has to be made again: the
event that the normal path would have left is reported from that record.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import time
from typing import Any

import dagster as dg
from filelock import FileLock, Timeout

from cyrene_assets import lineage as lineages
from cyrene_assets import planner, store_records
from cyrene_assets.artifact_spec import SPECS, ArtifactSpec, expected_lineage
from cyrene_assets.disk import disk_errors
from cyrene_assets.errors import CyreneError
from cyrene_assets.lineage import Lineage, Record
from cyrene_assets.orchestration.provenance import provenance_tags
from cyrene_assets.project import Project
from cyrene_assets.runs import forget_reported_check
from cyrene_assets.situation import Key, Situation
from cyrene_assets.store import Artifact, CorruptArtifactError, Store, label
from cyrene_assets.store_lock import in_use
from cyrene_assets.store_records import StoredRecord

# What a record of the store does not keep of a materialization's metadata: it says it itself, or
# it depends on where the store is.
_OWN = frozenset({lineages.METADATA_KEY, "path"})


@dataclass(frozen=True)
class Adopted:
    """What an adoption did: the artifacts recorded, and why others could not be."""

    recorded: tuple[Record, ...] = ()
    left: tuple[str, ...] = ()


def stored(
    artifact: Artifact,
    lineage: Lineage,
    metadata: Mapping[str, Any],
    checks: Sequence[Mapping[str, Any]],
    sources: Mapping[str, str],
    run_id: str,
    seconds: float,
    *,
    recorded: float | None = None,
) -> StoredRecord:
    """Return the store's record of what Dagster is told; ``recorded`` is now where left out."""
    kept = {name: value for name, value in metadata.items() if name not in _OWN}
    event = dg.AssetMaterialization(artifact.asset, metadata=kept)
    return StoredRecord(
        asset=artifact.asset,
        partition=artifact.partition,
        digest=artifact.digest,
        code_version=lineage.code_version,
        params=dict(lineage.params),
        inputs=dict(lineage.inputs),
        seconds=seconds,
        checks=[dict(check) for check in checks],
        sources=dict(sources),
        run_id=run_id,
        recorded=time() if recorded is None else recorded,
        metadata=json.loads(dg.serialize_value(event)),
    )


def find(store: Store, spec: ArtifactSpec, partition: str | None, wanted: str) -> Record | None:
    """Return the newest making in the store whose fingerprint is ``wanted`` and that passed."""
    teller = _Teller(store)
    for record in store_records.of_partition(store, spec.name, partition):
        if record.fingerprint == wanted and not record.failed:
            told = teller.record(spec, record)
            if told is not None:
                return told
    return None


def adopt_inputs(
    project: Project, instance: dg.DagsterInstance, spec: ArtifactSpec, partition: str | None
) -> None:
    """Adopt what the store has, if the database knows no good input of what is about to be made."""
    for asset, key in spec.upstream(partition):
        record = lineages.latest(instance, asset, key)
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
    with in_use(project.store.root), lock:
        return _Adoption(project, instance).run()


class _Teller:
    """Turns the store's records into those of Dagster's kind."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _used(self) -> set[tuple[str, str]]:
        """Every artifact that another one was made from: its blocking checks had passed."""
        return {item for r in store_records.everything(self._store) for item in r.inputs.items()}

    def record(self, spec: ArtifactSpec, stored: StoredRecord) -> Record | None:
        """Return the record, or None where its files are damaged or its checks are not known."""
        artifact = self._store.locate(stored.asset, stored.partition, stored.digest)
        try:
            artifact.verify(contents=False)
        except CorruptArtifactError:
            return None
        checks = self._checks(spec, stored)
        if checks is None:
            return None
        lineage = Lineage(stored.code_version, stored.params, stored.inputs)
        size = sum(file["bytes"] for file in artifact.manifest["files"].values())
        told: dict[str, Any] = {
            "summary": "recorded again from its manifest",
            "digest": stored.digest,
            "megabytes": round(size / 1e6, 3),
            "seconds": round(stored.seconds, 1),
        }
        if stored.metadata is not None:
            event = dg.deserialize_value(json.dumps(stored.metadata), dg.AssetMaterialization)
            told = dict(event.metadata)
        told["path"] = dg.MetadataValue.path(str(artifact.path))
        told[lineages.METADATA_KEY] = dg.MetadataValue.json(
            {
                **lineage.as_dict(),
                "digest": stored.digest,
                "seconds": round(stored.seconds, 1),
                "checks": checks,
                "sources": stored.sources,
                "made": {"run_id": stored.run_id, "created": stored.recorded},
            }
        )
        return Record(
            asset=stored.asset,
            partition=stored.partition,
            digest=stored.digest,
            lineage=lineage,
            run_id=stored.run_id,
            created=stored.recorded,
            seconds=stored.seconds,
            checks=tuple(checks),
            metadata=dg.AssetMaterialization(stored.asset, metadata=told).metadata,
            sources=stored.sources,
        )

    def _checks(self, spec: ArtifactSpec, stored: StoredRecord) -> list[dict[str, Any]] | None:
        """Return what the checks found, or None where nothing tells that the blocking ones passed.

        Older manifests do not say it. Where something was made from the artifact they had passed,
        for otherwise its input would have been refused.
        """
        if stored.checks is not None:
            return stored.checks
        blocking = [check.name for check in spec.checks if check.blocking]
        if blocking and (stored.name, stored.digest) not in self._used:
            return None
        detail = "passed when it was made: something was made from it"
        return [
            {"name": name, "passed": True, "blocking": True, "detail": detail} for name in blocking
        ]


class _Adoption:
    def __init__(self, project: Project, instance: dg.DagsterInstance) -> None:
        self._project = project
        self._instance = instance
        self._store = project.store
        self._situation = Situation(project, instance)
        self._teller = _Teller(project.store)
        self._current: dict[Key, Record | None] = {}
        self._recorded: list[Record] = []
        self._left: list[str] = []

    def run(self) -> Adopted:
        for asset in planner.build_order():
            spec = SPECS[asset]
            keys = spec.partitions_def.get_partition_keys() if spec.partitions_def else [None]
            for partition in keys:
                if (self._store.root / asset / (partition or "_")).is_dir():
                    self._look_at(spec, partition)
        return Adopted(tuple(self._recorded), tuple(self._left))

    def _look_at(self, spec: ArtifactSpec, partition: str | None) -> None:
        work = self._project.work / spec.name / (partition or "_")
        with disk_errors(work):
            work.mkdir(parents=True, exist_ok=True)
        # Whoever makes it records it.
        with suppress(Timeout), FileLock(work / "lock", timeout=0):
            latest = self._situation.record(spec.name, partition)
            chosen = self._choose(spec, partition, latest)
            if chosen is not None:
                self._record(spec, partition, chosen)
                self._recorded.append(chosen)
            elif latest is not None and _is_there(self._store, latest):
                self._write_down(latest)
            self._current[spec.name, partition] = chosen or latest

    def _choose(
        self, spec: ArtifactSpec, partition: str | None, latest: Record | None
    ) -> Record | None:
        """Return what is to be current instead of ``latest``, or None."""
        found = store_records.of_partition(self._store, spec.name, partition)
        there, own = False, False
        if latest is not None:
            there, own = _is_there(self._store, latest), self._is_own(latest)
        if latest is not None and there:
            newer = self._best(spec, self._never_recorded(latest, found))
            if newer is not None or own:
                return newer
        wanted = self._wanted(spec, partition)
        if latest is not None and there and latest.lineage.fingerprint == wanted:
            return None
        # Another home's build may have come to the same content from other inputs.
        exact = self._best(spec, [r for r in found if r.fingerprint == wanted])
        if exact is not None or there or own:
            return exact
        best = self._best(spec, found)
        if best is None and found:
            self._left.append(
                f"{label(spec.name, partition)}: no artifact of it is whole and says that its "
                "blocking checks passed: the next build makes it"
            )
        return best

    def _never_recorded(self, latest: Record, found: Sequence[StoredRecord]) -> list[StoredRecord]:
        """Return what is newer than ``latest`` and not in Dagster's history."""
        own = latest.digest, latest.lineage.fingerprint
        newer = [r for r in found if r.recorded > latest.created]
        newer = [r for r in newer if (r.digest, r.fingerprint) != own]
        if not newer:
            return []
        history = lineages.history(self._instance, latest.asset, latest.partition)
        known = {(record.digest, record.lineage.fingerprint) for record in history}
        return [r for r in newer if (r.digest, r.fingerprint) not in known]

    def _best(self, spec: ArtifactSpec, found: Iterable[StoredRecord]) -> Record | None:
        told = [self._teller.record(spec, record) for record in found]
        good = [record for record in told if record is not None]
        return max(good, key=lambda r: (not r.failed_checks, r.created), default=None)

    def _is_own(self, record: Record) -> bool:
        """Return whether an artifact was in this store: somebody removed it by hand, then."""
        path = record.metadata.get("path")
        root = self._store.root.resolve()
        return path is not None and Path(str(path.value)).resolve().is_relative_to(root)

    def _wanted(self, spec: ArtifactSpec, partition: str | None) -> str | None:
        inputs = {}
        for key in spec.upstream(partition):
            record = self._current.get(key)
            if record is not None:
                inputs[key] = record.digest
            elif not spec.whatever_exists:
                return None
        try:
            return expected_lineage(spec, self._project, partition, inputs).fingerprint
        except CyreneError:
            return None

    def _record(self, spec: ArtifactSpec, partition: str | None, record: Record) -> None:
        """Report what the normal path would have; the checks first.

        Ended in between, the artifact counts as unknown, and all of it is reported again.
        """
        severity = {True: dg.AssetCheckSeverity.ERROR, False: dg.AssetCheckSeverity.WARN}
        for check in record.checks:
            forget_reported_check(self._instance, spec.name, check["name"], partition)
            self._instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    dg.AssetKey(spec.name),
                    check["name"],
                    passed=check["passed"],
                    severity=severity[check["blocking"]],
                    description=check["detail"],
                    blocking=check["blocking"],
                    partition=partition,
                )
            )
        self._instance.report_runless_asset_event(
            dg.AssetMaterialization(
                spec.name,
                partition=partition,
                metadata=record.metadata,
                tags=provenance_tags(self._instance, spec, partition, record),
            )
        )

    def _write_down(self, record: Record) -> None:
        """Give the store a record of what only Dagster knows, as older versions left it."""
        lineage = record.lineage.fingerprint
        if not store_records.is_written(
            self._store, record.asset, record.partition, record.digest, lineage
        ):
            artifact = self._store.locate(record.asset, record.partition, record.digest)
            entry = stored(
                artifact,
                record.lineage,
                record.metadata,
                record.checks,
                record.sources,
                record.run_id,
                record.seconds,
                recorded=record.created,
            )
            store_records.write(self._store, entry)


def _is_there(store: Store, record: Record) -> bool:
    return store.locate(record.asset, record.partition, record.digest).path.is_dir()
