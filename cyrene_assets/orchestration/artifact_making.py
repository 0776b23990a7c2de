"""Making an artifact, publishing it and telling of it; or reusing one made the same way."""

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import dagster as dg

from cyrene_assets.compute.toolchains import Toolchain, versions
from cyrene_assets.orchestration import lineage as lineages
from cyrene_assets.orchestration import stored_records
from cyrene_assets.orchestration.artifact_context import ArtifactContext
from cyrene_assets.orchestration.artifact_spec import (
    ArtifactSpec,
)
from cyrene_assets.orchestration.failed_attempts import attempted
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.orchestration.recorded_again import of_lineage
from cyrene_assets.orchestration.run_conditions import conditions_of
from cyrene_assets.orchestration.tags import REUSED_TAG
from cyrene_assets.orchestration.ui_metadata import ui_metadata
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.project import Project
from cyrene_assets.store import records as store_records
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import LOG, Artifact, CorruptArtifactError
from cyrene_assets.store.outcome import BuildResult
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import (
    BuildError,
)
from cyrene_assets.utils.files import make_folder
from cyrene_assets.utils.text_safety import escape_control_chars


def make(
    spec: ArtifactSpec,
    function: Callable[[ArtifactBuild], BuildResult],
    project: Project,
    context: dg.AssetExecutionContext,
    key: ArtifactKey,
    lineage: Lineage,
    records: Mapping[ArtifactKey, Record],
    sources: Mapping[str, str],
) -> dg.MaterializeResult[Any]:
    """Make an artifact, publish it, and return its result; the store's own record is written."""
    inputs = {
        upstream: _open(project, record, spec.files_read(upstream, key.partition))
        for upstream, record in records.items()
    }
    attempted(context.instance, context.run.run_id, spec.name, lineage.fingerprint)
    started = time.monotonic()
    log = project.logs / key.folder / f"{context.run.run_id}.log"
    state = project.work / key.folder / lineage.fingerprint
    with project.store.stage(spec.name) as out, disk_errors(project.home):
        if spec.toolchain is None:
            state.mkdir(parents=True, exist_ok=True)
        else:  # what its program resumes from lies there
            make_folder(state, project.home)
        build = ArtifactContext(
            context=context,
            project=project,
            spec=spec,
            key=key,
            params=lineage.params,
            inputs=inputs,
            records=records,
            out=out,
            work=state,
            log_file=log,
        )
        outcome = function(build)
        checks = _checked(spec, outcome)
        if spec.external_files(project, key.partition) != sources:
            raise BuildError(
                f"the files of {key} changed while they were read: run it "
                "again when nothing writes them any more"
            )
        if log.is_file():
            shutil.copyfile(log, out / LOG)
        artifact = project.store.publish(
            out,
            key,
            {
                **lineage.as_dict(),
                "fingerprint": lineage.fingerprint,
                "toolchain": _toolchain_versions(spec.toolchain, project),
                "checked_with": _toolchain_versions(spec.verify_toolchain, project),
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
        stored_records.to_stored_record(
            artifact, lineage, result.metadata or {}, checks, sources, context.run.run_id, seconds
        ),
    )
    shutil.rmtree(state, ignore_errors=True)
    return result


def _checked(spec: ArtifactSpec, outcome: BuildResult) -> list[dict[str, Any]]:
    """Return what the asset's checks found, as a JSON value."""
    blocking = {check.name for check in spec.checks if check.blocking}
    return [
        {
            "name": c.name,
            "passed": c.passed,
            "blocking": c.name in blocking,
            "detail": escape_control_chars(c.detail),
        }
        for c in outcome.checks
    ]


def _result(
    artifact: Artifact,
    lineage: Lineage,
    sources: Mapping[str, str],
    outcome: BuildResult,
    checks: Sequence[Mapping[str, Any]],
    seconds: float,
    measured_in: Mapping[str, Any],
) -> dg.MaterializeResult[Any]:
    size = sum(file["bytes"] for file in artifact.manifest["files"].values())
    return dg.MaterializeResult(
        metadata={
            "summary": escape_control_chars(outcome.summary),
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


def reuse_earlier(
    spec: ArtifactSpec,
    project: Project,
    context: dg.AssetExecutionContext,
    key: ArtifactKey,
    lineage: Lineage,
) -> dg.MaterializeResult[Any] | None:
    """Return the result of an earlier build of the same lineage, if its artifact is still good."""
    record = lineages.find(context.instance, key, lineage)
    if record is None:
        record = stored_records.find(project.store, spec, key, lineage)
    if record is None:
        return None
    try:
        artifact = _open(project, record)
    except CorruptArtifactError as error:
        context.log.warning(str(error))
        return None
    context.log.info(f"{key} {artifact.digest} is what this would make: reused")
    record = of_lineage(record, lineage)
    store_records.write(
        project.store,
        stored_records.to_stored_record(
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


def _open(project: Project, record: Record, only: Collection[str] | None = None) -> Artifact:
    """Open and verify an artifact; a corrupt one is set aside so that the next build remakes it.

    With ``only`` the contents of these files are verified: what else is in it is not read.
    """
    try:
        return project.store.open(record.key, record.digest, only=only)
    except CorruptArtifactError:
        artifact = project.store.locate(record.key, record.digest)
        if artifact.path.exists():
            project.store.set_aside(artifact)
        raise


def _toolchain_versions(toolchain: Toolchain | None, project: Project) -> dict[str, str]:
    if toolchain is None:
        return {}
    return versions(toolchain.python(project.home), toolchain.packages)
