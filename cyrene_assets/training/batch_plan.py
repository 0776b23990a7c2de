"""What a machine decides of a training: devices, micro-batches, precision, kernels, packing.

Pure functions of a recipe's stage and the GPUs at hand. The recipe's effective batch and sequence
length are the same on every machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cyrene_assets.compute.attention import TORCH, Attention
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config.architecture import Architecture
from cyrene_assets.training.memory_model import (
    MemoryPlan,
    choose_micro_batch,
    fits_in_memory,
    training_memory,
)
from cyrene_assets.utils.errors import BuildError

if TYPE_CHECKING:
    from cyrene_assets.config.recipe import Recipe
    from cyrene_assets.config.training_stage import Stage

# Small micro-batches waste little on padding; a larger one is no faster on a few cores.
_CPU_MICRO_BATCH = 2
_CPU_EVALUATION_BATCH = 4
_GPU_WORKERS = 4
# bfloat16 and flash attention both begin with Ampere.
_OLDEST_CAPABILITY = (8, 0)
# The plugin's optimizer of bfloat16 weights (workers.train.optimizer_plugin), by the name that
# ms-swift knows.
ROUNDING_OPTIMIZER = "cyrene_adamw"


@dataclass(frozen=True)
class Batch:
    """How a step's batch is made up: sequences at a time, times accumulation, times devices."""

    micro: int
    accumulation: int
    devices: int

    @property
    def effective(self) -> int:
        """The sequences of one optimizer step."""
        return self.micro * self.accumulation * self.devices

    def describe(self) -> str:
        """Return one line for a person."""
        return (
            f"{self.effective} = micro-batch {self.micro} x accumulation {self.accumulation} x "
            f"{self.devices} {'device' if self.devices == 1 else 'devices'}"
        )


def uses_packing(hardware: Hardware) -> bool:
    """Return whether training packs: on a GPU. Linear attention has no packs on a CPU."""
    return bool(hardware.gpus)


def num_gpus(hardware: Hardware, batch_size: int) -> int:
    """Return how many GPUs train: as many as divide the batch, so that no step differs in size."""
    return max((n for n in range(1, len(hardware.gpus) + 1) if batch_size % n == 0), default=0)


def training_gpus(hardware: Hardware, batch_size: int) -> Hardware:
    """Return the GPUs that train: as many as divide the batch, those with the most memory."""
    largest = sorted(range(len(hardware.gpus)), key=lambda n: (-hardware.gpus[n].memory, n))
    chosen = sorted(largest[: num_gpus(hardware, batch_size)])
    return replace(hardware, gpus=tuple(hardware.gpus[n] for n in chosen))


def plan_batch(hardware: Hardware, batch_size: int, micro: int = 1) -> Batch:
    """Return how a batch is made up on this machine; ``micro`` sequences at a time on a GPU."""
    if not hardware.gpus:
        micro = max(n for n in range(1, _CPU_MICRO_BATCH + 1) if batch_size % n == 0)
        return Batch(micro, batch_size // micro, 1)
    devices = num_gpus(hardware, batch_size)
    return Batch(micro, batch_size // devices // micro, devices)


def plan_memory(
    stage: "Stage", hardware: Hardware, architecture: Architecture
) -> tuple[Batch, MemoryPlan]:
    """Return how a stage's batch is made up on this machine, and how it fits a GPU's memory."""
    if not hardware.gpus:
        batch = plan_batch(hardware, stage.batch_size)
        return batch, MemoryPlan(batch.micro, checkpointing=False)
    used = training_gpus(hardware, stage.batch_size)
    chosen = choose_micro_batch(stage, used, architecture, len(used.gpus))
    return plan_batch(hardware, stage.batch_size, chosen.micro_batch), chosen


def memory_per_gpu(
    stage: "Stage", architecture: Architecture, batch: Batch, chosen: MemoryPlan
) -> int:
    """Return the bytes that each GPU needs for what :func:`plan_memory` returned."""
    return training_memory(
        stage,
        architecture,
        checkpointing=chosen.checkpointing,
        micro_batch=batch.micro,
        devices=batch.devices,
    )


def memory_remedies(
    recipe: "Recipe", name: Literal["cpt", "sft"], hardware: Hardware, architecture: Architecture
) -> list[str]:
    """Return what would make a recipe's stage fit these GPUs that does not fit them."""
    stage: Stage = getattr(recipe, name)
    largest = max(hardware.gpus, key=lambda gpu: gpu.memory)
    half = stage.sequence_length // 2
    adapter = {"tuner": "lora", "lora": recipe.sft.lora}
    shorter = {"sequence_length": half}
    settings: dict[str, dict[str, Any]] = {
        "`master_weights: false`": {"master_weights": False},
        "`tuner: lora` and the `lora` of `sft`": adapter,
        f"`sequence_length: {half}`": shorter,
    }
    words = [
        f"give `{name}` in the recipe {setting}"
        for setting, update in settings.items()
        if _fits(stage.model_copy(update=update), hardware, architecture)
    ]
    if len(hardware.gpus) > 1 and _fits(stage, Hardware((largest,)), architecture):
        words.insert(0, f"train on {largest.name} alone (CUDA_VISIBLE_DEVICES={largest.uuid})")
    if not words and _fits(stage.model_copy(update=adapter | shorter), hardware, architecture):
        words = [
            f"give `{name}` in the recipe `tuner: lora`, the `lora` of `sft` and "
            f"`sequence_length: {half}`"
        ]
    return words


def _fits(stage: "Stage", hardware: Hardware, architecture: Architecture) -> bool:
    needed = memory_per_gpu(stage, architecture, *plan_memory(stage, hardware, architecture))
    return fits_in_memory(needed, training_gpus(hardware, stage.batch_size))


def describe_devices(hardware: Hardware, batch_size: int) -> str:
    """Return what a stage trains on, and why on no more GPUs than that."""
    training = training_gpus(hardware, batch_size)
    used, there = len(training.gpus), len(hardware.gpus)
    if used == there:
        return hardware.describe()
    return (
        f"{used} of {there} GPUs, since a batch of {batch_size} divides by {used} and by no more "
        f"of them: {training.describe()}"
    )


def optimizer_steps(sequences: int, batch: Batch) -> int:
    """Return the number of optimizer steps of one epoch; the last may be smaller.

    Several devices get equally many sequences, and ms-swift leaves out what remains.
    """
    return math.ceil(sequences // batch.devices / (batch.effective // batch.devices))


def capability_problem(hardware: Hardware) -> str | None:
    """Return why a GPU is too old to train on, with the remedy; None where none is."""
    if not hardware.gpus or hardware.capability >= _OLDEST_CAPABILITY:
        return None
    return (
        f"{hardware.describe()}: bfloat16 and flash attention need compute capability 8.0 "
        "(Ampere) or later; train on another GPU, or hide this one with CUDA_VISIBLE_DEVICES="
    )


def machine_arguments(
    stage: "Stage", hardware: Hardware, architecture: Architecture, attention: Attention = TORCH
) -> Sequence[str]:
    """Return the arguments of ms-swift that this machine decides; ``attention`` is a GPU's.

    Raises:
        BuildError: a GPU too old for bfloat16 and flash attention.
    """
    batch, chosen = plan_memory(stage, hardware, architecture)
    sizes = (
        *("--per_device_train_batch_size", str(batch.micro)),
        *("--gradient_accumulation_steps", str(batch.accumulation)),
    )
    if not hardware.gpus:
        return (
            *("--torch_dtype", "float32", "--bf16", "false", "--fp16", "false"),
            *("--attn_impl", "sdpa"),
            *("--use_cpu", "true"),
            *sizes,
            *("--per_device_eval_batch_size", str(_CPU_EVALUATION_BATCH)),
            *("--gradient_checkpointing", "false"),
            *("--dataloader_num_workers", "0"),
        )
    problem = capability_problem(hardware)
    if problem is not None:
        raise BuildError(problem)
    return (
        *_precision(stage),
        *("--attn_impl", attention.implementation),
        *("--packing", "true"),
        *("--padding_free", "true"),
        *("--packing_length", str(stage.sequence_length)),
        *("--packing_strategy", "sequential"),
        *("--packing_num_proc", "1"),
        *("--use_liger_kernel", "true"),
        *sizes,
        *("--per_device_eval_batch_size", "1"),
        *("--gradient_checkpointing", str(chosen.checkpointing).lower()),
        *("--dataloader_num_workers", str(_GPU_WORKERS)),
        *("--dataset_num_proc", str(_GPU_WORKERS)),
    )


def _precision(stage: "Stage") -> Sequence[str]:
    """Return what a GPU keeps weights in; the arithmetic is in bfloat16 either way.

    An adapter's weights are in float32 (PEFT), on top of a frozen model in bfloat16.
    """
    masters = stage.tuner == "full" and stage.master_weights
    return (
        *("--torch_dtype", "float32" if masters else "bfloat16"),
        *("--bf16", "true", "--fp16", "false"),
        *(("--optimizer", ROUNDING_OPTIMIZER) if stage.tuner == "full" and not masters else ()),
    )
