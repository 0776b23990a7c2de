"""How much GPU memory a training takes, and what fits a GPU: pure functions, no torch.

The peak is at the loss: weights, gradients, both moments, every activation that is kept, liger's
gradient of the embedding and one chunk of logits. Evaluation keeps no logits
(``programs._kernels``) and stays below. Constants were fitted to trainings of Qwen3.5-4B on an
NVIDIA H200 (``benchmarks/gpu/results``): 1, 2 and 4 packs of 5,120 tokens at a time without
gradient checkpointing, one with it, and 1 and 2 packs at a time with float32 masters.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyrene_assets.hardware import GIB, Hardware

if TYPE_CHECKING:
    from cyrene_assets.recipe import Stage

# Bytes of kept activations per token, layer and hidden unit: all of them (beside an adapter what
# its dropout leaves of each matrix's input; beside float32 weights the sums between layers are
# float32), or a layer's input alone.
_ACTIVATION_BYTES, _ADAPTER_BYTES, _MASTERS_ACTIVATION_BYTES = 53.6, 72.0, 67.6
_CHECKPOINT_BYTES = 2.4
# Weights, gradients and two moments in bfloat16; with float32 masters all of them in float32, and
# the bfloat16 copies that autocast keeps of the weights. Of a frozen model the weights alone.
_BYTES_FULL, _BYTES_MASTERS, _BYTES_FROZEN = 8, 18, 2
# An adapter's weights, gradients and moments are in float32. Inputs and outputs of the matrices of
# a layer of Qwen3.5 come to 25 times the hidden size (4B), of which each has the rank.
_ADAPTER_STATES, _MATRICES_WIDTH = 16, 25
# Of these a checkpoint has all but the gradients and autocast's copies.
_SAVED_FULL, _SAVED_MASTERS = 6, 12
_LOGIT_BYTES = 2
# liger's fused loss: chunks of about tokens * LOSS_CHUNK * hidden / vocabulary tokens. Its default
# of 1 makes 64-token chunks of a pack, which cost a third of the step.
LOSS_CHUNK = 32
# The frozen vision tower, in bfloat16.
_OVERHEAD = 700_000_000
# Of a GPU's memory; the rest is CUDA's own, the allocator's gaps, and a display.
_USABLE = 0.9
# More tokens at a time than this were no faster.
_LARGEST_MICRO_TOKENS = 4 * 8192


@dataclass(frozen=True)
class ModelShape:
    """What memory depends on: parameters, and the text model's layers, hidden size, vocabulary."""

    parameters: int
    layers: int
    hidden_size: int
    vocabulary: int = 248_320


@dataclass(frozen=True)
class Fit:
    """How a stage fits a GPU: sequences at a time, and whether activations are recomputed."""

    micro_batch: int
    checkpointing: bool


def loss_chunk(tokens: int, shape: ModelShape) -> int:
    """Return how many tokens' logits liger's fused loss has in memory at a time."""
    if not shape.hidden_size:
        return 0
    chunks = math.ceil(shape.vocabulary / (LOSS_CHUNK * shape.hidden_size))
    return int(min(tokens, 2 ** math.ceil(math.log2(math.ceil(tokens / chunks)))))


def training_memory(
    stage: "Stage",
    shape: ModelShape,
    *,
    checkpointing: bool,
    micro_batch: int = 1,
    devices: int = 1,
) -> int:
    """Return the estimated peak memory of a training on each of its GPUs in bytes.

    Several devices exchange gradients through buckets, as large as the gradients once more.
    A shape without layers and hidden size gives weights, gradients and optimizer alone: a lower
    bound.
    """
    full = stage.tuner == "full"
    masters = full and stage.master_weights
    states = (_BYTES_MASTERS if masters else _BYTES_FULL) if full else _BYTES_FROZEN
    if full and devices > 1:
        states += 4 if masters else 2
    rank = stage.lora.rank if stage.lora is not None else 0
    adapter = rank * _MATRICES_WIDTH * shape.layers * shape.hidden_size * _ADAPTER_STATES
    tokens = stage.sequence_length * micro_batch
    kept = _ACTIVATION_BYTES if full else _ADAPTER_BYTES
    if masters:
        kept = _MASTERS_ACTIVATION_BYTES
    if checkpointing:
        kept = _CHECKPOINT_BYTES
    embedding = shape.vocabulary * shape.hidden_size * (4 if masters else 2) if full else 0
    logits = loss_chunk(tokens, shape) * shape.vocabulary * _LOGIT_BYTES
    activations = tokens * shape.layers * shape.hidden_size * kept
    weights = shape.parameters * states + adapter
    return round(weights + embedding + logits + activations) + _OVERHEAD


def fit(stage: "Stage", hardware: Hardware, shape: ModelShape, devices: int) -> Fit:
    """Return the fastest way of training on so many GPUs that fits the smallest of them.

    The micro-batch divides a GPU's part of the effective batch, so that the batch of the recipe is
    kept. Without checkpointing and with the most sequences at a time where they
    fit, else one at a time with checkpointing.
    """
    share = stage.batch_size // devices
    most = max(1, _LARGEST_MICRO_TOKENS // stage.sequence_length)
    for micro in range(min(share, most, 4), 0, -1):
        needed = training_memory(
            stage, shape, checkpointing=False, micro_batch=micro, devices=devices
        )
        if share % micro == 0 and fits(needed, hardware):
            return Fit(micro, checkpointing=False)
    return Fit(1, checkpointing=True)


def work_bytes(stage: "Stage") -> int:
    """Return the most bytes per parameter that a training has on the disk while it runs.

    Two checkpoints of weights and moments, the newest and the one before; of an adapter, which is
    small, the model that it is merged into.
    """
    if stage.tuner != "full":
        return _BYTES_FROZEN
    return 2 * (_SAVED_MASTERS if stage.master_weights else _SAVED_FULL)


def fits(needed: int, hardware: Hardware) -> bool:
    """Return whether so many bytes fit the smallest GPU, what is not ours left alone."""
    return needed <= hardware.memory * _USABLE


def shown(needed: int) -> str:
    """Return bytes in GiB, as GPUs are sold."""
    return f"{needed / GIB:.0f} GiB"
