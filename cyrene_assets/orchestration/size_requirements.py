"""What the stages of a size need of this machine: disk, memory, a base model, keys.

Each function adds to the findings what is missing, in the words of a person's `cyrene doctor`.
"""

from collections.abc import Collection
from typing import Literal

from cyrene_assets.base_models.source import source_problem
from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.compute import cpu
from cyrene_assets.compute.hardware import GIB, Hardware
from cyrene_assets.compute.memory import memory_bytes
from cyrene_assets.config.architecture import Architecture
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.config.quantization_schemes import quantized_bytes
from cyrene_assets.config.recipe import Recipe
from cyrene_assets.config.trackers import report_keys
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.orchestration.needs import Findings, Need
from cyrene_assets.project.project import Project
from cyrene_assets.serving.character import ServedArtifact
from cyrene_assets.serving.gpu_budget import ServingFootprint, min_memory, plan_gpu
from cyrene_assets.training.batch_plan import (
    capability_problem,
    describe_devices,
    memory_per_gpu,
    memory_remedies,
    plan_memory,
    training_gpus,
)
from cyrene_assets.training.memory_model import (
    fits_in_free_memory,
    fits_in_memory,
    format_gib,
    stored_bytes,
    training_memory,
)
from cyrene_assets.utils.disk_errors import free_bytes
from cyrene_assets.utils.errors import UserError

_STAGES: tuple[Literal["cpt", "sft"], ...] = ("cpt", "sft")
WITH_WEIGHTS: tuple[str, ...] = ("base_model", "cpt_checkpoint", "merged_model", "fp8_model")
# Main memory that training and serving `tiny` take on a CPU: libraries and caches, for its weights
# are nothing. Measured with the orchestrator's 0.4 GiB: 1.9 GiB, and 1.9 GiB.
_TRAINING_ON_CPU, _SERVING_ON_CPU = 2 * GIB, 2 * GIB


def add_missing_of_size(
    project: Project,
    size: ModelSize,
    findings: Findings,
    *,
    needs: Collection[Need] = tuple(Need),
    stages: Collection[str] = WITH_WEIGHTS,
) -> None:
    """Add what this machine lacks for stages of a size.

    Args:
        project: whose recipe and base model count.
        size: of the models.
        findings: where it is added, with the GPUs at hand.
        needs: of the stages ahead; nothing else is looked at.
        stages: the assets ahead, whose weights the disk must take.

    Raises:
        UserError: a recipe that does not fit.
    """
    recipe, hardware = project.recipe(size), findings.hardware
    if Need.WEIGHTS in needs:
        _disk(project, size, recipe, stages, findings)
    if Need.BASE_MODEL in needs:
        findings.add(source_problem(project, size), Need.BASE_MODEL)
    if Need.TRAINING in needs:
        findings.add(capability_problem(hardware), Need.TRAINING)
        try:
            report_keys(project.settings.report_to, project.file)
        except UserError as error:
            findings.add(str(error), Need.TRAINING)
    if Need.SERVING in needs:
        _served_on_cpu(size, recipe, hardware, findings)
    if size.is_embedded:
        if Need.TRAINING in needs and not hardware.gpus:
            _main_memory("training", size, _TRAINING_ON_CPU, Need.TRAINING, findings)
        return
    if Need.SERVING in needs:
        _served_fits(project, size, recipe, hardware, findings)
    if Need.TRAINING in needs:
        _training_fits(size, recipe, hardware, findings)


def _disk(
    project: Project, size: ModelSize, recipe: Recipe, stages: Collection[str], findings: Findings
) -> None:
    # The console imports the assets' machinery, which imports this.
    from cyrene_assets.utils.formatting import format_size as shown_size

    kept = stored_bytes(size.architecture, recipe)
    needed = sum(kept.get(stage, 0) for stage in stages)
    if not needed:
        return
    free = free_bytes(project.home)
    findings.needed["disk"] = needed
    # What an interrupted training or download has left counts: it resumes from there.
    left = sum(_folder_bytes(project, stage, size) for stage in stages)
    if free < needed - left:
        findings.add(
            f"{size} needs {shown_size(needed)} of disk and {shown_size(free)} are free: make room "
            "(`cyrene gc --now`), or set CYRENE_HOME to another disk",
            Need.WEIGHTS,
        )


def _folder_bytes(project: Project, stage: str, size: ModelSize) -> int:
    files = (project.work / stage / size.name).rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def _training_fits(size: ModelSize, recipe: Recipe, hardware: Hardware, findings: Findings) -> None:
    architecture = size.architecture
    for name in _STAGES:
        stage: Stage = getattr(recipe, name)
        needed = training_memory(stage, architecture, checkpointing=True)
        findings.needed[f"GPU memory for {name.upper()}"] = needed
    if not hardware.gpus:
        findings.add(
            None
            if hardware.fault
            else f"{size} trains on an NVIDIA GPU (Ampere or later) and this machine has none: use "
            "a machine that has one; `tiny` is the size for CPUs",
            Need.TRAINING,
        )
        return
    for name in _STAGES:
        _stage_fits(recipe, name, size, architecture, hardware, findings)


def _stage_fits(
    recipe: Recipe,
    name: Literal["cpt", "sft"],
    size: ModelSize,
    architecture: Architecture,
    hardware: Hardware,
    findings: Findings,
) -> None:
    """Look at what a stage takes of the GPUs that it would train on."""
    stage: Stage = getattr(recipe, name)
    batch, chosen = plan_memory(stage, hardware, architecture)
    needed = memory_per_gpu(stage, architecture, batch, chosen)
    used = training_gpus(hardware, stage.batch_size)
    what, has = f"{name.upper()} of {size}", format_gib(used.memory)
    if not fits_in_memory(needed, used):
        remedies = [*memory_remedies(recipe, name, hardware, architecture), "use a larger GPU"]
        findings.add(
            f"{what} needs about {format_gib(needed)} of GPU memory and the smallest GPU has "
            f"{has}, not all of it free for it: {', or '.join(remedies)}, or a smaller size",
            Need.TRAINING,
        )
    elif not fits_in_free_memory(needed, used):
        findings.add(
            f"{what} needs about {needed / GIB:.1f} GiB of GPU memory, and of the {has} of a GPU "
            f"{max(gpu.used for gpu in used.gpus) / GIB:.1f} GiB are in use: end other programs "
            "that use it, or train on another GPU",
            Need.TRAINING,
        )
    else:
        findings.notes.append(
            f"{what} takes {batch.micro} of the recipe's {stage.batch_size} packs at a time, "
            f"gradient checkpointing {'on' if chosen.checkpointing else 'off'}: about "
            f"{format_gib(needed)} of the {has} of a GPU; it trains on "
            f"{describe_devices(hardware, stage.batch_size)}"
        )


def _served_fits(
    project: Project, size: ModelSize, recipe: Recipe, hardware: Hardware, findings: Findings
) -> None:
    """Add up what serving takes of the first GPU's free memory."""
    form = recipe.quantization.model_dump(mode="json")
    # One that another recipe made says nothing of this one's.
    built = [
        artifact
        for artifact in project.store.artifacts("fp8_model")
        if artifact.key.partition == size.name and artifact.manifest["params"] == form
    ]
    model: ServingFootprint
    if built:
        newest = max(built, key=lambda artifact: str(artifact.manifest["created"]))
        try:
            model = ServedArtifact(project, size, newest).footprint
        except CheckpointError as error:
            findings.add(
                f"{error}, or run `cyrene build --size {size} --to fp8_model`, which sets it aside "
                "and makes it again",
                Need.SERVING,
            )
            return
    else:
        architecture = size.architecture
        weights = quantized_bytes(architecture.tensors, form["scheme"], form["ignore"])
        model = ServingFootprint.of({"text_config": architecture.text_config}, weights)
    findings.needed["GPU memory to serve"] = min_memory(model)
    if hardware.gpus:
        context_length = recipe.evaluation.context_length
        try:
            summed = plan_gpu(hardware.gpus[0], model, context_length).describe()
            findings.notes.append(f"serving {size} takes {summed}")
        except UserError as error:
            findings.add(str(error), Need.SERVING)


def _served_on_cpu(size: ModelSize, recipe: Recipe, hardware: Hardware, findings: Findings) -> None:
    if hardware.gpus or hardware.fault:
        return
    try:
        path = cpu.quantized_path(recipe.quantization.scheme, cpu.detect_cpu())
    except UserError as error:
        findings.add(str(error), Need.SERVING)
        return
    if path.kind == "dequantized":
        findings.notes.append(f"serving {size} on this CPU: {path.reason}")
    # What is compared with the quantized model is the merged one, in bfloat16.
    weights = round(2 * size.parameters)
    _main_memory("serving", size, weights + _SERVING_ON_CPU, Need.SERVING, findings)


def _main_memory(what: str, size: ModelSize, needed: int, need: Need, findings: Findings) -> None:
    available = memory_bytes()
    if available is not None and available < needed:
        findings.add(
            f"{what} {size} on the CPU needs about {needed / GIB:.1f} GiB of memory and there are "
            f"{available / GIB:.1f}, swap included: add memory or swap, or raise the container's "
            "limit",
            need,
        )
