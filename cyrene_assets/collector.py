"""``cyrene gc``: which artifacts are still referred to, and by what."""

from pathlib import Path

import dagster as dg

from cyrene_assets import lineage as lineages
from cyrene_assets.artifact_asset import SPECS, current_inputs, expected_lineage
from cyrene_assets.builder import UNFINISHED, end_orphans, one_build
from cyrene_assets.errors import BuildError, CyreneError
from cyrene_assets.project import Project
from cyrene_assets.store import Artifact


def collect(
    project: Project, instance: dg.DagsterInstance, *, dry_run: bool
) -> list[tuple[Path, int]]:
    """Remove every artifact that nothing refers to; return the folders with their bytes.

    Kept are the current artifact of every partition, whatever the scoreboard compares, and all
    that these were made from; and the resume state of what the next build would make.

    Raises:
        BuildError: a build or another run is at work.
    """
    with one_build(project):
        end_orphans(instance)
        for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=1):
            raise BuildError(
                f"run {run.run_id} is at work and may need what would go: wait for it to end, or "
                "cancel it in the UI"
            )
        return _collect(project, instance, dry_run=dry_run)


def _collect(
    project: Project, instance: dg.DagsterInstance, *, dry_run: bool
) -> list[tuple[Path, int]]:
    from cyrene_assets.definitions import defs

    defs()
    store = project.store
    by_name = {(a.name, a.digest): a for a in store.artifacts()}
    waiting = [a for a in by_name.values() if a.asset in ("eval_report", "scoreboard")]
    for spec in SPECS.values():
        keys = spec.partitions_def.get_partition_keys() if spec.partitions_def else [None]
        for key in keys:
            record = lineages.latest(instance, spec.name, key)
            if record is not None and (record.name, record.digest) in by_name:
                waiting.append(by_name[record.name, record.digest])
    kept: set[Path] = set()
    while waiting:
        artifact = waiting.pop()
        if artifact.path not in kept:
            kept.add(artifact.path)
            waiting += _inputs(artifact, by_name)
    return store.sweep(kept, _abandoned(project, instance), dry_run=dry_run)


def _abandoned(project: Project, instance: dg.DagsterInstance) -> list[Path]:
    """Return the folders of resume state that no coming build would go on from."""
    found = []
    for state in sorted(project.work.glob("*/*/*/")):
        asset, partition = state.parts[-3], state.parts[-2]
        if asset in SPECS and state.name != _wanted(project, instance, asset, partition):
            found.append(state)
    return found


def _wanted(
    project: Project, instance: dg.DagsterInstance, asset: str, partition: str
) -> str | None:
    spec, key = SPECS[asset], None if partition == "_" else partition
    try:
        records = current_inputs(spec, instance, key)
        inputs = {name: record.digest for name, record in records.items()}
        return expected_lineage(spec, project, key, inputs).fingerprint
    except CyreneError:
        return None


def _inputs(artifact: Artifact, by_name: dict[tuple[str, str], Artifact]) -> list[Artifact]:
    inputs = artifact.manifest.get("inputs", {})
    return [by_name[item] for item in inputs.items() if item in by_name]
