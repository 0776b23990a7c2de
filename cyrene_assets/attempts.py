"""What the automation tried in vain: the same is not tried again, and the status says so."""

from pathlib import Path

import dagster as dg

from cyrene_assets.artifact_spec import ArtifactSpec
from cyrene_assets.project import Project
from cyrene_assets.situation import Situation
from cyrene_assets.watch import look

# Dagster's mark of a run that a condition asked for.
_BY_ITSELF = "dagster/from_automation_condition"
_IN_VAIN = {
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "was cancelled",
}


def in_vain(situation: Situation, spec: ArtifactSpec, partition: str | None) -> str | None:
    """Return what became of the run that tried to make an artifact last, if it was in vain.

    None where it was not, where a person started it, or where something that the artifact is made
    from has changed since: then it is tried again.

    Raises:
        UserError: the corpus folder is not there.
    """
    instance = situation.instance
    planned = instance.event_log_storage.get_latest_planned_materialization_info(
        dg.AssetKey(spec.name), partition
    )
    record = None if planned is None else instance.get_run_record_by_id(planned.run_id)
    if record is None or record.create_timestamp.timestamp() < _changed(situation, spec, partition):
        return None
    run = record.dagster_run
    if run.status not in _IN_VAIN or run.tags.get(_BY_ITSELF) != "true":
        return None
    return f"run {run.run_id[:8]} {_IN_VAIN[run.status]}: when something changes, or by hand"


def _changed(situation: Situation, spec: ArtifactSpec, partition: str | None) -> float:
    """Return when something that an artifact is made from changed last, in Unix seconds."""
    records = [situation.record(*key) for key in spec.upstream(partition)]
    return max(
        look(situation.project).changed,
        _settings_changed(situation.project),
        *(record.created for record in records if record is not None),
    )


def _settings_changed(project: Project) -> float:
    files = [project.home / "project.yaml"]
    files += [Path(recipe).expanduser() for recipe in project.settings.recipes.values()]
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)
