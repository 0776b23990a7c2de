"""The quantized model, ready for vLLM."""

from typing import Any

import dagster as dg

from cyrene_assets.automation.rebuild_rules import QUANTIZATION
from cyrene_assets.compute.toolchains import SERVE, TRAIN
from cyrene_assets.config.model_sizes import model_size
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.partitions import sizes
from cyrene_assets.project.project import Project
from cyrene_assets.quantization import checks
from cyrene_assets.store.outcome import BuildResult

_ALL_LANGUAGES = dg.AllPartitionMapping()


def _params(project: Project, key: str | None) -> dict[str, Any]:
    return project.recipe(model_size(key)).quantization.model_dump(mode="json")


@artifact_asset(
    group_name="quantization",
    rebuild=QUANTIZATION,
    kinds={"pytorch", "safetensors", "vllm"},
    code_version="3",
    partitions_def=sizes,
    deps=[
        "base_model",
        "merged_model",
        dg.AssetDep("sft_chat", partition_mapping=_ALL_LANGUAGES),
    ],
    params=_params,
    checks=checks.CHECKS,
    pool="gpu",
    toolchain=TRAIN,
    verify_toolchain=SERVE,
    needs=(Need.SERVING, Need.WEIGHTS),
)
def fp8_model(build: ArtifactBuild) -> BuildResult:
    """The model as it is served: FP8_BLOCK, or what the recipe names (llm-compressor).

    Linear layers in 8-bit blocks of 128 x 128 (FP8_BLOCK), or in 4-bit groups of 128 calibrated on
    the character's own chats (W4A16, AWQ); what the recipe's ignore list names keeps its dtype,
    and so do the `mtp.*` tensors. Tokenizer, chat template and configuration are the merged model's
    but for the quantization entry. Before it is accepted vLLM loads it, prompts it in every
    language, and reads held-out lines with it and with the merged model: that is its fidelity.
    """
    from cyrene_assets.quantization.run import quantize

    return quantize(build)
