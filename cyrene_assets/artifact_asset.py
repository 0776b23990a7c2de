"""``@artifact_asset``: a Dagster asset whose materialization is a published artifact.

The decorated function gets a :class:`Build`, writes its files into ``build.out`` and returns an
:class:`Outcome`. Everything that all artifacts share happens here: inputs are found and verified,
one writer at a time, equal work is reused unless the run is tagged ``cyrene/reuse: false``, the
folder is published atomically, and Dagster is told the digest and the lineage.
"""

import inspect
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock, Timeout

from cyrene_assets import conditions
from cyrene_assets import lineage as lineages
from cyrene_assets.errors import BuildError, CyreneError, UserError
from cyrene_assets.lineage import Lineage, Record
from cyrene_assets.pipes import ProgramRun
from cyrene_assets.plain import plain
from cyrene_assets.policy import Renewal, renewal_of
from cyrene_assets.project import Project
from cyrene_assets.runs import claim
from cyrene_assets.store import LOG, Artifact, CorruptArtifactError, disk_errors, label
from cyrene_assets.store_lock import in_use
from cyrene_assets.toolchains import Toolchain, versions

REUSE_TAG = "cyrene/reuse"
REUSED_TAG = "cyrene/reused"
Params = Callable[[Project, str | None], Mapping[str, Any]]


def _nothing(_project: Project, _partition: str | None) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Check:
    """A check that the asset evaluates itself; a blocking one stops what is downstream."""

    name: str
    description: str
    blocking: bool = False


@dataclass(frozen=True)
class CheckOutcome:
    """What a check found; ``detail`` says it in one line."""

    name: str
    passed: bool
    detail: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a build says of its artifact.

    ``summary`` is one line for people, ``metadata`` is for the UI, ``measurements`` are JSON values
    for the manifest.
    """

    summary: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[CheckOutcome] = ()
    measurements: Mapping[str, Any] = field(default_factory=dict)


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
    renewal: Renewal
    gpu: bool
    whatever_exists: bool
    checks: tuple[Check, ...]
    toolchain: Toolchain | None
    checked_with: Toolchain | None

    def upstream(self, partition: str | None) -> Iterator[tuple[str, str | None]]:
        """Yield the artifacts that ``partition`` is made from, as (asset, partition)."""
        for dep in self.deps:
            name = dep.asset_key.to_user_string()
            if name in SPECS:
                for upstream_partition in self._mapped(dep, SPECS[name], partition):
                    yield name, upstream_partition

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


@dataclass
class Build:
    """One artifact in the making."""

    context: dg.AssetExecutionContext
    project: Project
    spec: ArtifactSpec
    partition: str | None
    params: Mapping[str, Any]
    inputs: Mapping[tuple[str, str | None], Artifact]
    records: Mapping[tuple[str, str | None], Record]
    out: Path
    work: Path
    log: Path

    @property
    def key(self) -> str:
        """The partition key of a partitioned asset."""
        if self.partition is None:
            raise ValueError(f"{self.spec.name} has no partitions")
        return self.partition

    def input(self, asset: str, partition: str | None = None) -> Artifact:
        """Return the input called ``asset``: the only one of it, or that of ``partition``."""
        found = [
            artifact
            for (name, key), artifact in self.inputs.items()
            if name == asset and (partition is None or key == partition)
        ]
        if len(found) != 1:
            raise ValueError(f"{self.spec.name} has {len(found)} inputs {label(asset, partition)}")
        return found[0]

    def inputs_of(self, asset: str) -> dict[str, Artifact]:
        """Return all inputs that are partitions of ``asset``, by their keys."""
        return {key or "_": a for (name, key), a in self.inputs.items() if name == asset}

    def lineage_of(self, asset: str) -> Lineage:
        """Return what the only input called ``asset`` was made from, as Dagster recorded it."""
        artifact = self.input(asset)
        return self.records[artifact.asset, artifact.partition].lineage

    def run_program(
        self,
        program: str,
        extras: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        secrets: Sequence[str] = (),
        toolchain: Toolchain | None = None,
    ) -> dict[str, Any]:
        """Run a program of this asset's toolchain, or of the one that checks what it made.

        ``out`` and ``work`` are added to its extras.

        Raises:
            UserError: the toolchain is not installed.
            BuildError: the program failed.
        """
        chosen = toolchain or self.spec.toolchain
        if chosen is None:
            raise ValueError(f"{self.spec.name} names no toolchain")
        return ProgramRun(
            context=self.context,
            toolchain=chosen,
            program=program,
            extras={**extras, "out": str(self.out), "work": str(self.work)},
            home=self.project.home,
            log=self.log,
            environment=environment,
            secrets=secrets,
        ).run()


def artifact_asset(
    *,
    group_name: str,
    kinds: set[str],
    code_version: str,
    params: Params,
    partitions_def: dg.PartitionsDefinition | None = None,
    deps: Sequence[str | dg.AssetDep] = (),
    external_inputs: Params = _nothing,
    external_files: Params = _nothing,
    whatever_exists: bool = False,
    checks: Sequence[Check] = (),
    pool: str | None = None,
    toolchain: Toolchain | None = None,
    checked_with: Toolchain | None = None,
) -> Callable[[Callable[[Build], Outcome]], dg.AssetsDefinition]:
    """Make an asset of a function that fills ``build.out``; its docstring is the description.

    ``params`` returns the settings that the asset reads, ``external_inputs`` the digests of what
    it reads from outside the store, ``external_files`` the SHA-256 of the files in these by name.
    ``checked_with`` is the toolchain of a program that looks at what the first one's made. With
    ``whatever_exists`` the asset takes every upstream artifact there is, instead of insisting on
    each partition.
    """
    asset_deps = tuple(dg.AssetDep(d) if isinstance(d, str) else d for d in deps)
    renewal = renewal_of(group_name, gpu=pool is not None)

    def decorate(function: Callable[[Build], Outcome]) -> dg.AssetsDefinition:
        name = function.__name__
        spec = ArtifactSpec(
            name=name,
            code_version=code_version,
            partitions_def=partitions_def,
            deps=asset_deps,
            params=params,
            external_inputs=external_inputs,
            external_files=external_files,
            renewal=renewal,
            gpu=pool is not None,
            whatever_exists=whatever_exists,
            checks=tuple(checks),
            toolchain=toolchain,
            checked_with=checked_with,
        )
        SPECS[name] = spec

        @dg.asset(
            name=name,
            description=inspect.getdoc(function),
            group_name=group_name,
            kinds=kinds,
            code_version=code_version,
            partitions_def=partitions_def,
            deps=asset_deps,
            pool=pool,
            automation_condition=conditions.condition_of(renewal, gpu=pool is not None),
            check_specs=[
                dg.AssetCheckSpec(
                    check.name,
                    asset=name,
                    description=check.description,
                    blocking=check.blocking,
                    partitions_def=partitions_def,
                )
                for check in checks
            ],
        )
        def materialize(
            context: dg.AssetExecutionContext,
        ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster looks for the bare class
            try:
                return _materialize(spec, function, context)
            except CyreneError as error:
                raise dg.Failure(
                    str(error),
                    metadata={"exit_status": error.exit_status},
                    allow_retries=not isinstance(error, UserError),
                ) from None

        return materialize

    return decorate


def expected_lineage(
    spec: ArtifactSpec,
    project: Project,
    partition: str | None,
    inputs: Mapping[tuple[str, str | None], str],
    external: Mapping[str, str] | None = None,
) -> Lineage:
    """Return the lineage that an up-to-date artifact has, given its inputs' digests.

    ``external`` is what it reads from outside the store; looked up where left out.
    """
    named = {label(asset, key): digest for (asset, key), digest in inputs.items()}
    named.update(spec.external_inputs(project, partition) if external is None else external)
    return Lineage(spec.code_version, spec.params(project, partition), named)


def current_inputs(
    spec: ArtifactSpec, instance: dg.DagsterInstance, partition: str | None
) -> dict[tuple[str, str | None], Record]:
    """Return the current record of every input.

    Raises:
        BuildError: an input does not exist, or failed a blocking check.
    """
    found = {}
    for asset, key in spec.upstream(partition):
        record = lineages.latest(instance, asset, key)
        if record is None:
            if spec.whatever_exists:
                continue
            raise BuildError(
                f"{label(spec.name, partition)} needs {label(asset, key)}, which has not been "
                "materialized yet: materialize it first, or let `cyrene build` do it all in order"
            )
        if record.failed_checks:
            raise BuildError(
                f"{label(spec.name, partition)} needs {record.name}, whose blocking check "
                f"{', '.join(record.failed_checks)} failed: mend what it found and rebuild it"
            )
        found[asset, key] = record
    if not found and spec.whatever_exists:
        raise BuildError(f"{spec.name} needs at least one of its inputs; there is none yet")
    return found


def _materialize(
    spec: ArtifactSpec, function: Callable[[Build], Outcome], context: dg.AssetExecutionContext
) -> dg.MaterializeResult[Any]:
    project = Project.load()
    claim(context.instance, context.run)
    partition = str(context.partition_key) if context.has_partition_key else None
    name = label(spec.name, partition)
    records = current_inputs(spec, context.instance, partition)
    digests = {key: record.digest for key, record in records.items()}
    sources = spec.external_files(project, partition)
    lineage = expected_lineage(spec, project, partition, digests)
    work = project.work / spec.name / (partition or "_")
    with in_use(project.store.root), _one_writer(work, name, context.run.run_id):
        if context.run.tags.get(REUSE_TAG) != "false":
            reused = _reuse(spec, project, context, partition, lineage)
            if reused is not None:
                return reused
        inputs = {key: _open(project, record) for key, record in records.items()}
        started = time.monotonic()
        log = project.logs / spec.name / (partition or "_") / f"{context.run.run_id}.log"
        state = work / lineage.fingerprint
        with project.store.stage(spec.name) as out, disk_errors(project.home):
            state.mkdir(parents=True, exist_ok=True)
            build = Build(
                context=context,
                project=project,
                spec=spec,
                partition=partition,
                params=lineage.params,
                inputs=inputs,
                records=records,
                out=out,
                work=state,
                log=log,
            )
            outcome = function(build)
            if spec.external_files(project, partition) != sources:
                raise BuildError(
                    f"the files of {name} changed while they were read: run it again when whoever "
                    "writes them has finished"
                )
            if log.is_file():
                shutil.copyfile(log, out / LOG)
            artifact = project.store.publish(
                out,
                spec.name,
                partition,
                {
                    **lineage.as_dict(),
                    "fingerprint": lineage.fingerprint,
                    "toolchain": _toolchain_versions(spec.toolchain, project),
                    "checked_with": _toolchain_versions(spec.checked_with, project),
                    "measurements": dict(outcome.measurements),
                    "run_id": context.run.run_id,
                },
            )
        shutil.rmtree(state, ignore_errors=True)
    return _result(spec, artifact, lineage, sources, outcome, time.monotonic() - started)


def _result(
    spec: ArtifactSpec,
    artifact: Artifact,
    lineage: Lineage,
    sources: Mapping[str, str],
    outcome: Outcome,
    seconds: float,
) -> dg.MaterializeResult[Any]:
    blocking = {check.name for check in spec.checks if check.blocking}
    checks = [
        {
            "name": c.name,
            "passed": c.passed,
            "blocking": c.name in blocking,
            "detail": plain(c.detail),
        }
        for c in outcome.checks
    ]
    size = sum(file["bytes"] for file in artifact.manifest["files"].values())
    return dg.MaterializeResult(
        metadata={
            "summary": plain(outcome.summary),
            **outcome.metadata,
            "digest": artifact.digest,
            "path": dg.MetadataValue.path(str(artifact.path)),
            "megabytes": round(size / 1e6, 3),
            "seconds": round(seconds, 1),
            lineages.METADATA_KEY: dg.MetadataValue.json(
                {
                    **lineage.as_dict(),
                    "digest": artifact.digest,
                    "seconds": round(seconds, 1),
                    "checks": checks,
                    "sources": dict(sources),
                }
            ),
        },
        check_results=_check_results(checks, {c.name: c.metadata for c in outcome.checks}),
        data_version=dg.DataVersion(artifact.digest),
    )


def _check_results(
    checks: Sequence[Mapping[str, Any]], metadata: Mapping[str, Mapping[str, Any]]
) -> list[dg.AssetCheckResult]:
    severity = {True: dg.AssetCheckSeverity.ERROR, False: dg.AssetCheckSeverity.WARN}
    return [
        dg.AssetCheckResult(
            passed=check["passed"],
            check_name=check["name"],
            severity=severity[check["blocking"]],
            description=check["detail"],
            metadata=dict(metadata.get(check["name"], {})),
        )
        for check in checks
    ]


def _reuse(
    spec: ArtifactSpec,
    project: Project,
    context: dg.AssetExecutionContext,
    partition: str | None,
    lineage: Lineage,
) -> dg.MaterializeResult[Any] | None:
    """Return the result of an earlier build of the same lineage, if its artifact is still good."""
    record = lineages.find(context.instance, spec.name, partition, lineage.fingerprint)
    if record is None:
        return None
    try:
        artifact = _open(project, record)
    except CorruptArtifactError as error:
        context.log.warning(str(error))
        return None
    context.log.info(f"{artifact.name} {artifact.digest} is what this would make: reused")
    return dg.MaterializeResult(
        metadata=record.metadata,
        check_results=_check_results(record.checks, {}),
        tags={REUSED_TAG: "true"},
        data_version=dg.DataVersion(artifact.digest),
    )


def _open(project: Project, record: Record) -> Artifact:
    """Open and verify an artifact; a corrupt one is set aside so that the next build remakes it."""
    try:
        return project.store.open(record.asset, record.partition, record.digest)
    except CorruptArtifactError:
        artifact = project.store.locate(record.asset, record.partition, record.digest)
        if artifact.path.exists():
            project.store.set_aside(artifact)
        raise


def _toolchain_versions(toolchain: Toolchain | None, project: Project) -> dict[str, str]:
    if toolchain is None:
        return {}
    return versions(toolchain.python(project.home), toolchain.packages)


@contextmanager
def _one_writer(work: Path, name: str, run_id: str) -> Iterator[None]:
    """Hold the artifact's lock; a lock ends with its process, however that ends."""
    owner = work / "owner"
    with disk_errors(work):
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / "lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout as error:
            run = owner.read_text(encoding="utf-8") if owner.exists() else "another run"
            raise BuildError(
                f"{name} is being built by {run} already: wait for it to end, or cancel it"
            ) from error
    with held, disk_errors(work):
        owner.write_text(f"run {run_id}", encoding="utf-8")
        yield
