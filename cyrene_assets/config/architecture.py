"""Qwen3.5's architecture: which tensors a model of given dimensions has, and how large they are.

The dimensions of the published sizes, and the parameters that a test compares with the formulas
here, come from the configurations and the safetensors headers of the hub's repositories:

- 0.8B: ``Qwen/Qwen3.5-0.8B-Base`` at dc7cdfe, ``Qwen/Qwen3.5-0.8B`` (its configuration is the same,
  SHA-256 b90b86f3...); the training arguments in ``THUDM/slime``, scripts/models/qwen3.5-0.8B.sh.
- 2B: ``Qwen/Qwen3.5-2B`` at 15852e8; ``williammtan/miles``, scripts/models/qwen3.5-2B.sh.
- 4B: ``Qwen/Qwen3.5-4B`` at 851bf6e; ``radixark/miles``, scripts/models/qwen3.5-4B.sh.
- 9B: ``Qwen/Qwen3.5-9B`` at c202236; ``radixark/miles``, scripts/models/qwen3.5-9B.sh.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

Shape = tuple[int, ...]


class Matrix(NamedTuple):
    """The dimensions of a linear layer's weight."""

    outputs: int
    inputs: int


_CONVOLUTION = 4
_PATCH = 3 * 2 * 16 * 16
# Patches that the vision tower's projection merges into one token.
_MERGED = 4


@dataclass(frozen=True)
class Vision:
    """The vision tower, which is frozen here."""

    depth: int
    hidden: int
    intermediate: int
    positions: int = 2304

    def parameters(self, out: int) -> int:
        """Return its parameters with the projection to ``out`` dimensions."""
        hidden, inner = self.hidden, self.intermediate
        merged = _MERGED * hidden
        block = 4 * hidden * (hidden + 1) + 2 * hidden * inner + inner + hidden + 4 * hidden
        projection = 2 * hidden + merged * (merged + 1) + (merged + 1) * out
        return self.depth * block + (_PATCH + 1 + self.positions) * hidden + projection


@dataclass(frozen=True)
class Architecture:
    """The dimensions of a model; every fourth layer is full attention, the others are linear.

    ``tied`` says that the embedding is the output layer, too.
    """

    num_layers: int
    hidden_size: int
    intermediate: int
    num_heads: int
    num_key_value_heads: int
    num_linear_value_heads: int
    tied: bool
    vision_tower: Vision
    num_linear_key_heads: int = 16
    head_size: int = 256
    linear_head_size: int = 128
    vocabulary: int = 248_320
    max_context: int = 262_144

    @property
    def text_config(self) -> dict[str, Any]:
        """What ``config.json`` says of the language model, under ``text_config``."""
        return {
            "head_dim": self.head_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate,
            "layer_types": [
                "linear_attention" if self._is_linear(layer) else "full_attention"
                for layer in range(self.num_layers)
            ],
            "linear_conv_kernel_dim": _CONVOLUTION,
            "linear_key_head_dim": self.linear_head_size,
            "linear_num_key_heads": self.num_linear_key_heads,
            "linear_num_value_heads": self.num_linear_value_heads,
            "linear_value_head_dim": self.linear_head_size,
            "max_position_embeddings": self.max_context,
            "num_attention_heads": self.num_heads,
            "num_hidden_layers": self.num_layers,
            "num_key_value_heads": self.num_key_value_heads,
            "tie_word_embeddings": self.tied,
            "vocab_size": self.vocabulary,
        }

    @cached_property
    def tensors(self) -> Mapping[str, Shape]:
        """The language model's tensors by name, as a checkpoint has them."""
        prefix, table = "model.language_model", (self.vocabulary, self.hidden_size)
        found: dict[str, Shape] = {
            f"{prefix}.embed_tokens.weight": table,
            f"{prefix}.norm.weight": (self.hidden_size,),
        }
        if not self.tied:
            found["lm_head.weight"] = table
        for layer in range(self.num_layers):
            within = {**self._mlp, **(self._linear if self._is_linear(layer) else self._full)}
            found |= {f"{prefix}.layers.{layer}.{name}": shape for name, shape in within.items()}
        return found

    @property
    def parameters(self) -> int:
        """The language model's parameters: what is trained, and served."""
        return _elements(self.tensors)

    @property
    def vision_parameters(self) -> int:
        """The vision tower's parameters."""
        return self.vision_tower.parameters(self.hidden_size)

    @property
    def untrained_parameters(self) -> int:
        """Parameters of the vision tower and multi-token prediction, which stay the base's."""
        return self.vision_parameters + _elements(self.mtp_tensors)

    @property
    def mtp_tensors(self) -> Mapping[str, Shape]:
        """The tensors of multi-token prediction by name, as a checkpoint has them.

        A layer of full attention, a matrix that joins embedding and hidden state, three norms.
        """
        norms = ("norm", "pre_fc_norm_embedding", "pre_fc_norm_hidden")
        return {
            "mtp.fc.weight": (self.hidden_size, 2 * self.hidden_size),
            **{f"mtp.{name}.weight": (self.hidden_size,) for name in norms},
            **{f"mtp.layers.0.{name}": s for name, s in {**self._mlp, **self._full}.items()},
        }

    @cached_property
    def matrices(self) -> list[Matrix]:
        """The matrices of all layers: what gets an adapter."""
        return [
            Matrix(*shape)
            for name, shape in self.tensors.items()
            if ".layers." in name and len(shape) == len(Matrix._fields)
        ]

    @staticmethod
    def _is_linear(layer: int) -> bool:
        return layer % 4 != 4 - 1

    @property
    def _mlp(self) -> dict[str, Shape]:
        return {
            "input_layernorm.weight": (self.hidden_size,),
            "post_attention_layernorm.weight": (self.hidden_size,),
            "mlp.gate_proj.weight": (self.intermediate, self.hidden_size),
            "mlp.up_proj.weight": (self.intermediate, self.hidden_size),
            "mlp.down_proj.weight": (self.hidden_size, self.intermediate),
        }

    @property
    def _full(self) -> dict[str, Shape]:
        queries, keys = self.num_heads * self.head_size, self.num_key_value_heads * self.head_size
        return {
            # Queries, and the gate of what attention gives.
            "self_attn.q_proj.weight": (2 * queries, self.hidden_size),
            "self_attn.k_proj.weight": (keys, self.hidden_size),
            "self_attn.v_proj.weight": (keys, self.hidden_size),
            "self_attn.o_proj.weight": (self.hidden_size, queries),
            "self_attn.q_norm.weight": (self.head_size,),
            "self_attn.k_norm.weight": (self.head_size,),
        }

    @property
    def _linear(self) -> dict[str, Shape]:
        keys = self.num_linear_key_heads * self.linear_head_size
        values = self.num_linear_value_heads * self.linear_head_size
        return {
            "linear_attn.in_proj_qkv.weight": (2 * keys + values, self.hidden_size),
            "linear_attn.in_proj_z.weight": (values, self.hidden_size),
            "linear_attn.in_proj_a.weight": (self.num_linear_value_heads, self.hidden_size),
            "linear_attn.in_proj_b.weight": (self.num_linear_value_heads, self.hidden_size),
            "linear_attn.out_proj.weight": (self.hidden_size, values),
            "linear_attn.conv1d.weight": (2 * keys + values, 1, _CONVOLUTION),
            "linear_attn.A_log": (self.num_linear_value_heads,),
            "linear_attn.dt_bias": (self.num_linear_value_heads,),
            "linear_attn.norm.weight": (self.linear_head_size,),
        }


def _elements(tensors: Mapping[str, Shape]) -> int:
    return sum(math.prod(shape) for shape in tensors.values())


_VISION_2B_4B = Vision(24, 1024, 4096)
QWEN_0_8B = Architecture(24, 1024, 3584, 8, 2, 16, True, Vision(12, 768, 3072))
QWEN_2B = Architecture(24, 2048, 6144, 8, 2, 16, True, _VISION_2B_4B)
QWEN_4B = Architecture(32, 2560, 9216, 16, 4, 32, True, _VISION_2B_4B)
QWEN_9B = Architecture(32, 4096, 12_288, 16, 4, 32, False, Vision(27, 1152, 4304))
# What workers.train.tiny_model makes of the sample corpus.
TINY = Architecture(4, 256, 512, 4, 2, 4, True, Vision(1, 64, 128, 64), 2, 64, 64, 8192, 4096)
