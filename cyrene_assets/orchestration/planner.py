"""What has to be built, in which order, and why: the difference between what is and what should be.

Dagster's own graph says what depends on what; its event log says what there is. Nothing here runs
anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.orchestration.artifact_spec import SPECS, ArtifactSpec, expected_lineage
from cyrene_assets.orchestration.lineage import Change, Lineage, Record, describe
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.project.partitions import (
    checkpoints,
    language_by_size,
    languages,
    sizes,
    split_key,
)
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import CorruptArtifactError
from cyrene_assets.utils.errors import UserError


@dataclass(frozen=True)
class Step:
    """One artifact to consider: its state, and why it has to be built (None: up to date).

    ``wanted`` is the lineage that it should have, None while an input is out of date itself.
    ``changes`` says in full what differs, ``damage`` what is wrong with the artifact's files.
    """

    key: ArtifactKey
    record: Record | None
    reason: str | None
    wanted: Lineage | None = None
    changes: tuple[Change, ...] = ()
    damage: str | None = None

    @property
    def wanted_fingerprint(self) -> str | None:
        """The fingerprint of the lineage that it should have, where that is known."""
        return None if self.wanted is None else self.wanted.fingerprint

    @property
    def need(self) -> str | None:
        """What a build of this step would fix, or None where none would do anything now.

        Equal needs are one and the same: a build that failed would fail again. A blocking check
        that failed is no need, for the same inputs would give the same artifact.
        """
        if self.reason is None or self.wanted is None:
            return None
        if self.record is not None and not self.changes and self.damage is None:
            return None
        return f"{self.wanted.fingerprint} {self.damage or ''}".strip()


@dataclass(frozen=True)
class Launch:
    """Steps of one partition that run together: one Dagster run."""

    partition: str | None
    assets: tuple[str, ...]


def find_asset(name: str) -> ArtifactSpec:
    """Return the spec of the asset called ``name``.

    Raises:
        UserError: there is no such asset; the message lists those there are.
    """
    if name not in SPECS:
        raise UserError(f"unknown asset {name!r}: the assets are {', '.join(build_order())}")
    return SPECS[name]


def stages(target: str) -> list[list[str]]:
    """Return the assets up to ``target`` in build order, grouped so that a group shares partitions.

    Languages come first, then what has no partitions, then sizes; a group grows for as long as an
    asset with its partitioning is ready. What is near the raw files comes before what is far: data
    that cannot be packed is found before the first training.
    """
    find_asset(target)
    waiting = _ancestors(target)
    done: set[str] = set()
    groups: list[list[str]] = []
    while waiting:
        ready = sorted((name for name in waiting if _parents(name) <= done), key=_place)
        same = [n for n in ready if groups and _partitioning(n) == _partitioning(groups[-1][0])]
        if same:
            name = same[0]
            groups[-1].append(name)
        else:
            name = min(ready, key=_partitioning)
            groups.append([name])
        waiting.remove(name)
        done.add(name)
    return groups


def build_order() -> list[str]:
    """Return all assets in the order in which a build of everything makes them."""
    return sorted(SPECS, key=_place)


def _place(asset: str) -> tuple[int, int, str]:
    """Return how far an asset is from what has no inputs, and its place among those as far."""
    return _depth(asset), _partitioning(asset), asset


def _depth(asset: str) -> int:
    return max((_depth(parent) + 1 for parent in _parents(asset)), default=0)


def _partitioning(asset: str) -> int:
    order = (languages(), None, sizes, language_by_size(), checkpoints())
    return order.index(SPECS[asset].partitions_def)


def _parents(asset: str) -> set[str]:
    names = {dep.asset_key.to_user_string() for dep in SPECS[asset].deps}
    return {name for name in names if name in SPECS}


def _ancestors(asset: str) -> set[str]:
    ancestors = {asset}
    for parent in _parents(asset):
        ancestors |= _ancestors(parent)
    return ancestors


def partitions(asset: str, size: str) -> Sequence[str | None]:
    """Return the partitions of ``asset`` that a build of ``size`` is about."""
    definition, keys = SPECS[asset].partitions_def, SPECS[asset].partitions
    if definition == sizes:
        return [size]
    if definition == language_by_size():
        return [key for key in keys if split_key(key or "")[1] == size]
    return keys


def examine(
    project: Project,
    instance: dg.DagsterInstance,
    group: Sequence[str],
    size: str,
    pending: Mapping[ArtifactKey, str] | None = None,
) -> list[Step]:
    """Compare what there is of a group of assets with what should be.

    ``pending`` names artifacts that will be built before (with the reason); whatever depends on
    one counts as out of date, for its inputs are not known yet.
    """
    return _examine_group(ProjectState(project, instance), group, size, dict(pending or {}))


def _examine_group(
    state: ProjectState, group: Sequence[str], size: str, pending: dict[ArtifactKey, str]
) -> list[Step]:
    steps = []
    for asset in group:
        for partition in partitions(asset, size):
            step = plan_artifact(state, ArtifactKey(asset, partition), pending)
            steps.append(step)
            if step.reason is not None:
                pending[step.key] = step.reason
    return steps


def plan(
    project: Project,
    instance: dg.DagsterInstance,
    target: str,
    size: str,
    state: ProjectState | None = None,
) -> list[Step]:
    """Return every step of a build of ``target``, in order, up to date or not."""
    now = state or ProjectState(project, instance)
    steps: list[Step] = []
    pending: dict[ArtifactKey, str] = {}
    for group in stages(target):
        steps += _examine_group(now, group, size, pending)
    return steps


def launches(steps: Sequence[Step]) -> list[Launch]:
    """Group a stage's steps that have to be built into runs, one per partition."""
    grouped: dict[str | None, list[str]] = {}
    for step in steps:
        if step.reason is not None:
            grouped.setdefault(step.key.partition, []).append(step.key.asset)
    return [Launch(partition, tuple(assets)) for partition, assets in grouped.items()]


def toolchains(steps: Sequence[Step]) -> list[Toolchain]:
    """Return the toolchains of the steps that have to be built, in the order of their use."""
    specs = [SPECS[step.key.asset] for step in steps if step.reason is not None]
    used = [t for spec in specs for t in (spec.toolchain, spec.verify_toolchain) if t is not None]
    return list(dict.fromkeys(used))


def plan_artifact(
    state: ProjectState, key: ArtifactKey, pending: Mapping[ArtifactKey, str]
) -> Step:
    """Compare what there is of one artifact with what should be; ``pending`` as in ``examine``."""
    spec, record = SPECS[key.asset], state.record(key)
    inputs = {}
    waits = None
    for upstream_key in spec.upstream(key.partition):
        upstream = state.record(upstream_key)
        if upstream is not None and upstream_key not in pending:
            inputs[upstream_key] = upstream.digest
        elif upstream_key in pending or not spec.allow_missing_inputs:
            waits = waits or f"after {upstream_key}"
    if waits is not None:
        return Step(key, record, waits if record else "not built yet")
    external = state.external(spec, key.partition)
    if external.problem is not None:
        return Step(key, record, external.problem)
    expected = expected_lineage(spec, state.project, key.partition, inputs, external.inputs)
    if record is None:
        return Step(key, record, "not built yet", expected)
    changes = tuple(state.changes(record, expected, external))
    damage = None if changes else _damage(state.project, record)
    reason = describe(changes) if changes else damage
    if not changes and record.failed_checks:
        reason = f"check failed: {record.why_failed}"
    return Step(key, record, reason, expected, changes, damage)


def _damage(project: Project, record: Record) -> str | None:
    """Look for missing and truncated files; contents are verified when they are used."""
    try:
        project.store.open(record.key, record.digest, contents=False)
    except CorruptArtifactError as error:
        return str(error)
    return None
