"""The training assets: CPT checkpoint, LoRA adapter, merged model."""

from dataclasses import replace

from cyrene_assets.automation.rebuild_rules import TRAINING
from cyrene_assets.compute.toolchains import TRAIN
from cyrene_assets.config.model_sizes import model_size
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.partitions import sizes
from cyrene_assets.store.outcome import BuildResult
from cyrene_assets.training import checks

GROUP = "training"


@artifact_asset(
    group_name=GROUP,
    rebuild=TRAINING,
    kinds={"pytorch", "safetensors"},
    code_version="3",
    partitions_def=sizes,
    deps=["base_model", "packed_cpt"],
    params=lambda project, key: project.recipe(model_size(key)).cpt.model_dump(mode="json"),
    checks=(
        checks.PARITY_CHECK,
        *checks.LOSS_CHECKS,
        checks.LEARNED_CHECK,
        *checks.TENSOR_CHECKS,
    ),
    pool="gpu",
    toolchain=TRAIN,
    needs=(Need.TRAINING, Need.WEIGHTS),
)
def cpt_checkpoint(build: ArtifactBuild) -> BuildResult:
    """The continually pretrained model: `swift pt` over the packed CPT set.

    A complete checkpoint in the base's layout and dtypes, with the losses of its training and
    TensorBoard's events under `training/`. A recipe that trains an adapter has it merged here. An
    interrupted training resumes from its newest checkpoint.
    """
    from cyrene_assets.training.run import train

    outcome = train(build, "cpt", build.size.min_loss_drop)
    tensors = checks.tensor_outcomes(dict(outcome.measurements))
    return replace(outcome, checks=[*outcome.checks, *tensors])


@artifact_asset(
    group_name=GROUP,
    rebuild=TRAINING,
    kinds={"pytorch", "safetensors"},
    code_version="4",
    partitions_def=sizes,
    deps=["base_model", "cpt_checkpoint", "packed_sft"],
    params=lambda project, key: project.recipe(model_size(key)).sft.model_dump(mode="json"),
    checks=(
        checks.PARITY_CHECK,
        *checks.LOSS_CHECKS,
        checks.LEARNED_CHECK,
        checks.PROMPT_CHECK,
    ),
    pool="gpu",
    toolchain=TRAIN,
    needs=(Need.TRAINING,),
)
def lora_adapter(build: ArtifactBuild) -> BuildResult:
    """The SFT LoRA adapter: `swift sft` over the packed chats, on top of the CPT checkpoint."""
    from cyrene_assets.training.run import train

    outcome = train(build, "sft", 0.0)
    prompts = checks.prompt_outcome(dict(outcome.measurements))
    return replace(outcome, checks=[*outcome.checks, prompts])


@artifact_asset(
    group_name=GROUP,
    rebuild=TRAINING,
    kinds={"pytorch", "safetensors"},
    code_version="3",
    partitions_def=sizes,
    deps=["base_model", "cpt_checkpoint", "lora_adapter"],
    params=lambda _project, _size: {},
    checks=(*checks.TENSOR_CHECKS, checks.STOP_CHECK),
    pool="gpu",
    toolchain=TRAIN,
    needs=(Need.WEIGHTS,),
)
def merged_model(build: ArtifactBuild) -> BuildResult:
    """CPT checkpoint and adapter in one (`swift export`), every tensor in the base's dtype.

    Tensors that training leaves out (`mtp.*`) and the files next to the weights are the base's, but
    for the end tokens, so that generation stops at the chat's and at the text's, and the chat
    template, which renders the prompts that the adapter was trained with.
    """
    from cyrene_assets.training.run import merge

    return merge(build)
