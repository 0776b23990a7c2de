"""What is known of an artifact asset before it is built: its inputs, settings and checks."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.config.rebuild_policy import RebuildTier
from cyrene_assets.orchestration import lineage as lineages
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.orchestration.needs import INSTALLED, Need
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import CorruptArtifactError
from cyrene_assets.store.outcome import Check
from cyrene_assets.utils.errors import BuildError

Params = Callable[[Project, str | None], Mapping[str, Any]]
# The files that a partition of an asset reads of an input, by the input's asset.
Reads = Mapping[str, Callable[[str | None], Collection[str]]]


@dataclass(frozen=True)
class RebuildRule:
    """What a rebuild without a person waits for: a tier of ``project.yaml``, as a condition."""

    tier: RebuildTier
    condition: dg.AutomationCondition[dg.AssetKey]


@dataclass(frozen=True)
class ArtifactSpec:
    """What the planner and the wrapper know of an artifact asset."""

    name: str
    code_version: str
    partitions_def: dg.PartitionsDefinition | None
    deps: tuple[dg.AssetDep, ...]
    params: Params
    external_inputs: Params
    external_files: Params
    rebuild: RebuildTier
    gpu: bool
    allow_missing_inputs: bool
    checks: tuple[Check, ...]
    toolchain: Toolchain | None
    verify_toolchain: Toolchain | None
    declared_needs: tuple[Need, ...] = ()
    reads: Reads = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[Need]:
        """What the asset needs of the machine: what it declares, and its toolchains."""
        programs = {None if t is None else t.name for t in (self.toolchain, self.verify_toolchain)}
        installed = {need for name, need in INSTALLED.items() if name in programs}
        return frozenset({*self.declared_needs, *installed})

    def key(self, partition: str | None) -> ArtifactKey:
        """Return the key of one of the asset's artifacts."""
        return ArtifactKey(self.name, partition)

    @property
    def partitions(self) -> Sequence[str | None]:
        """The asset's partitions; ``[None]`` where it has none."""
        return [None] if self.partitions_def is None else self.partitions_def.get_partition_keys()

    def upstream(self, partition: str | None) -> Iterator[ArtifactKey]:
        """Yield the artifacts that ``partition`` is made from."""
        for dep in self.deps:
            name = dep.asset_key.to_user_string()
            if name in SPECS:
                for upstream_partition in self._mapped(dep, SPECS[name], partition):
                    yield ArtifactKey(name, upstream_partition)

    def files_read(self, upstream: ArtifactKey, partition: str | None) -> Collection[str] | None:
        """Return the files that ``partition`` reads of an input; None where it reads all."""
        read = self.reads.get(upstream.asset)
        return None if read is None else read(partition)

    def _mapped(
        self, dep: dg.AssetDep, upstream: "ArtifactSpec", partition: str | None
    ) -> Sequence[str | None]:
        if upstream.partitions_def is None:
            return [None]
        if self.partitions_def is None:
            return upstream.partitions_def.get_partition_keys()
        if dep.partition_mapping is None:
            return [partition]
        result = dep.partition_mapping.get_upstream_mapped_partitions_result_for_partitions(
            self.partitions_def.subset_with_partition_keys([partition or ""]),
            self.partitions_def,
            upstream.partitions_def,
        )
        return sorted(
            result.partitions_subset.get_partition_keys(),
            key=upstream.partitions_def.get_partition_keys().index,
        )


SPECS: dict[str, ArtifactSpec] = {}


def with_ancestors(*keys: ArtifactKey) -> set[ArtifactKey]:
    """Return artifacts and all that they are made from, as the asset graph has it."""
    ancestors: set[ArtifactKey] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in ancestors:
            ancestors.add(key)
            waiting += SPECS[key.asset].upstream(key.partition)
    return ancestors


def expected_lineage(
    spec: ArtifactSpec,
    project: Project,
    partition: str | None,
    inputs: Mapping[ArtifactKey, str],
    external: Mapping[str, str] | None = None,
) -> Lineage:
    """Return the lineage that an up-to-date artifact has, given its inputs' digests.

    ``external`` is what it reads from outside the store; looked up where left out.
    """
    named = {str(key): digest for key, digest in inputs.items()}
    named.update(spec.external_inputs(project, partition) if external is None else external)
    return Lineage(
        spec.code_version,
        spec.params(project, partition),
        named,
        parts_read(spec, project, partition, inputs),
    )


def parts_read(
    spec: ArtifactSpec,
    project: Project,
    partition: str | None,
    inputs: Mapping[ArtifactKey, str],
) -> dict[str, str]:
    """Return the digests of what ``partition`` reads of the inputs of which it does not read all.

    An input that is gone from the store, that is damaged or has no such files is left out: all of
    it counts then.
    """
    parts = {}
    for key, digest in inputs.items():
        files = spec.files_read(key, partition)
        if files is not None:
            with suppress(CorruptArtifactError):
                part = project.store.locate(key, digest).part_digest(files)
                if part is not None:
                    parts[str(key)] = part
    return parts


def current_inputs(
    spec: ArtifactSpec, instance: dg.DagsterInstance, partition: str | None
) -> dict[ArtifactKey, Record]:
    """Return the current record of every input.

    Raises:
        BuildError: an input does not exist, or failed a blocking check.
    """
    inputs = {}
    for key in spec.upstream(partition):
        record = lineages.latest(instance, key)
        if record is None:
            if spec.allow_missing_inputs:
                continue
            raise BuildError(
                f"{spec.key(partition)} needs {key}, which has not been "
                "materialized yet: materialize it first, or run `cyrene build`, in order"
            )
        if record.failed_checks:
            raise BuildError(
                f"{spec.key(partition)} needs {key}: its blocking check failed "
                f"({record.why_failed}); fix the reported problem and rebuild it"
            )
        inputs[key] = record
    if not inputs and spec.allow_missing_inputs:
        raise BuildError(f"{spec.name} needs at least one of its inputs; there is none yet")
    return inputs
