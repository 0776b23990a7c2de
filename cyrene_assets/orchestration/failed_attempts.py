"""What failed before: the automation does not try the same again, and the status says so."""

from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg

from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.orchestration.raw_files import scan_files
from cyrene_assets.orchestration.run_events import step_error
from cyrene_assets.orchestration.tags import BY_ITSELF_TAG
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import UserError

# Tags that begin like this are not shown next to every run in the UI.
_ATTEMPTED = ".dagster/cyrene_attempted/"
_UNSUCCESSFUL = {
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "was cancelled",
}


@dataclass(frozen=True)
class FailedRun:
    """The run that tried to make an artifact, and did not.

    ``outcome`` is "failed" or "was cancelled". ``error`` is what the step said, None where it came
    to no step; with ``bad_input`` a person has to fix something before a build can succeed.
    """

    run_id: str
    outcome: str
    error: str | None = None
    bad_input: bool = False

    @property
    def retry(self) -> str:
        """When it is tried again."""
        return (
            f"retry pending: run {self.run_id[:8]} {self.outcome}; retried when an input changes, "
            "or run `cyrene build`"
        )


def attempted(instance: dg.DagsterInstance, run_id: str, asset: str, wanted: str) -> None:
    """Write on a run that it begins to make an asset, of a lineage with this fingerprint."""
    instance.add_run_tags(run_id, {f"{_ATTEMPTED}{asset}": wanted})


def last_failed_run(state: ProjectState, key: ArtifactKey, wanted: str | None) -> FailedRun | None:
    """Return the last run that tried to make an artifact, if it did not succeed.

    Regardless of who started the run: what a person cancelled is not restarted behind their back.

    Args:
        state: of the project.
        key: of the artifact.
        wanted: the fingerprint of the lineage that it should have now, where that is known.

    Returns:
        None where the run succeeded, where a person's run failed before it came to this
        artifact, or where something that it is made from has changed since: then it is tried again.

    Raises:
        UserError: the corpus folder is not there.
    """
    instance = state.instance
    planned = instance.event_log_storage.get_latest_planned_materialization_info(
        dg.AssetKey(key.asset), key.partition
    )
    record = None if planned is None else instance.get_run_record_by_id(planned.run_id)
    if record is None or record.dagster_run.status not in _UNSUCCESSFUL:
        return None
    run, created = record.dagster_run, record.create_timestamp.timestamp()
    cancelled = run.status is dg.DagsterRunStatus.CANCELED
    attempt = run.tags.get(f"{_ATTEMPTED}{key.asset}")
    if attempt is not None:
        same = attempt == wanted
    elif cancelled or run.tags.get(BY_ITSELF_TAG) == "true":
        same = created >= _changed(state, key)
    else:
        # It was refused before it came to the artifact; what was tried before it counts.
        same = False
        if wanted is not None:
            tried = dg.RunsFilter(tags={f"{_ATTEMPTED}{key.asset}": wanted})
            for run in instance.get_runs(tried, limit=1):
                same = run.status in _UNSUCCESSFUL
    if not same:
        return None
    return FailedRun(run.run_id, _UNSUCCESSFUL[run.status])


def explained(instance: dg.DagsterInstance, run: FailedRun, key: ArtifactKey) -> FailedRun:
    """Return a failed run with what its step said about an artifact."""
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    for record in records.records:
        event = record.event_log_entry.dagster_event
        if event is not None and event.step_key == key.asset:
            error = step_error(event, str(key))
            return replace(
                run,
                error=str(error).removeprefix(f"{key}: "),
                bad_input=isinstance(error, UserError),
            )
    return run


def _changed(state: ProjectState, key: ArtifactKey) -> float:
    """Return when something that an artifact is made from changed last, in Unix seconds."""
    records = [state.record(up) for up in SPECS[key.asset].upstream(key.partition)]
    return max(
        scan_files(state.project).changed,
        _settings_changed(state.project),
        *(record.created for record in records if record is not None),
    )


def _settings_changed(project: Project) -> float:
    files = [project.home / "project.yaml"]
    files += [Path(recipe).expanduser() for recipe in project.settings.recipes.values()]
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)
