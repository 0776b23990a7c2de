"""How much GPU memory a training takes: the estimate that decides on gradient checkpointing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyrene_assets.hardware import GIB, Hardware

if TYPE_CHECKING:
    from cyrene_assets.recipe import Stage

# Bytes of activations per token, layer and hidden unit without gradient checkpointing, and with it
# (one layer's worth is recomputed at a time). Fitted to packs of 5,120 tokens of Qwen3.5-4B on one
# H200 with liger: 125 GiB without and 43 GiB with it, 34 GB of either weights, gradients, moments.
_ACTIVATION_BYTES = 235
_CHECKPOINT_BYTES = 20
_OVERHEAD = 2 * GIB
_USABLE = 0.92


@dataclass(frozen=True)
class ModelShape:
    """What memory depends on: parameters, and the text model's layers and hidden size."""

    parameters: int
    layers: int
    hidden_size: int


def training_memory(
    stage: "Stage", shape: ModelShape, *, checkpointing: bool, micro_batch: int = 1
) -> int:
    """Return the estimated peak memory of training on one GPU in bytes.

    Weights, gradients and two moments in bfloat16 for full fine-tuning (8 bytes a parameter), the
    weights alone for LoRA, and activations in proportion to tokens, layers and hidden size.
    """
    weights = shape.parameters * (8 if stage.tuner == "full" else 2)
    tokens = stage.sequence_length * micro_batch
    factor = _CHECKPOINT_BYTES if checkpointing else _ACTIVATION_BYTES
    return weights + tokens * shape.layers * shape.hidden_size * factor + _OVERHEAD


def needs_checkpointing(stage: "Stage", hardware: Hardware, shape: ModelShape) -> bool:
    """Return whether activations must be recomputed for training to fit the smallest GPU."""
    return training_memory(stage, shape, checkpointing=False) > hardware.memory * _USABLE
