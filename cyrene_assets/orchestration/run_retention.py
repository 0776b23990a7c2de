"""Dagster's runs as they are found: whose process is gone, and which of them are still needed."""

import shutil
from collections.abc import Collection

import dagster as dg
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import Select, delete, func, select

from cyrene_assets.orchestration.tags import OWNER_TAG
from cyrene_assets.project.project import Project
from cyrene_assets.utils.process_identity import exists, is_dead, owner

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Runs that are kept whatever they made: those a person may want to look at.
RECENT_RUNS = 100
_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
# What an observation of raw files is recorded under.
_NO_RUN = ""


def claim(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Say in a run's tags that this process executes it, regardless of who launched it."""
    if run.tags.get(OWNER_TAG) != owner():
        instance.add_run_tags(run.run_id, {OWNER_TAG: owner()})


def end_orphans(instance: dg.DagsterInstance) -> int:
    """Mark as failed the runs whose process on this machine has died; return how many.

    A slot of a pool that belongs to a run at its end, or to none, is free again.
    """
    orphans = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        if _is_orphan(instance, run):
            instance.report_run_failed(run, "the process that ran this was killed")
            orphans += 1
    events = instance.event_log_storage
    holders: set[str] = set()
    for pool in events.get_concurrency_keys():
        info = events.get_concurrency_info(pool)
        holders |= {slot.run_id for slot in info.claimed_slots}
        holders |= {step.run_id for step in info.pending_steps}
    for run_id in holders:
        found = instance.get_run_by_id(run_id)
        if found is None or found.is_finished:
            events.free_concurrency_slots_for_run(run_id)
    return orphans


def _is_orphan(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if OWNER_TAG in run.tags:
        return is_dead(run.tags[OWNER_TAG])
    # Nothing has claimed it yet; Dagster's own worker says its number when it starts.
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        said = event.engine_event_data.metadata.get("pid") if event is not None else None
        if said is not None:
            return not exists(int(str(said.value)))
    return False


def forget(project: Project, instance: dg.DagsterInstance, needed: Collection[str]) -> int:
    """Remove all that Dagster and the logs keep of old runs; return how many runs went.

    ``needed`` runs stay, the newest ``RECENT_RUNS``, and those with the last word on an asset's
    partition: what is current, what was observed last.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    with storage.index_connection() as connection:
        events = SqlEventLogStorageTable
        last = select(events.c.run_id).where(events.c.id.in_(_newest()))
        needed = {*needed, *(row[0] for row in connection.execute(last))}
    old = instance.get_runs(dg.RunsFilter(statuses=_FINISHED))[RECENT_RUNS:]
    gone = [run.run_id for run in old if run.run_id not in needed]
    for run_id in gone:
        instance.delete_run(run_id)
        shutil.rmtree(project.dagster_home / "storage" / run_id, ignore_errors=True)
        for leftover in (project.dagster_home / "history" / "runs").glob(f"{run_id}.db*"):
            leftover.unlink()
        for log in project.logs.glob(f"*/*/{run_id}.log"):
            log.unlink()
    _forget_rows(storage, gone)
    return len(gone)


def forget_reported_check(
    instance: dg.DagsterInstance, asset: str, check: str, partition: str | None
) -> None:
    """Remove what was reported of a check without a run: Dagster takes a second report for none."""
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        checks = AssetCheckExecutionsTable.c
        with storage.index_connection() as connection:
            connection.execute(
                delete(AssetCheckExecutionsTable).where(
                    checks.asset_key == dg.AssetKey(asset).to_string(),
                    checks.check_name == check,
                    checks.run_id == _NO_RUN,
                    checks.partition == partition,
                )
            )


def _newest() -> Select[tuple[int]]:
    """Select the last event of each kind that there is of each partition of an asset."""
    events = SqlEventLogStorageTable
    return (
        select(func.max(events.c.id))
        .where(events.c.asset_key.is_not(None))
        .group_by(events.c.dagster_event_type, events.c.asset_key, events.c.partition)
    )


def _forget_rows(storage: SqlEventLogStorage, gone: Collection[str]) -> None:
    """Remove what deleting a run leaves in the database, and all but the last observations."""
    events, tags, checks = SqlEventLogStorageTable, AssetEventTagsTable, AssetCheckExecutionsTable
    newest = _newest().where(events.c.run_id == _NO_RUN)
    with storage.index_connection() as connection:
        for run_id in gone:
            connection.execute(delete(checks).where(checks.c.run_id == run_id))
        kept = [row[0] for row in connection.execute(newest)]
        own = events.c.run_id == _NO_RUN, events.c.asset_key.is_not(None)
        past = *own, events.c.id.not_in(kept)
        old = select(events.c.id).where(*past)
        connection.execute(delete(tags).where(tags.c.event_id.in_(old)))
        connection.execute(delete(events).where(*past))
