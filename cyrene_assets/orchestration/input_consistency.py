"""Inputs that belong together: made from the same version of everything that they share.

An asset of two inputs with a common ancestor (a packed set and a base model, an adapter and a
checkpoint, the models of one report) is only what it says it is where both come from one version of
that ancestor. A build sees to that; a run of one asset alone may find a new base model next to a
merged model of the old one. Which inputs share what follows from the asset graph, which versions
they come from from the store's records: no asset has a list of its own.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import product

from cyrene_assets.orchestration.artifact_spec import SPECS, with_ancestors
from cyrene_assets.orchestration.chains import versions_of
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.orchestration.remedies import build_command
from cyrene_assets.project.project import Project
from cyrene_assets.store import records
from cyrene_assets.store.artifact_key import ArtifactKey, ArtifactVersion
from cyrene_assets.store.artifact_store import CorruptArtifactError
from cyrene_assets.utils.errors import UserError

# Of each ancestor the digests that something may have been made from.
Versions = Mapping[ArtifactKey, frozenset[str]]
# The inputs of each making of a version.
MadeFrom = Callable[[ArtifactVersion], list[Mapping[str, str]]]


@dataclass(frozen=True)
class Shared:
    """Two inputs of an asset and something that both come from; one of them may be that itself."""

    first: ArtifactKey
    second: ArtifactKey
    ancestor: ArtifactKey


def shared_ancestors(key: ArtifactKey) -> Iterator[Shared]:
    """Yield what the inputs of an artifact share, two by two, as the asset graph has it.

    The pairs of which one is what the other comes from are first: they say the most. An asset that
    takes whatever exists compares artifacts of different versions on purpose, and shares nothing.
    """
    spec = SPECS[key.asset]
    if spec.allow_missing_inputs:
        return
    inputs = list(spec.upstream(key.partition))
    lines = {upstream: with_ancestors(upstream) for upstream in inputs}
    pairs = [
        Shared(first, second, ancestor)
        for number, first in enumerate(inputs)
        for second in inputs[number + 1 :]
        for ancestor in sorted(lines[first] & lines[second], key=str)
    ]
    yield from (shared for shared in pairs if shared.ancestor in (shared.first, shared.second))
    yield from (shared for shared in pairs if shared.ancestor not in (shared.first, shared.second))


class Origins:
    """Which versions of its ancestors an artifact was made from.

    ``made_from`` returns the inputs of each making that is known of an artifact. Content that was
    made more than once, from different inputs to the same digest, comes from each of them. Of what
    is not known nothing is said.
    """

    def __init__(self, made_from: MadeFrom) -> None:
        self._made_from = made_from
        self._versions: dict[ArtifactVersion, Versions] = {}

    def of(self, version: ArtifactVersion) -> Versions:
        """Return the versions of everything that an artifact comes from, and its own."""
        if version not in self._versions:
            own = {version.key: frozenset({version.digest})}
            # What its own inputs lead back to, in records that somebody damaged, ends here.
            self._versions[version] = own
            ways = [self._of_making(inputs) for inputs in self._made_from(version)]
            self._versions[version] = {**_any_of(ways), **own}
        return self._versions[version]

    def _of_making(self, inputs: Mapping[str, str]) -> Versions:
        """Return the versions of one making: those that all of its inputs may come from."""
        ancestors: dict[ArtifactKey, frozenset[str]] = {}
        for version in versions_of(inputs):
            for ancestor, versions in self.of(version).items():
                known = ancestors.get(ancestor, versions)
                # Where they have none in common it was taken as it was, on purpose.
                ancestors[ancestor] = known & versions or known | versions
        return ancestors


def recorded_inputs(state: ProjectState) -> MadeFrom:
    """Return what tells the makings of an artifact: the store's records, and Dagster's current.

    Where a part of an input was read, it may as well have been made from any other version of that
    input with the same part.
    """

    @cache
    def makings(key: ArtifactKey) -> dict[str, list[Mapping[str, str]]]:
        by_digest: dict[str, list[Mapping[str, str]]] = {}
        for record in records.of_artifact(state.project.store, key):
            made = Lineage(record.code_version, record.params, record.inputs, record.parts)
            by_digest.setdefault(record.digest, []).extend(alternatives(key, made))
        current = state.record(key)
        if current is not None:
            by_digest.setdefault(current.digest, []).extend(alternatives(key, current.lineage))
        return by_digest

    def alternatives(key: ArtifactKey, made: Lineage) -> list[Mapping[str, str]]:
        choices = [
            [(name, other) for other in {made.inputs[name], *equal_part(key, name, part)}]
            for name, part in sorted(made.parts.items())
        ]
        return [{**made.inputs, **dict(choice)} for choice in product(*choices)]

    def equal_part(key: ArtifactKey, name: str, part: str) -> list[str]:
        upstream = ArtifactKey.parse(name)
        files = SPECS[key.asset].files_read(upstream, key.partition)
        return [] if files is None else parts(upstream, tuple(files)).get(part, [])

    @cache
    def parts(key: ArtifactKey, files: tuple[str, ...]) -> dict[str, list[str]]:
        """Return the digests of an artifact's versions by the digest of some files of them."""
        by_part: dict[str, list[str]] = {}
        for artifact in state.project.store.versions(key):
            with suppress(CorruptArtifactError):
                part = artifact.part_digest(files)
                if part is not None:
                    by_part.setdefault(part, []).append(artifact.digest)
        return by_part

    def made_from(version: ArtifactVersion) -> list[Mapping[str, str]]:
        return makings(version.key).get(version.digest, [])

    return made_from


def _any_of(ways: Collection[Versions]) -> dict[ArtifactKey, frozenset[str]]:
    """Return what may be the case in any of several makings."""
    keys = {key for way in ways for key in way}
    return {k: frozenset[str]().union(*(way.get(k, frozenset()) for way in ways)) for k in keys}


@dataclass(frozen=True)
class VersionConflict:
    """Two inputs that come from different versions of something that they share."""

    shared: Shared
    first: frozenset[str]
    second: frozenset[str]


def find_conflicts(
    origins: Origins, key: ArtifactKey, inputs: Mapping[ArtifactKey, Record]
) -> list[VersionConflict]:
    """Return what does not belong together of an artifact's inputs, those that are known."""
    conflicts = []
    for shared in shared_ancestors(key):
        if shared.first in inputs and shared.second in inputs:
            first, second = _versions(origins, shared, inputs)
            if first and second and not first & second:
                conflicts.append(VersionConflict(shared, first, second))
    return conflicts


def check_common_versions(
    project: Project,
    origins: Origins,
    key: ArtifactKey,
    inputs: Mapping[ArtifactKey, Record],
) -> None:
    """Refuse inputs that come from different versions of something that they share.

    Args:
        project: whose settings say how a checkpoint is evaluated.
        origins: of the project's artifacts.
        key: of the artifact that is about to be made.
        inputs: those that are known.

    Raises:
        UserError: two do not belong together; it names both, and the command that brings them
            together.
    """
    conflicts = find_conflicts(origins, key, inputs)
    if not conflicts:
        return
    conflict = conflicts[0]
    ancestor = conflict.shared.ancestor
    pairs = dict.fromkeys((apart.shared.first, apart.shared.second) for apart in conflicts)
    others = "pair" if len(pairs) == 2 else "pairs"
    more = f" (and {len(pairs) - 1} more {others})" if len(pairs) > 1 else ""
    raise UserError(
        "inputs come from different versions: "
        f"{_said(conflict.shared.first, inputs, ancestor, conflict.first)}, and "
        f"{_said(conflict.shared.second, inputs, ancestor, conflict.second)}{more}; "
        f"`{build_command(project, key)}` brings them together"
    )


def _versions(
    origins: Origins, shared: Shared, inputs: Mapping[ArtifactKey, Record]
) -> tuple[frozenset[str], frozenset[str]]:
    first, second = (
        origins.of(ArtifactVersion(key, inputs[key].digest)).get(shared.ancestor, frozenset[str]())
        for key in (shared.first, shared.second)
    )
    return first, second


def _said(
    key: ArtifactKey,
    inputs: Mapping[ArtifactKey, Record],
    ancestor: ArtifactKey,
    versions: frozenset[str],
) -> str:
    digest = inputs[key].digest
    if key == ancestor:
        return f"the current {key} is {digest}"
    return f"{key} {digest} comes from {ancestor} {' or '.join(sorted(versions))}"
