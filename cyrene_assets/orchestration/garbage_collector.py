"""``cyrene gc``: which artifacts are still needed, by what, and what becomes of the others."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, product
from pathlib import Path

import dagster as dg

from cyrene_assets.config.model_roles import EVALUATED
from cyrene_assets.orchestration import lineage as lineages
from cyrene_assets.orchestration.artifact_spec import SPECS, expected_lineage
from cyrene_assets.orchestration.build_lock import build_lock
from cyrene_assets.orchestration.chains import Chains, versions_of
from cyrene_assets.orchestration.lineage import Record
from cyrene_assets.orchestration.run_retention import UNFINISHED, delete_old_runs, end_orphans
from cyrene_assets.orchestration.tags import OWNER_TAG
from cyrene_assets.project.home_identity import check_instance_owner
from cyrene_assets.project.project import Project
from cyrene_assets.store import records
from cyrene_assets.store.artifact_key import ArtifactKey, ArtifactVersion
from cyrene_assets.store.artifact_store import Artifact, CorruptArtifactError
from cyrene_assets.store.gc_lock import exclusive_lock
from cyrene_assets.store.trash import Trash, size
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError, CyreneError, UserError
from cyrene_assets.utils.files import DIGEST_LENGTH
from cyrene_assets.utils.process_identity import is_dead, owner

# A training has two inputs; more ways than these to combine what is kept are not looked at.
_MOST_COMBINATIONS = 256


@dataclass(frozen=True)
class Garbage:
    """A folder (or a link) that nothing needs, its bytes, and why it is not needed.

    ``for_good`` says that it has lain in the trash for its time and is removed from the disk.
    """

    path: Path
    bytes: int
    why: str
    for_good: bool = False


def collect(
    project: Project,
    instance: dg.DagsterInstance,
    *,
    dry_run: bool,
    now: bool = False,
    only: Collection[Path] | None = None,
) -> list[Garbage]:
    """Move to the trash what nothing needs, and empty the trash of what lay there for its time.

    Kept are the newest complete chain of every partition and recipe, as the store itself tells; the
    current artifact of every partition, as Dagster does; whatever the scoreboard compares; all that
    these were made from; the resume state of what the next build would make; and what Dagster keeps
    of the runs that made these, and of the newest. ``now`` empties the trash at once, with all that
    goes into it; ``only`` limits it to these paths.

    Raises:
        UserError: the instance belongs to another home, or knows nothing of what is in the store.
        BuildError: a build or another run is at work.
    """
    if not SPECS:
        raise RuntimeError("no asset is defined: load the code location first")
    check_instance_owner(project)
    with build_lock(project), exclusive_lock(project.store.root), disk_errors(project.home):
        end_orphans(instance)
        for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=1):
            raise BuildError(
                f"run {run.run_id} is at work and may need what would go: wait for it to end, or "
                "cancel it in the UI"
            )
        trash = Trash(project.home, (project.store.root, project.work), datetime.now(UTC))
        garbage_found, runs = _garbage(project, instance)
        garbage_found += [
            Garbage(folder, size(folder), "in the trash", for_good=True)
            for folder in (trash.everything() if now else trash.old())
        ]
        garbage_found = [
            garbage for garbage in garbage_found if only is None or garbage.path in only
        ]
        if not dry_run:
            _remove(project, trash, garbage_found, now=now)
            delete_old_runs(project, instance, runs)
        return garbage_found


def _remove(project: Project, trash: Trash, found: Collection[Garbage], *, now: bool) -> None:
    """Move what goes to the trash, each by one rename; then empty what is to be emptied."""
    for garbage in found:
        if not garbage.for_good:
            trash.take(garbage.path)
    # An artifact's records go after it, so that they can come back with it.
    for file in records.unneeded(project.store):
        trash.take(file)
    if now:
        for folder in trash.everything():
            trash.empty(folder)
    for garbage in found:
        if garbage.for_good and garbage.path.exists():
            trash.empty(garbage.path)


def _garbage(project: Project, instance: dg.DagsterInstance) -> tuple[list[Garbage], set[str]]:
    """Return what nothing needs, and the runs that made what is needed."""
    store = project.store
    stored = {ArtifactVersion(a.key, a.digest): a for a in store.artifacts()}
    current, recorded = _records(instance, stored.keys())
    if stored and not recorded:
        raise UserError(
            f"{project.dagster_home}: this Dagster instance knows none of the {len(stored)} "
            f"artifacts in {store.root}: run `cyrene artifacts --adopt` to record them in it, or "
            "set DAGSTER_HOME to the instance that made them"
        )
    chains = Chains(store)
    kept = _kept(instance, stored, current, chains)
    keep = {stored[key].path for key in kept}
    by_path = {artifact.path: key for key, artifact in stored.items()}
    why = {f: _why(f, by_path, chains) for f in store.folders() if f not in keep}
    why |= dict.fromkeys(store.abandoned_folders(), "half-made, and its process is gone")
    unused = _unused_states(project, current, kept)
    why |= dict.fromkeys(unused, "resume state that no coming build would use")
    found = [Garbage(folder, size(folder), reason) for folder, reason in why.items()]
    return found, {recorded[key].run_id for key in kept & recorded.keys()}


def _why(folder: Path, by_path: Mapping[Path, ArtifactVersion], chains: Chains) -> str:
    if folder in by_path:
        return chains.why_not(by_path[folder])
    if ".corrupt-" in folder.name[DIGEST_LENGTH:]:
        return "set aside as corrupt"
    return "no artifact: it has no manifest"


def _kept(
    instance: dg.DagsterInstance,
    there: Mapping[ArtifactVersion, Artifact],
    current: Mapping[ArtifactVersion, Record],
    chains: Chains,
) -> set[ArtifactVersion]:
    waiting = [*current, *chains.kept]
    waiting += [key for key, artifact in there.items() if artifact.key.asset in EVALUATED]
    waiting += [key for key, artifact in there.items() if _in_the_making(instance, artifact)]
    kept: set[ArtifactVersion] = set()
    while waiting:
        key = waiting.pop()
        if key in there and key not in kept:
            kept.add(key)
            waiting += _inputs(key, there[key], current, chains)
    return kept


def _inputs(
    key: ArtifactVersion,
    artifact: Artifact,
    current: Mapping[ArtifactVersion, Record],
    chains: Chains,
) -> Iterator[ArtifactVersion]:
    """Yield what an artifact was made from.

    What is current was last made from what its record says, and what ends a chain of the store's
    from what that says. A manifest says what it was first made from; where a later build came to
    the same content, that may go.
    """
    made = chains.newest(key)
    if key in current:
        yield from versions_of(current[key].lineage.inputs)
    if made is not None:
        yield from versions_of(made.inputs)
    elif key not in current:
        inputs: Mapping[str, str] = artifact.manifest.get("inputs", {})
        yield from versions_of(inputs)


def _records(
    instance: dg.DagsterInstance, there: Collection[ArtifactVersion]
) -> tuple[dict[ArtifactVersion, Record], dict[ArtifactVersion, Record]]:
    """Return the record of what is current, and the newest one of every artifact there is."""
    current, recorded = {}, {}
    for spec in SPECS.values():
        for key in map(spec.key, spec.partitions):
            missing = sum(version.key == key for version in there)
            for newest, record in enumerate(lineages.history(instance, key)):
                version = ArtifactVersion(key, record.digest)
                if newest == 0:
                    current[version] = record
                if version in there and version not in recorded:
                    recorded[version] = record
                    missing -= 1
                if missing <= 0:
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


def _unused_states(
    project: Project, current: Mapping[ArtifactVersion, Record], kept: Collection[ArtifactVersion]
) -> list[Path]:
    """Return the folders of resume state that no coming build would resume from."""
    unused = []
    for place in sorted(project.work.glob("*/*/")):
        key = ArtifactKey.of_folder(*place.parts[-2:])
        states = sorted(place.glob("*/"))
        if key.asset in SPECS and states:
            usable = _resumable(project, current, kept, key)
            unused += [state for state in states if state.name not in usable]
    return unused


def _resumable(
    project: Project,
    current: Mapping[ArtifactVersion, Record],
    kept: Collection[ArtifactVersion],
    key: ArtifactKey,
) -> set[str]:
    """Return the fingerprints that an artifact made from what is kept may have.

    Not from what the database names as current alone: a run that was deleted, or a wiped asset,
    must not cost the days of a training.
    """
    spec = SPECS[key.asset]
    known = {*kept, *current}
    choices = [
        [version for version in known if version.key == upstream]
        for upstream in spec.upstream(key.partition)
    ]
    fingerprints: set[str] = set()
    for inputs in islice(product(*choices), _MOST_COMBINATIONS):
        with suppress(CyreneError):
            fingerprints |= expected_lineage(
                spec, project, key.partition, dict(inputs)
            ).fingerprints
    return fingerprints
