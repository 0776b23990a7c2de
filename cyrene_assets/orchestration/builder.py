"""``cyrene build``: launch what is out of date, in order, through the Dagster instance."""

import uuid
from collections.abc import Collection, Sequence
from time import sleep, time

import dagster as dg

from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.orchestration import planner, raw_file_events
from cyrene_assets.orchestration.build_lock import build_lock
from cyrene_assets.orchestration.fork_servers import fork_servers
from cyrene_assets.orchestration.planner import Launch, Step
from cyrene_assets.orchestration.project_state import runs_at_work
from cyrene_assets.orchestration.raw_files import RawFiles
from cyrene_assets.orchestration.recorded_again import record_unchanged
from cyrene_assets.orchestration.run_events import INTERRUPTED, Event, EventTail, Report
from cyrene_assets.orchestration.run_retention import end_orphans
from cyrene_assets.orchestration.tags import IGNORED, OWNER_TAG, PLANNED_TAG, REQUIREMENTS_TAG
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.gc_lock import shared_lock
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.utils.process_identity import owner

_WAIT_SECONDS = 0.5
# Daemons leave a sign of life twice a minute.
_DAEMON_SECONDS = 90.0
_QUEUE = "QUEUED_RUN_COORDINATOR"
_REPOSITORY_TAG = ".dagster/repository"


def build(
    project: Project,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    target: str,
    size: str,
    report: Report,
    *,
    ignore_requirements: bool = False,
    toolchains: Collection[Toolchain] = (),
) -> int:
    """Materialize everything out of date up to ``target``; return how many steps ran.

    Each stage is examined after the ones before it: an input that was rebuilt to the same digest
    rebuilds nothing. Every run looks at its first step at what it needs of the machine, which may
    have changed since the build began, unless ``ignore_requirements``. The libraries of
    ``toolchains`` are imported once, while the first steps run.

    Raises:
        UserError, BuildError: a step failed; the message is the step's own.
    """
    ran = 0
    with build_lock(project), fork_servers(project.home, toolchains):
        end_orphans(instance)
        for group in planner.stages(target):
            steps = planner.examine(project, instance, group, size)
            if wait_for_others(instance, steps, report):
                steps = planner.examine(project, instance, group, size)
            with shared_lock(project.store.root):
                # Those that a run did which ended too early.
                record_unchanged(project, instance, steps)
            _observe(project, instance, steps)
            for launch in planner.launches(steps):
                _run(
                    definitions,
                    instance,
                    launch,
                    report,
                    ignore_requirements=ignore_requirements,
                )
                ran += len(launch.assets)
    return ran


def _observe(project: Project, instance: dg.DagsterInstance, steps: Sequence[Step]) -> None:
    """Tell Dagster the version of the raw files that out-of-date steps are about to read.

    It is recorded before the run, so that the materialization names it as its input's version.
    """
    for step in steps:
        spec = planner.find_asset(step.key.asset)
        read = spec.external_inputs(project, step.key.partition) if step.reason is not None else {}
        for dep in spec.deps:
            key = ArtifactKey(dep.asset_key.to_user_string(), step.key.partition)
            if str(key) in read:
                raw = RawFiles(spec.external_files(project, step.key.partition))
                before = raw_file_events.latest(instance, key)
                if before is None or before.version != raw.version:
                    instance.report_runless_asset_event(
                        raw_file_events.observation(key, raw, before)
                    )


def wait_for_others(instance: dg.DagsterInstance, steps: Sequence[Step], report: Report) -> bool:
    """Wait until no other run is about to make what ``steps`` would; return whether one was.

    The automation starts nothing new while a build is at work, so this comes to an end.
    """
    waited = False
    while others := _others(instance, steps):
        if not waited:
            for name, run_id in others.items():
                report(Event("warning", name, f"run {run_id} is making it: waiting for it to end"))
        waited = True
        sleep(_WAIT_SECONDS)
        end_orphans(instance)
    return waited


def _others(instance: dg.DagsterInstance, steps: Sequence[Step]) -> dict[str, str]:
    out_of_date = {step.key for step in steps if step.reason is not None}
    at_work = (
        runs_at_work(instance, queued=daemon_is_alive(instance, _QUEUE)) if out_of_date else {}
    )
    return {str(key): run for key, run in at_work.items() if key in out_of_date}


def daemon_is_alive(instance: dg.DagsterInstance, name: str) -> bool:
    """Return whether a Dagster daemon has given a sign of life lately.

    ``QUEUED_RUN_COORDINATOR`` starts the runs that wait in the queue, ``SENSOR`` evaluates sensors.
    """
    beat = instance.get_daemon_heartbeats().get(name)
    return beat is not None and time() - beat.timestamp < _DAEMON_SECONDS


def build_one(
    project: Project,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    asset: str,
    partition: str | None,
    report: Report,
    *,
    ignore_requirements: bool = False,
) -> None:
    """Materialize one artifact, whatever else is out of date; the same inputs give the same again.

    What it needs of the machine is looked at first, unless ``ignore_requirements``.

    Raises:
        UserError, BuildError: the step failed; the message is the step's own.
    """
    with build_lock(project):
        end_orphans(instance)
        _run(
            definitions,
            instance,
            Launch(partition, (asset,)),
            report,
            ignore_requirements=ignore_requirements,
        )


def _run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    launch: Launch,
    report: Report,
    *,
    ignore_requirements: bool,
) -> None:
    """Run one launch in this process, reporting its events as they reach the event log."""
    keys = [dg.AssetKey(asset) for asset in launch.assets]
    job = definitions.resolve_implicit_job_def_def_for_assets(keys)
    if job is None:
        raise BuildError(f"no job can run {', '.join(launch.assets)} together")
    tail = EventTail(instance, str(uuid.uuid4()), launch.partition, report)
    with tail:
        try:
            result = job.execute_in_process(
                instance=instance,
                run_id=tail.run_id,
                partition_key=launch.partition,
                asset_selection=keys,
                raise_on_error=False,
                tags={
                    OWNER_TAG: owner(),
                    PLANNED_TAG: "true",
                    _REPOSITORY_TAG: "__repository__@cyrene_assets",
                    **({REQUIREMENTS_TAG: IGNORED} if ignore_requirements else {}),
                },
            )
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError) as interrupt:
            raise BuildError(INTERRUPTED) from interrupt
    if not result.success:
        raise tail.error or BuildError(f"run {tail.run_id} failed: see it in the UI (`make ui`)")
