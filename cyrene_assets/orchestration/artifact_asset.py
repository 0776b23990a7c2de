"""``@artifact_asset``: a Dagster asset whose materialization is a published artifact.

The decorated function gets an :class:`ArtifactBuild`, writes its files into ``build.out`` and
returns a :class:`BuildResult`. Everything that all artifacts share happens here: a run whose stages
need what this machine lacks is refused at its first step (unless tagged ``cyrene/requirements:
ignore``), so is one of inputs that are out of date (unless tagged ``cyrene/out-of-date: take``) or
that come from different versions of what they share; inputs are found and verified, one run makes
an artifact at a time, equal work is reused unless the run is tagged ``cyrene/reuse: false``, the
folder is published atomically, and Dagster is told the digest and the lineage.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import dagster as dg

from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.orchestration import adoption, freshness, input_consistency
from cyrene_assets.orchestration.artifact_making import make, reuse_earlier
from cyrene_assets.orchestration.artifact_spec import (
    SPECS,
    ArtifactSpec,
    Params,
    Reads,
    RebuildRule,
    current_inputs,
    expected_lineage,
)
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.orchestration.preflight import check_run_requirements
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.orchestration.recorded_again import record_users
from cyrene_assets.orchestration.run_retention import claim_run
from cyrene_assets.orchestration.tags import REUSE_TAG
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.project import Project
from cyrene_assets.store.gc_lock import shared_lock
from cyrene_assets.store.outcome import BuildResult, Check
from cyrene_assets.store.write_lock import artifact_lock
from cyrene_assets.utils.errors import (
    CheckFailedError,
    CyreneError,
    RequirementError,
    UserError,
)

# Dagster declares its own type for "no value" as None's.
NOTHING = cast(dg.DagsterType, dg.Nothing)


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
    verify_toolchain: Toolchain | None = None,
    needs: Sequence[Need] = (),
    reads: Reads | None = None,
) -> Callable[[Callable[[ArtifactBuild], BuildResult]], dg.AssetsDefinition]:
    """Make an asset of a function that fills ``build.out``; its docstring is the description.

    ``rebuild`` says what a rebuild without a person waits for. ``params`` returns the settings that
    the asset reads, ``external_inputs`` the digests of what it reads from outside the store,
    ``external_files`` the SHA-256 of the files in these by name.
    ``verify_toolchain`` is the toolchain of a program that looks at what the first one's made.
    ``needs`` is what it needs of the machine besides: looked at before a run's first step.
    ``reads`` names the files that a partition reads of an input, where it does not read all: what
    else changes in that input does not put it out of date. With
    ``allow_missing_inputs`` the asset takes every upstream artifact there is, instead of insisting
    on each partition.
    """
    asset_deps = tuple(dg.AssetDep(d) if isinstance(d, str) else d for d in deps)

    def decorate(function: Callable[[ArtifactBuild], BuildResult]) -> dg.AssetsDefinition:
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
            verify_toolchain=verify_toolchain,
            declared_needs=tuple(needs),
            reads=reads or {},
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
    spec: ArtifactSpec,
    function: Callable[[ArtifactBuild], BuildResult],
    context: dg.AssetExecutionContext,
) -> Iterator[dg.MaterializeResult[Any]]:
    """Yield the artifact's result, and keep its lock until Dagster has recorded that.

    A process that waits for the lock looks for the record, and would repeat the work without it.
    """
    project = Project.load()
    claim_run(context.instance, context.run)
    reuse = context.run.tags.get(REUSE_TAG) != "false"
    check_run_requirements(project, context, reuse=reuse)
    partition = str(context.partition_key) if context.has_partition_key else None
    key = spec.key(partition)
    adoption.adopt_inputs(project, context.instance, spec, partition)
    freshness.check_inputs(project, context, reuse=reuse)
    work = project.work / key.folder
    with (
        shared_lock(project.store.root),
        artifact_lock(work, str(key), context.run.run_id, context.log.warning),
    ):
        records = current_inputs(spec, context.instance, partition)
        origins = input_consistency.Origins(
            input_consistency.recorded_inputs(ProjectState(project, context.instance))
        )
        input_consistency.check_common_versions(project, origins, key, records)
        digests = {upstream: record.digest for upstream, record in records.items()}
        # Looked at first: what changes after this is not what the lineage says.
        sources = spec.external_files(project, partition)
        lineage = expected_lineage(spec, project, partition, digests)
        reused = None
        if reuse:
            reused = reuse_earlier(spec, project, context, key, lineage)
        result = reused or make(spec, function, project, context, key, lineage, records, sources)
        yield result
        _raise_failed_checks(result)
        record_users(project, context.instance, key)


def _raise_failed_checks(result: dg.MaterializeResult[Any]) -> None:
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
