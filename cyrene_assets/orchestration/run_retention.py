"""Dagster's runs as they are found: whose process is gone, and which of them are still needed."""

import shutil
from collections.abc import Collection

import dagster as dg

from cyrene_assets.orchestration import dagster_tables
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


def claim_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
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
        holder = instance.get_run_by_id(run_id)
        if holder is None or holder.is_finished:
            events.free_concurrency_slots_for_run(run_id)
    return orphans


def _is_orphan(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if OWNER_TAG in run.tags:
        return is_dead(run.tags[OWNER_TAG])
    # Nothing has claimed it yet; Dagster's own worker says its number when it starts.
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event is not None else None
        if pid is not None:
            return not exists(int(str(pid.value)))
    return False


def delete_old_runs(project: Project, instance: dg.DagsterInstance, needed: Collection[str]) -> int:
    """Remove all that Dagster and the logs keep of old runs; return how many runs went.

    ``needed`` runs stay, the newest ``RECENT_RUNS``, and those with the last word on an asset's
    partition: what is current, what was observed last.
    """
    with_last_word = dagster_tables.runs_with_newest_events(instance)
    if with_last_word is None:
        return 0
    old = instance.get_runs(dg.RunsFilter(statuses=_FINISHED))[RECENT_RUNS:]
    keep = {*needed, *with_last_word}
    gone = [run.run_id for run in old if run.run_id not in keep]
    for run_id in gone:
        instance.delete_run(run_id)
        shutil.rmtree(project.dagster_home / "storage" / run_id, ignore_errors=True)
        for leftover in (project.dagster_home / "history" / "runs").glob(f"{run_id}.db*"):
            leftover.unlink()
        for log in project.logs.glob(f"*/*/{run_id}.log"):
            log.unlink()
    dagster_tables.delete_leftovers(instance, gone)
    return len(gone)
