"""Models of somebody's own, evaluated like those of the assets: `cyrene evaluate`."""

from pathlib import Path
from typing import Any

from cyrene_assets.automation.rebuild_rules import GENERATION
from cyrene_assets.checkpoints.external_checkpoint import folder_digest
from cyrene_assets.compute.toolchains import SERVE
from cyrene_assets.config.model_sizes import model_size
from cyrene_assets.defs._evaluation import CORPUS_DEPS, GROUP, evaluation_params
from cyrene_assets.evaluation.checks import PROMPTS_CHECK
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.partitions import checkpoints
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import CheckpointSource
from cyrene_assets.store.outcome import BuildResult
from cyrene_assets.utils.errors import UserError


def _source(project: Project, name: str) -> CheckpointSource:
    found = project.settings.checkpoints.get(name)
    if found is None:
        raise UserError(
            f"no checkpoint {name!r} in project.yaml: `cyrene evaluate FOLDER` adds one"
        )
    return found


def _params(project: Project, name: str | None) -> dict[str, Any]:
    size = _source(project, name or "").size
    return {
        **evaluation_params(project, model_size(size)),
        **project.corpus.scoring_params(),
        "size": size,
        "models": [name],
    }


def _folder(project: Project, name: str | None) -> dict[str, str]:
    path = Path(_source(project, name or "").path)
    return {f"checkpoint {path}": folder_digest(path)}


@artifact_asset(
    group_name=GROUP,
    rebuild=GENERATION,
    kinds={"vllm", "parquet"},
    code_version="3",
    partitions_def=checkpoints(),
    deps=CORPUS_DEPS,
    params=_params,
    external_inputs=_folder,
    checks=[PROMPTS_CHECK],
    pool="gpu",
    toolchain=SERVE,
    needs=(Need.SERVING,),
)
def checkpoint_report(build: ArtifactBuild) -> BuildResult:
    """Scores of a model from any folder, prompted and measured like the models of the assets.

    Its replies, `scores.parquet` and `examples.parquet` of all languages: another column of the
    scoreboard. `cyrene evaluate FOLDER` creates it.
    """
    from cyrene_assets.evaluation.runs.external_report import external_report

    return external_report(build, _source(build.project, build.partition_key))
