"""The base model: where every training starts."""

from typing import Any

from cyrene_assets.automation.rebuild_rules import AT_ONCE
from cyrene_assets.compute.toolchains import TRAIN
from cyrene_assets.config.model_sizes import model_size
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.partitions import sizes
from cyrene_assets.project.project import Project
from cyrene_assets.store.outcome import BuildResult

GROUP = "training"


def _params(project: Project, key: str | None) -> dict[str, Any]:
    from cyrene_assets.base_models.snapshot import base_model_params

    return base_model_params(project, model_size(key))


@artifact_asset(
    group_name=GROUP,
    rebuild=AT_ONCE,
    kinds={"huggingface", "safetensors"},
    code_version="2",
    partitions_def=sizes,
    params=_params,
    toolchain=TRAIN,
    needs=(Need.BASE_MODEL, Need.WEIGHTS),
)
def base_model(build: ArtifactBuild) -> BuildResult:
    """A local, verified snapshot of the base checkpoint and tokenizer.

    From a repository of Hugging Face or ModelScope at one commit (recorded at the first fetch, then
    enforced), or a local folder; `tiny` is made here, from a fixed seed. Safetensors only: a folder
    with pickles, Python files or a configuration that names code is refused, and so is one that a
    later stage would fail on; what is repaired without changing the model is listed.
    """
    from cyrene_assets.base_models.snapshot import build_base_model

    return build_base_model(build)
