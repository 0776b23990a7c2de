"""How much GPU memory a training takes, and what fits a GPU: pure functions, no torch.

The peak is at the loss: weights, gradients, both moments, every activation that is kept, liger's
gradient of the embedding and one chunk of logits. Evaluation keeps no logits
(``workers.train.kernels``) and stays below. Constants were fitted to trainings of Qwen3.5-4B on an
NVIDIA H200 (``benchmarks/gpu/results``): 1, 2 and 4 packs of 5,120 tokens at a time without
gradient checkpointing, one with it, and 1 and 2 packs at a time with float32 masters.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyrene_assets.compute.hardware import GIB, Hardware
from cyrene_assets.config.architecture import Architecture
from cyrene_assets.config.quantization_schemes import quantized_bytes

if TYPE_CHECKING:
    from cyrene_assets.config.recipe import Recipe
    from cyrene_assets.config.training_stage import Stage

# Bytes of kept activations per token and output of a layer's matrices: all of them (with an
# adapter what its dropout leaves of each matrix's input; with float32 weights the sums between
# layers are float32). Fitted to 4B; by the outputs, because layers of 0.8B are wider for their
# hidden size. Those of 2B and 9B are narrower, which is left as room until one was measured. Per
# token, layer and hidden unit: a layer's input alone.
_ACTIVATION_BYTES, _ADAPTER_BYTES, _MASTERS_ACTIVATION_BYTES = 3.88, 5.21, 4.89
_CHECKPOINT_BYTES = 2.4
# Weights, gradients and two moments in bfloat16; with float32 masters all of them in float32, and
# the bfloat16 copies that autocast keeps of the weights. Of a frozen model the weights alone.
_BYTES_FULL, _BYTES_MASTERS, _BYTES_FROZEN = 8, 18, 2
# An adapter's weights, gradients and moments are in float32.
_ADAPTER_STATES = 16
# Outputs of the matrices of a layer of 4B, in hidden sizes.
_OUTPUTS = 13.82
# Of these a checkpoint has all but the gradients and autocast's copies.
_SAVED_FULL, _SAVED_MASTERS = 6, 12
_LOGIT_BYTES = 2
# liger's fused loss: chunks of about tokens * LOSS_CHUNK * hidden / vocabulary tokens. Its default
# of 1 makes 64-token chunks of a pack, which cost a third of the step.
LOSS_CHUNK = 32
# The frozen vision tower is in bfloat16; so much is there besides.
_OVERHEAD = 33_000_000
# Of a GPU's memory; the rest is CUDA's own, the allocator's gaps, and a display.
_USABLE = 0.9
# CUDA's own, apart from what other programs use.
_CONTEXT = GIB // 2
# More tokens at a time than this were no faster.
_LARGEST_MICRO_TOKENS = 4 * 8192


@dataclass(frozen=True)
class MemoryPlan:
    """How a stage fits a GPU: sequences at a time, and whether activations are recomputed."""

    micro_batch: int
    checkpointing: bool


def loss_chunk(tokens: int, architecture: Architecture) -> int:
    """Return how many tokens' logits liger's fused loss has in memory at a time."""
    chunks = math.ceil(architecture.vocabulary / (LOSS_CHUNK * architecture.hidden_size))
    return int(min(tokens, 2 ** math.ceil(math.log2(math.ceil(tokens / chunks)))))


def training_memory(
    stage: "Stage",
    architecture: Architecture,
    *,
    checkpointing: bool,
    micro_batch: int = 1,
    devices: int = 1,
) -> int:
    """Return the estimated peak memory of a training on each of its GPUs in bytes.

    Several devices exchange gradients through buckets, as large as the gradients once more.
    """
    full = stage.tuner == "full"
    masters = full and stage.master_weights
    states = (_BYTES_MASTERS if masters else _BYTES_FULL) if full else _BYTES_FROZEN
    if full and devices > 1:
        states += 4 if masters else 2
    inputs = sum(matrix.inputs for matrix in architecture.matrices)
    outputs = sum(matrix.outputs for matrix in architecture.matrices)
    rank = stage.lora.rank if stage.lora is not None else 0
    adapter = rank * (inputs + outputs) * _ADAPTER_STATES
    tokens = stage.sequence_length * micro_batch
    kept = _ACTIVATION_BYTES if full else _ADAPTER_BYTES
    if masters:
        kept = _MASTERS_ACTIVATION_BYTES
    activations = (
        tokens * max(outputs, _OUTPUTS * architecture.num_layers * architecture.hidden_size) * kept
    )
    embedding = (
        architecture.vocabulary * architecture.hidden_size * (4 if masters else 2) if full else 0
    )
    peak: float = (
        embedding + loss_chunk(tokens, architecture) * architecture.vocabulary * _LOGIT_BYTES
    )
    if checkpointing:
        # Where the loss is small, as with an adapter, the layer that is computed again is more.
        peak = max(peak, activations / architecture.num_layers)
        activations = (
            tokens * architecture.num_layers * architecture.hidden_size * _CHECKPOINT_BYTES
        )
    weights = architecture.parameters * states + adapter
    return (
        round(weights + peak + activations)
        + architecture.vision_parameters * _BYTES_FROZEN
        + _OVERHEAD
    )


def choose_micro_batch(
    stage: "Stage", hardware: Hardware, architecture: Architecture, devices: int
) -> MemoryPlan:
    """Return the fastest way of training on so many GPUs that fits the smallest of them.

    The micro-batch divides a GPU's part of the effective batch, so that the batch of the recipe is
    kept. Without checkpointing and with the most sequences at a time where they
    fit, else one at a time with checkpointing.
    """
    share = stage.batch_size // devices
    max_micro = max(1, _LARGEST_MICRO_TOKENS // stage.sequence_length)
    for micro in range(min(share, max_micro, 4), 0, -1):
        needed = training_memory(
            stage, architecture, checkpointing=False, micro_batch=micro, devices=devices
        )
        if share % micro == 0 and fits_in_memory(needed, hardware):
            return MemoryPlan(micro, checkpointing=False)
    return MemoryPlan(1, checkpointing=True)


def work_bytes(stage: "Stage") -> int:
    """Return the most bytes per parameter that a training has on the disk while it runs.

    Two checkpoints of weights and moments, the newest and the one before; of an adapter, which is
    small, the model that it is merged into.
    """
    if stage.tuner != "full":
        return _BYTES_FROZEN
    return 2 * (_SAVED_MASTERS if stage.master_weights else _SAVED_FULL)


def stored_bytes(architecture: Architecture, recipe: "Recipe") -> dict[str, int]:
    """Return what the large artifacts of a size take on the disk, CPT's with what it works with."""
    whole = _BYTES_FROZEN * (architecture.parameters + architecture.untrained_parameters)
    quantized = quantized_bytes(
        architecture.tensors, recipe.quantization.scheme, recipe.quantization.ignore
    )
    return {
        "base_model": whole,
        "cpt_checkpoint": whole + architecture.parameters * work_bytes(recipe.cpt),
        "merged_model": whole,
        "fp8_model": quantized + _BYTES_FROZEN * architecture.untrained_parameters,
    }


def fits_in_memory(needed: int, hardware: Hardware) -> bool:
    """Return whether so many bytes fit the smallest GPU, what is not ours left alone."""
    return needed <= hardware.memory * _USABLE


def fits_in_free_memory(needed: int, hardware: Hardware) -> bool:
    """Return whether so many bytes fit next to what other programs use of each GPU now."""
    return all(needed <= gpu.free - _CONTEXT for gpu in hardware.gpus)


def format_gib(needed: int) -> str:
    """Return bytes in GiB, as GPUs are sold."""
    return f"{needed / GIB:.0f} GiB"
