"""What there is at one moment: every record read once, and what runs are about to change."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

import dagster as dg

from cyrene_assets.orchestration import lineage as lineages
from cyrene_assets.orchestration import raw_file_events
from cyrene_assets.orchestration.artifact_spec import SPECS, ArtifactSpec, parts_read
from cyrene_assets.orchestration.lineage import Change, Lineage, Record, file_changes
from cyrene_assets.orchestration.raw_file_events import Observed
from cyrene_assets.orchestration.run_retention import UNFINISHED
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey, artifact_inputs

_T = TypeVar("_T")


def runs_at_work(instance: dg.DagsterInstance, *, queued: bool = True) -> dict[ArtifactKey, str]:
    """Return the run that is about to make each artifact, for those that an unfinished one is.

    With ``queued`` the runs that wait in the queue count as well.
    """
    runs: dict[ArtifactKey, str] = {}
    statuses = [*UNFINISHED, dg.DagsterRunStatus.QUEUED] if queued else UNFINISHED
    for run in instance.get_runs(dg.RunsFilter(statuses=statuses)):
        done = set()
        for entry in instance.all_logs(run.run_id, of_type=_PLANNED_AND_MADE):
            event = entry.dagster_event
            if event is None or event.asset_key is None:
                continue
            key = ArtifactKey(event.asset_key.to_user_string(), event.partition)
            if event.event_type is _MADE:
                done.add(key)
            runs[key] = run.run_id
        for key in done:
            del runs[key]
    return runs


_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION
_SEEN_EVENT = dg.DagsterEventType.ASSET_OBSERVATION
_PLANNED_AND_MADE = {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, _MADE}


# Dagster refuses to return more than a thousand events at once.
_READ_TOGETHER = 500
# What was read last of each artifact of each instance, by the number of its event: the daemon asks
# every few seconds, and hardly anything is new.
_READ: dict[tuple[Path, ArtifactKey], tuple[int, Record | None]] = {}
_SEEN: dict[tuple[Path, ArtifactKey], tuple[int, Observed | None]] = {}


class _Reader(Protocol[_T]):
    """Reads what events of a kind say: one artifact's latest, or those of an asset's partitions."""

    def latest(self, instance: dg.DagsterInstance, key: ArtifactKey, /) -> _T | None: ...

    def of_events(
        self, instance: dg.DagsterInstance, asset: str, events: Mapping[str, int], /
    ) -> dict[str, _T | None]: ...


@dataclass(frozen=True)
class External:
    """What an asset reads from outside the store: digests by label, and the files in them.

    ``problem`` is why that cannot be told, where it cannot.
    """

    inputs: Mapping[str, str]
    files: Mapping[str, str]
    problem: str | None = None


class ProjectState:
    """A project's artifacts as they are now.

    With ``observed`` the raw files are what Dagster was last told of them, which costs no reading
    and does not change while they are being written; otherwise they are read.
    """

    def __init__(
        self, project: Project, instance: dg.DagsterInstance, *, observed: bool = False
    ) -> None:
        self.project = project
        self.instance = instance
        self._observed = observed
        self._records: dict[ArtifactKey, Record | None] = {}
        self._events: dict[tuple[str, dg.DagsterEventType], Mapping[str, int]] = {}

    @cached_property
    def at_work(self) -> Mapping[ArtifactKey, str]:
        """The run that is about to make each artifact, for those that an unfinished one is."""
        return runs_at_work(self.instance)

    def record(self, key: ArtifactKey) -> Record | None:
        """Return the current artifact's record, or None."""
        if key not in self._records:
            self._records[key] = self._latest(key, _MADE, lineages, _READ)
        return self._records[key]

    def _latest(
        self,
        key: ArtifactKey,
        kind: dg.DagsterEventType,
        reader: _Reader[_T],
        cache: dict[tuple[Path, ArtifactKey], tuple[int, _T | None]],
    ) -> _T | None:
        """Return what the latest event of a kind says, read again only if there is a later one.

        All of an asset's partitions are read together: a query for each would take longer than
        what they say.
        """
        if key.partition is None:
            return reader.latest(self.instance, key)
        events = self._latest_events(key.asset, kind)
        if key.partition not in events:
            return None
        home = self.project.dagster_home
        unread = [
            partition
            for partition, event in events.items()
            if cache.get((home, ArtifactKey(key.asset, partition)), (None,))[0] != event
        ]
        if key.partition in unread:
            read = {name: events[name] for name in [key.partition, *unread][:_READ_TOGETHER]}
            for partition, said in reader.of_events(self.instance, key.asset, read).items():
                cache[home, ArtifactKey(key.asset, partition)] = read[partition], said
        return cache[home, key][1]

    def _latest_events(self, asset: str, kind: dg.DagsterEventType) -> Mapping[str, int]:
        """Return the number of the latest such event of each partition, in one query."""
        if (asset, kind) not in self._events:
            self._events[asset, kind] = self.instance.get_latest_storage_id_by_partition(
                dg.AssetKey(asset), kind
            )
        return self._events[asset, kind]

    def external(self, spec: ArtifactSpec, partition: str | None) -> External:
        """Return what ``spec`` reads from outside the store.

        Raises:
            UserError: it cannot be read.
        """
        outside = [name for name in _names(spec) if name not in SPECS]
        if not self._observed or not outside:
            return External(
                spec.external_inputs(self.project, partition),
                spec.external_files(self.project, partition),
            )
        inputs: dict[str, str] = {}
        files: dict[str, str] = {}
        for name in outside:
            key = ArtifactKey(name, partition)
            seen = self._latest(key, _SEEN_EVENT, raw_file_events, _SEEN)
            if seen is None:
                return External({}, {}, "nobody has looked at its files yet")
            if seen.problem is not None:
                return External({}, {}, seen.problem)
            inputs[str(key)] = seen.version
            files |= seen.files
        return External(inputs, files)

    def changes(self, record: Record, wanted: Lineage, external: External) -> list[Change]:
        """Return why ``record`` is not of the ``wanted`` lineage, file by file where known."""
        changes = []
        for change in self._with_parts(record, wanted).changes(wanted):
            files = (
                file_changes(record.sources, external.files)
                if change.kind == "input" and change.name in external.inputs
                else []
            )
            changes += files if record.sources and external.files and files else [change]
        return changes

    def _with_parts(self, record: Record, wanted: Lineage) -> Lineage:
        """Return what a record was made from, with the parts that older versions did not record."""
        lineage = record.lineage
        if not wanted.parts or lineage.parts or lineage.inputs == wanted.inputs:
            return lineage
        inputs = {version.key: version.digest for version in artifact_inputs(lineage.inputs)}
        spec, partition = SPECS[record.key.asset], record.key.partition
        return replace(lineage, parts=parts_read(spec, self.project, partition, inputs))


def _names(spec: ArtifactSpec) -> list[str]:
    return [dep.asset_key.to_user_string() for dep in spec.deps]
