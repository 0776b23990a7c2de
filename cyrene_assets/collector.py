"""``cyrene gc``: which artifacts are still referred to, and by what."""

from collections.abc import Collection, Mapping
from pathlib import Path

import dagster as dg

from cyrene_assets import lineage as lineages
from cyrene_assets.artifact_spec import SPECS, current_inputs, expected_lineage
from cyrene_assets.builder import one_build
from cyrene_assets.errors import BuildError, CyreneError
from cyrene_assets.lineage import Record
from cyrene_assets.processes import is_dead, owner
from cyrene_assets.project import Project
from cyrene_assets.runs import OWNER_TAG, UNFINISHED, end_orphans, forget
from cyrene_assets.store import Artifact, CorruptArtifactError, label
from cyrene_assets.store_lock import alone

# The scoreboard compares every one of these that there is.
EVALUATED = ("eval_report", "checkpoint_report")
Key = tuple[str, str]


def collect(
    project: Project, instance: dg.DagsterInstance, *, dry_run: bool
) -> list[tuple[Path, int]]:
    """Remove every artifact that nothing refers to; return the folders with their bytes.

    Kept are the current artifact of every partition, whatever the scoreboard compares, and all
    that these were made from; the resume state of what the next build would make; and what
    Dagster keeps of the runs that made these, and of the newest.

    Raises:
        BuildError: a build or another run is at work.
    """
    with one_build(project), alone(project.store.root):
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
    there = {(a.name, a.digest): a for a in store.artifacts()}
    current, recorded = _records(instance, there.keys())
    waiting = [*current, *(key for key, artifact in there.items() if artifact.asset in EVALUATED)]
    waiting += [key for key, artifact in there.items() if _in_the_making(instance, artifact)]
    kept: set[Key] = set()
    while waiting:
        key = waiting.pop()
        if key in there and key not in kept:
            kept.add(key)
            # What is current was last made from what its record says. A manifest says what it was
            # first made from; where a later build came to the same content, that may go.
            inputs = current[key].lineage.inputs if key in current else _inputs(there[key])
            waiting += inputs.items()
    keep = {there[key].path for key in kept}
    gone = store.sweep(keep, _abandoned(project, instance), dry_run=dry_run)
    if not dry_run:
        forget(project, instance, {recorded[key].run_id for key in kept & recorded.keys()})
    return gone


def _records(
    instance: dg.DagsterInstance, there: Collection[Key]
) -> tuple[dict[Key, Record], dict[Key, Record]]:
    """Return the record of what is current, and the newest one of every artifact there is."""
    current, recorded = {}, {}
    for spec in SPECS.values():
        keys = spec.partitions_def.get_partition_keys() if spec.partitions_def else [None]
        for partition in keys:
            wanted = sum(name == label(spec.name, partition) for name, _ in there)
            for newest, record in enumerate(lineages.history(instance, spec.name, partition)):
                key = record.name, record.digest
                if newest == 0:
                    current[key] = record
                if key in there and key not in recorded:
                    recorded[key] = record
                    wanted -= 1
                if wanted <= 0:
                    break
    return current, recorded


def _in_the_making(instance: dg.DagsterInstance, artifact: Artifact) -> bool:
    """Return whether the process that published an artifact may have to record it yet.

    Whatever Dagster says of its run: one that was marked as cancelled may work on for a while.
    """
    try:
        run = instance.get_run_by_id(str(artifact.manifest.get("run_id")))
    except CorruptArtifactError:
        return False
    holder = run.tags.get(OWNER_TAG, "") if run is not None else ""
    return bool(holder) and holder != owner() and not is_dead(holder)


def _inputs(artifact: Artifact) -> Mapping[str, str]:
    inputs: Mapping[str, str] = artifact.manifest.get("inputs", {})
    return inputs


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
