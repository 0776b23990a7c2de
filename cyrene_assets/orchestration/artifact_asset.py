"""``@artifact_asset``: a Dagster asset whose materialization is a published artifact.

The decorated function gets a :class:`Build`, writes its files into ``build.out`` and returns an
:class:`Outcome`. Everything that all artifacts share happens here: a run whose stages need what
this machine lacks is refused at its first step (unless tagged ``cyrene/requirements: ignore``), so
is one of inputs that are out of date (unless tagged ``cyrene/out-of-date: take``) or that come from
different versions of what they share; inputs are found and verified, one writer at a time, equal
work is reused unless the run is tagged ``cyrene/reuse: false``, the folder is published atomically,
and Dagster is told the digest and the lineage.
"""

import inspect
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import dagster as dg

from cyrene_assets.compute.toolchains import Toolchain, versions
from cyrene_assets.orchestration import adoption, freshness, together, told_records
from cyrene_assets.orchestration import lineage as lineages
from cyrene_assets.orchestration.artifact_context import Build
from cyrene_assets.orchestration.artifact_spec import (
    SPECS,
    ArtifactSpec,
    Params,
    RebuildRule,
    current_inputs,
    expected_lineage,
)
from cyrene_assets.orchestration.failed_attempts import attempted
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.orchestration.preflight import refuse_run
from cyrene_assets.orchestration.project_state import Situation
from cyrene_assets.orchestration.run_conditions import conditions_of
from cyrene_assets.orchestration.run_retention import claim
from cyrene_assets.orchestration.ui_metadata import ui_metadata
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_store import LOG, Artifact, CorruptArtifactError, label
from cyrene_assets.store.artifact_store import records as store_records
from cyrene_assets.store.gc_lock import in_use
from cyrene_assets.store.outcome import Check, Outcome
from cyrene_assets.store.write_lock import one_writer
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.durable import make_folder
from cyrene_assets.utils.errors import (
    BuildError,
    CheckFailedError,
    CyreneError,
    RequirementError,
    UserError,
)
from cyrene_assets.utils.text_safety import plain

# Dagster declares its own type for "no value" as None's.
NOTHING = cast(dg.DagsterType, dg.Nothing)
REUSE_TAG = "cyrene/reuse"
REUSED_TAG = "cyrene/reused"


def _nothing(_project: Project, _partition: str | None) -> Mapping[str, Any]:
    return {}


def artifact_asset(
    *,
    group_name: str,
    kinds: set[str],
    code_version: str,
    params: Params,
    rebuild: RebuildRule,
    partitions_def: dg.PartitionsDefinition | None = None,
    deps: Sequence[str | dg.AssetDep] = (),
    external_inputs: Params = _nothing,
    external_files: Params = _nothing,
    allow_missing_inputs: bool = False,
    checks: Sequence[Check] = (),
    pool: str | None = None,
    toolchain: Toolchain | None = None,
    checked_with: Toolchain | None = None,
    needs: Sequence[Need] = (),
) -> Callable[[Callable[[Build], Outcome]], dg.AssetsDefinition]:
    """Make an asset of a function that fills ``build.out``; its docstring is the description.

    ``rebuild`` says what a rebuild without a person waits for. ``params`` returns the settings that
    the asset reads, ``external_inputs`` the digests of what it reads from outside the store,
    ``external_files`` the SHA-256 of the files in these by name.
    ``checked_with`` is the toolchain of a program that looks at what the first one's made.
    ``needs`` is what it needs of the machine besides: looked at before a run's first step. With
    ``allow_missing_inputs`` the asset takes every upstream artifact there is, instead of insisting
    on each partition.
    """
    asset_deps = tuple(dg.AssetDep(d) if isinstance(d, str) else d for d in deps)

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
            rebuild=rebuild.tier,
            gpu=pool is not None,
            allow_missing_inputs=allow_missing_inputs,
            checks=tuple(checks),
            toolchain=toolchain,
            checked_with=checked_with,
            declared_needs=tuple(needs),
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
            dagster_type=NOTHING,
            automation_condition=rebuild.condition,
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
        ) -> Iterator[dg.MaterializeResult[Any]]:
            try:
                yield from _materialize(spec, function, context)
            except CyreneError as error:
                raise dg.Failure(
                    str(error),
                    metadata={"exit_status": error.exit_status},
                    allow_retries=not isinstance(
                        error, UserError | RequirementError | CheckFailedError
                    ),
                ) from None

        return materialize

    return decorate


def _materialize(
    spec: ArtifactSpec, function: Callable[[Build], Outcome], context: dg.AssetExecutionContext
) -> Iterator[dg.MaterializeResult[Any]]:
    """Yield the artifact's result, and keep its lock until Dagster has recorded that.

    Whoever waits for the lock looks for the record, and would make the same again without it.
    """
    project = Project.load()
    claim(context.instance, context.run)
    reuse = context.run.tags.get(REUSE_TAG) != "false"
    refuse_run(project, context, reuse=reuse)
    partition = str(context.partition_key) if context.has_partition_key else None
    name = label(spec.name, partition)
    adoption.adopt_inputs(project, context.instance, spec, partition)
    freshness.refuse_run(project, context, reuse=reuse)
    work = project.work / spec.name / (partition or "_")
    with (
        in_use(project.store.root),
        one_writer(work, name, context.run.run_id, context.log.warning),
    ):
        records = current_inputs(spec, context.instance, partition)
        origins = together.Origins(together.recorded(Situation(project, context.instance)))
        together.refuse_apart(project, origins, spec, partition, records)
        digests = {key: record.digest for key, record in records.items()}
        # Looked at first: what changes after this is not what the lineage says.
        sources = spec.external_files(project, partition)
        lineage = expected_lineage(spec, project, partition, digests)
        reused = None
        if reuse:
            reused = _reuse(spec, project, context, partition, lineage)
        result = reused or _make(
            spec, function, project, context, partition, lineage, records, sources
        )
        yield result
    _refuse_failed(result)


def _refuse_failed(result: dg.MaterializeResult[Any]) -> None:
    """End the step in the words of its blocking checks; Dagster's own error only names them.

    Raises:
        CheckFailedError: one failed.
    """
    failed = [
        f"{check.check_name}: {check.description}"
        for check in result.check_results or ()
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    ]
    if failed:
        raise CheckFailedError(f"blocking check failed: {'; '.join(failed)}")


def _make(
    spec: ArtifactSpec,
    function: Callable[[Build], Outcome],
    project: Project,
    context: dg.AssetExecutionContext,
    partition: str | None,
    lineage: Lineage,
    records: Mapping[tuple[str, str | None], Record],
    sources: Mapping[str, str],
) -> dg.MaterializeResult[Any]:
    inputs = {key: _open(project, record) for key, record in records.items()}
    attempted(context.instance, context.run.run_id, spec.name, lineage.fingerprint)
    started = time.monotonic()
    log = project.logs / spec.name / (partition or "_") / f"{context.run.run_id}.log"
    state = project.work / spec.name / (partition or "_") / lineage.fingerprint
    with project.store.stage(spec.name) as out, disk_errors(project.home):
        if spec.toolchain is None:
            state.mkdir(parents=True, exist_ok=True)
        else:  # what its program resumes from lies there
            make_folder(state, project.home)
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
            log_file=log,
        )
        outcome = function(build)
        checks = _checked(spec, outcome)
        if spec.external_files(project, partition) != sources:
            raise BuildError(
                f"the files of {label(spec.name, partition)} changed while they were read: run it "
                "again when whoever writes them has finished"
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
                "checks": checks,
                "run_id": context.run.run_id,
            },
        )
    seconds = time.monotonic() - started
    result = _result(artifact, lineage, sources, outcome, checks, seconds, conditions_of(project))
    # The store's own record first: what Dagster knows, the store knows whatever becomes of Dagster.
    store_records.write(
        project.store,
        told_records.stored(
            artifact, lineage, result.metadata or {}, checks, sources, context.run.run_id, seconds
        ),
    )
    shutil.rmtree(state, ignore_errors=True)
    return result


def _checked(spec: ArtifactSpec, outcome: Outcome) -> list[dict[str, Any]]:
    """Return what the asset's checks found, as a JSON value."""
    blocking = {check.name for check in spec.checks if check.blocking}
    return [
        {
            "name": c.name,
            "passed": c.passed,
            "blocking": c.name in blocking,
            "detail": plain(c.detail),
        }
        for c in outcome.checks
    ]


def _result(
    artifact: Artifact,
    lineage: Lineage,
    sources: Mapping[str, str],
    outcome: Outcome,
    checks: Sequence[Mapping[str, Any]],
    seconds: float,
    measured_in: Mapping[str, Any],
) -> dg.MaterializeResult[Any]:
    size = sum(file["bytes"] for file in artifact.manifest["files"].values())
    return dg.MaterializeResult(
        metadata={
            "summary": plain(outcome.summary),
            **ui_metadata(outcome.metadata),
            "digest": artifact.digest,
            "path": dg.MetadataValue.path(str(artifact.path)),
            "megabytes": round(size / 1e6, 3),
            "seconds": round(seconds, 1),
            **measured_in,
            lineages.METADATA_KEY: dg.MetadataValue.json(
                {
                    **lineage.as_dict(),
                    "digest": artifact.digest,
                    "seconds": round(seconds, 1),
                    "checks": list(checks),
                    "sources": dict(sources),
                }
            ),
        },
        check_results=_check_results(
            checks, {c.name: ui_metadata(c.metadata) for c in outcome.checks}
        ),
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
        record = told_records.find(project.store, spec, partition, lineage.fingerprint)
    if record is None:
        return None
    try:
        artifact = _open(project, record)
    except CorruptArtifactError as error:
        context.log.warning(str(error))
        return None
    context.log.info(f"{artifact.name} {artifact.digest} is what this would make: reused")
    store_records.write(
        project.store,
        told_records.stored(
            artifact,
            lineage,
            record.metadata,
            record.checks,
            record.sources,
            context.run.run_id,
            record.seconds,
        ),
    )
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
