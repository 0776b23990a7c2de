"""A Dagster instance for commands that look: its files answer what they can, Dagster the rest.

Opening an instance takes Dagster half a second of processor time, and what a command that finds
everything up to date wants to know is a few rows. Anything else than the few questions here opens
the instance as ever. Reads Dagster's own tables and its cursor; ``test_quick_instance.py`` compares
every answer with the instance's own, and says so once Dagster changes.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple, cast

import dagster as dg
from dagster._core.event_api import EventLogCursor

from cyrene_assets.project.instance_files import FilesUnreadableError, InstanceFiles, open_files
from cyrene_assets.project.project import Project

_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION
_OBSERVED = dg.DagsterEventType.ASSET_OBSERVATION
# Filters of which the files are queried here.
_KNOWN_FILTERS = frozenset({"asset_key", "asset_partitions", "storage_ids"})


class Heartbeat(NamedTuple):
    """When a daemon gave its last sign of life, in Unix seconds."""

    timestamp: float


class QuickInstance:
    """Answers from the instance's files; what they do not tell, the instance itself, opened then.

    Stands for a ``dagster.DagsterInstance`` in what ``ProjectState``, the adoption and
    ``daemon_is_alive`` ask it. Dagster's own functions are given attributes of the opened one only.
    """

    def __init__(self, project: Project, files: InstanceFiles, stack: ExitStack) -> None:
        self._project = project
        self._files = files
        self._stack = stack

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)

    @cached_property
    def _opened(self) -> dg.DagsterInstance:
        from cyrene_assets.project.instance import open_instance

        return self._stack.enter_context(open_instance(self._project))

    def has_claims(self) -> bool:
        """Return whether a run is unfinished, or a slot of a pool is taken or waited for."""
        try:
            return bool(self._unfinished() or self._claimed())
        except FilesUnreadableError:
            return True

    def get_runs(self, filters: dg.RunsFilter | None = None, **others: Any) -> Any:
        """Return runs; the files alone tell where there is none with the statuses of a filter."""
        try:
            only_statuses = filters is not None and filters == dg.RunsFilter(
                statuses=filters.statuses
            )
            if filters is not None and only_statuses and not others and filters.statuses:
                names = [status.value for status in filters.statuses]
                query = f"SELECT 1 FROM runs WHERE status IN ({_marks(names)}) LIMIT 1"  # noqa: S608
                if not self._files.runs(query, names):
                    return []
        except FilesUnreadableError:
            pass  # The instance is opened, and says what is wrong with its files.
        return self._opened.get_runs(filters, **others)

    def get_daemon_heartbeats(self) -> Mapping[str, Heartbeat]:
        """Return the last sign of life of each daemon."""
        try:
            rows = self._files.runs("SELECT daemon_type, timestamp FROM daemon_heartbeats")
        except FilesUnreadableError:
            beats = self._opened.get_daemon_heartbeats()
            return {name: Heartbeat(beat.timestamp) for name, beat in beats.items()}
        return {name: Heartbeat(_seconds(written)) for name, written in rows}

    def get_latest_storage_id_by_partition(
        self, asset_key: dg.AssetKey, event_type: dg.DagsterEventType
    ) -> Mapping[str, int]:
        """Return the number of each partition's latest event of a type."""
        try:
            if not self._was_wiped(asset_key):
                rows = self._files.events(
                    "SELECT partition, MAX(id) FROM event_logs WHERE asset_key = ? "
                    "AND dagster_event_type = ? AND partition IS NOT NULL GROUP BY partition",
                    (asset_key.to_string(), event_type.value),
                )
                return dict(rows)
        except FilesUnreadableError:
            pass  # As above.
        return self._opened.get_latest_storage_id_by_partition(asset_key, event_type)

    def fetch_materializations(
        self, records_filter: dg.AssetRecordsFilter, limit: int, cursor: str | None = None
    ) -> dg.EventRecordsResult:
        """Return materializations, the newest first."""
        found = self._events(_MADE, records_filter, limit, cursor)
        if found is None:
            return self._opened.fetch_materializations(records_filter, limit, cursor)
        return found

    def fetch_observations(
        self, records_filter: dg.AssetRecordsFilter, limit: int, cursor: str | None = None
    ) -> dg.EventRecordsResult:
        """Return observations, the newest first."""
        found = self._events(_OBSERVED, records_filter, limit, cursor)
        if found is None:
            return self._opened.fetch_observations(records_filter, limit, cursor)
        return found

    def _events(
        self,
        kind: dg.DagsterEventType,
        records_filter: dg.AssetRecordsFilter,
        limit: int,
        cursor: str | None,
    ) -> dg.EventRecordsResult | None:
        """Return events, or None where the files do not tell."""
        filters = {k: v for k, v in records_filter._asdict().items() if v is not None}
        key = records_filter.asset_key
        if cursor is not None or not filters.keys() <= _KNOWN_FILTERS:
            return None
        query = "SELECT id, event FROM event_logs WHERE asset_key = ? AND dagster_event_type = ?"
        values: list[object] = [key.to_string(), kind.value]
        for column, chosen in (
            ("partition", records_filter.asset_partitions),
            ("id", records_filter.storage_ids),
        ):
            if chosen is not None:
                query += f" AND {column} IN ({_marks(chosen)})"
                values += chosen
        try:
            if self._was_wiped(key):
                return None
            rows = self._files.events(f"{query} ORDER BY id DESC LIMIT ?", [*values, limit])
        except FilesUnreadableError:
            return None
        events = [
            dg.EventLogRecord(number, dg.deserialize_value(event, dg.EventLogEntry))
            for number, event in rows
        ]
        last = events[-1].storage_id if events else -1
        following = EventLogCursor.from_storage_id(last).to_string()
        return dg.EventRecordsResult(events, following, has_more=len(events) == limit)

    def _was_wiped(self, key: dg.AssetKey) -> bool:
        """Return whether somebody had Dagster forget an asset: only some of its events count."""
        query = "SELECT 1 FROM asset_keys WHERE asset_key = ? AND wipe_timestamp IS NOT NULL"
        return bool(self._files.events(query, (key.to_string(),)))

    def _unfinished(self) -> list[Any]:
        over = (
            dg.DagsterRunStatus.SUCCESS,
            dg.DagsterRunStatus.FAILURE,
            dg.DagsterRunStatus.CANCELED,
        )
        names = [status.value for status in over]
        query = f"SELECT 1 FROM runs WHERE status NOT IN ({_marks(names)}) LIMIT 1"  # noqa: S608
        return self._files.runs(query, names)

    def _claimed(self) -> list[Any]:
        taken = self._files.events("SELECT 1 FROM concurrency_slots WHERE run_id IS NOT NULL")
        return taken or self._files.events("SELECT 1 FROM pending_steps LIMIT 1")


@contextmanager
def open_to_look(project: Project) -> Iterator[dg.DagsterInstance]:
    """Open the project's instance for a command that looks, and seldom writes.

    Raises:
        UserError, InstanceError, BuildError: as ``open_instance``, when the instance is opened.
    """
    with ExitStack() as stack:
        files = stack.enter_context(open_files(project))
        if files is None:
            from cyrene_assets.project.instance import open_instance

            yield stack.enter_context(open_instance(project))
        else:
            yield cast(dg.DagsterInstance, QuickInstance(project, files, stack))


def may_have_orphans(instance: dg.DagsterInstance) -> bool:
    """Return whether a run may be left whose process is gone: False where no run is at work."""
    return not isinstance(instance, QuickInstance) or instance.has_claims()


def _marks(values: Any) -> str:
    """Return the places of as many values in a query."""
    return ", ".join("?" * len(values))


def _seconds(written: str) -> float:
    """Return a time that Dagster wrote, in UTC, as Unix seconds."""
    return datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp()
