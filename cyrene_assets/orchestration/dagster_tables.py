"""Dagster's private tables: what its public API neither finds in one query nor deletes.

``instance.delete_run`` leaves a row of ``asset_check_executions`` for each check of the run, and
nothing public deletes an event that was reported without a run: 200 observations of a corpus of 200
files leave 4.3 MB in each of Dagster's two databases, and a corpus that is edited daily has more.
A test (``tests/orchestration/test_dagster_tables.py``) says what is missing once Dagster changes.

Dagster's storage takes a third of a second to load, and commands that only look do without it.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
    from sqlalchemy import Select, Table

# What an event that was reported without a run is recorded under.
NO_RUN = ""


def columns() -> "dict[Table, tuple[str, ...]]":
    """Return the columns that the queries here name, by table."""
    from dagster._core.storage.event_log.schema import (
        AssetCheckExecutionsTable,
        AssetEventTagsTable,
        SqlEventLogStorageTable,
    )

    return {
        SqlEventLogStorageTable: ("id", "run_id", "asset_key", "partition", "dagster_event_type"),
        AssetEventTagsTable: ("event_id",),
        AssetCheckExecutionsTable: ("asset_key", "check_name", "partition", "run_id"),
    }


def runs_with_newest_events(instance: dg.DagsterInstance) -> set[str] | None:
    """Return the runs with the last event of a kind on an asset's partition.

    None where the instance keeps its events elsewhere than in SQL: nothing can be told then.
    """
    storage = _sql_storage(instance)
    if storage is None:
        return None
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
    from sqlalchemy import select

    events = SqlEventLogStorageTable.c
    with storage.index_connection() as connection:
        rows = connection.execute(select(events.run_id).where(events.id.in_(_newest())))
        return {row[0] for row in rows}


def delete_leftovers(instance: dg.DagsterInstance, deleted_runs: Collection[str]) -> None:
    """Delete what deleting runs leaves behind, and all but the last events without a run."""
    storage = _sql_storage(instance)
    if storage is None:
        return
    from sqlalchemy import delete, select

    events, tags, checks = columns()
    with storage.index_connection() as connection:
        for run_id in deleted_runs:
            connection.execute(delete(checks).where(checks.c.run_id == run_id))
        newest = [row[0] for row in connection.execute(_newest().where(events.c.run_id == NO_RUN))]
        replaced = (
            events.c.run_id == NO_RUN,
            events.c.asset_key.is_not(None),
            events.c.id.not_in(newest),
        )
        replaced_ids = select(events.c.id).where(*replaced)
        connection.execute(delete(tags).where(tags.c.event_id.in_(replaced_ids)))
        connection.execute(delete(events).where(*replaced))


def delete_reported_check(
    instance: dg.DagsterInstance, asset: str, check: str, partition: str | None
) -> None:
    """Delete a check that was reported without a run: Dagster would ignore a second report."""
    storage = _sql_storage(instance)
    if storage is None:
        return
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    from sqlalchemy import delete

    checks = AssetCheckExecutionsTable.c
    with storage.index_connection() as connection:
        connection.execute(
            delete(AssetCheckExecutionsTable).where(
                checks.asset_key == dg.AssetKey(asset).to_string(),
                checks.check_name == check,
                checks.run_id == NO_RUN,
                checks.partition == partition,
            )
        )


def _sql_storage(instance: dg.DagsterInstance) -> "SqlEventLogStorage | None":
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    storage = instance.event_log_storage
    return storage if isinstance(storage, SqlEventLogStorage) else None


def _newest() -> "Select[tuple[int]]":
    """Select the last event of each kind that there is of each partition of an asset."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
    from sqlalchemy import func, select

    events = SqlEventLogStorageTable.c
    return (
        select(func.max(events.id))
        .where(events.asset_key.is_not(None))
        .group_by(events.dagster_event_type, events.asset_key, events.partition)
    )
