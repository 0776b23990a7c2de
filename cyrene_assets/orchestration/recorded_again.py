"""Artifacts recorded again without a run: what Dagster knows of them, and of which inputs.

An artifact stays as it is where only what it does not read of an input has changed. Dagster
compares the versions of complete inputs, and would call it stale: the event that a run would have
left is reported again, with the input's new version.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import dagster as dg
from filelock import FileLock, Timeout

from cyrene_assets.orchestration import lineage as lineages
from cyrene_assets.orchestration import planner
from cyrene_assets.orchestration.artifact_spec import SPECS, ArtifactSpec
from cyrene_assets.orchestration.dagster_tables import delete_reported_check
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.orchestration.provenance import last_events, provenance_tags
from cyrene_assets.orchestration.stored_records import to_stored_record
from cyrene_assets.project.project import Project
from cyrene_assets.store import records
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import CyreneError


def report(
    instance: dg.DagsterInstance,
    spec: ArtifactSpec,
    partition: str | None,
    record: Record,
    events: Mapping[str, str] | None = None,
) -> None:
    """Report what a run that made an artifact would have; the checks first.

    ``events`` are the ``last_events`` of its inputs; looked up where left out.
    Ended in between, the artifact counts as before, and all of it is reported again.
    """
    severity = {True: dg.AssetCheckSeverity.ERROR, False: dg.AssetCheckSeverity.WARN}
    for check in record.checks:
        delete_reported_check(instance, spec.name, check["name"], partition)
        instance.report_runless_asset_event(
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
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            spec.name,
            partition=partition,
            metadata=record.metadata,
            tags=provenance_tags(
                spec, partition, record, last_events(instance, spec) if events is None else events
            ),
        )
    )


def of_lineage(record: Record, lineage: Lineage) -> Record:
    """Return the record as one of an artifact of another lineage that comes to the same."""
    return replace(record, lineage=lineage, metadata=_with(record, lineage.as_dict()))


def _with(record: Record, fields: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    """Return a record's metadata with other fields of what it says of the lineage."""
    data: Any = record.metadata[lineages.METADATA_KEY].value
    return {**record.metadata, lineages.METADATA_KEY: dg.MetadataValue.json({**data, **fields})}


def record_users(project: Project, instance: dg.DagsterInstance, key: ArtifactKey) -> None:
    """Record again what reads a part of an artifact that was just made, where that is the same."""
    state = ProjectState(project, instance)
    keys = [
        ArtifactKey(name, partition)
        for name, spec in SPECS.items()
        if key.asset in spec.reads
        for partition in spec.partitions
        if key in spec.upstream(partition) and state.record(ArtifactKey(name, partition))
    ]
    steps = []
    for user in keys:
        # What cannot be looked at, as a size whose recipe does not fit, is left to its own build.
        with suppress(CyreneError):
            steps.append(planner.plan_artifact(state, user, {}))
    record_unchanged(project, instance, steps)


def record_unchanged(project: Project, instance: dg.DagsterInstance, steps: Iterable[Step]) -> None:
    """Record again what is up to date, and was made from other versions of its inputs.

    The caller shares the store's lock.
    """
    events: dict[str, dict[str, str]] = {}
    for step in steps:
        record, wanted = step.record, step.wanted
        if step.reason is not None or record is None or wanted is None:
            continue
        if record.lineage.inputs == wanted.inputs:
            continue
        work = project.work / step.key.folder
        work.mkdir(parents=True, exist_ok=True)
        # The process that makes it records it.
        with suppress(Timeout), FileLock(work / "lock", timeout=0):
            made = {"run_id": record.run_id, "created": record.created}
            fields = {**wanted.as_dict(), "made": made}
            again = replace(record, lineage=wanted, metadata=_with(record, fields))
            artifact = project.store.locate(again.key, again.digest)
            records.write(
                project.store,
                to_stored_record(
                    artifact,
                    wanted,
                    again.metadata,
                    again.checks,
                    again.sources,
                    again.run_id,
                    again.seconds,
                    recorded=again.created,
                ),
            )
            spec = SPECS[step.key.asset]
            if spec.name not in events:
                events[spec.name] = last_events(instance, spec)
            report(instance, spec, step.key.partition, again, events[spec.name])
