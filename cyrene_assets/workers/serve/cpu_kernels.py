"""Kernels of quantized weights for CPUs that vLLM 0.32 offers none on.

Where its library holds one, that is used: block FP8 runs on every CPU with AVX-512 and bfloat16,
though vLLM offers it on those with AMX alone. Elsewhere weights become bfloat16 as they are loaded.

Part of the plug-in of `cyrene_assets.workers.serve.vllm_plugin`. Which path a CPU takes is decided
in `cyrene_assets.compute.cpu`. Dequantized layers run as vLLM's own unquantized
ones do, with oneDNN, and take as much memory.
"""

from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from cyrene_assets.compute.cpu import detect_cpu, quantized_path

if TYPE_CHECKING:
    import torch

# How many layers of each scheme this process has dequantized so far.
DEQUANTIZED: Counter[str] = Counter()

_FP8_BLOCK, _W4A16 = "FP8_BLOCK", "W4A16"


def register() -> None:
    """Give vLLM the kernels: before its own where the CPU's path is ours, else after them.

    vLLM takes the first kernel that says it can.
    """
    from vllm.model_executor.kernels import linear
    from vllm.platforms import PlatformEnum

    without_amx, fp8, w4a16 = _kernels()
    linear._POSSIBLE_FP8_BLOCK_KERNELS[PlatformEnum.CPU].append(without_amx)
    cpu = detect_cpu()
    for scheme, kernel, table in (
        (_FP8_BLOCK, fp8, linear._POSSIBLE_FP8_BLOCK_KERNELS),
        (_W4A16, w4a16, linear._POSSIBLE_KERNELS),
    ):
        kernels = table[PlatformEnum.CPU]
        first = quantized_path(scheme, cpu).kind == "dequantized"
        kernels.insert(0 if first else len(kernels), kernel)


def block_dequantized(
    weight: "torch.Tensor", scale: "torch.Tensor", block: tuple[int, int], dtype: "torch.dtype"
) -> "torch.Tensor":
    """Return a weight of block FP8 in another dtype, rounded once.

    Args:
        weight: rows x columns.
        scale: one for each block, the last of a row or column may be smaller.
        block: rows and columns that share a scale.
        dtype: of the result.
    """
    import torch

    rows, columns = weight.shape
    spread = scale.float().repeat_interleave(block[0], 0)[:rows]
    spread = spread.repeat_interleave(block[1], 1)[:, :columns]
    return weight.to(torch.float32).mul_(spread).to(dtype)


def group_dequantized(
    packed: "torch.Tensor", scale: "torch.Tensor", dtype: "torch.dtype"
) -> "torch.Tensor":
    """Return a weight of symmetric 4-bit groups in another dtype, rounded once.

    Args:
        packed: rows x columns / 8; eight numbers of 0 to 15, zero at 8, the first in the lowest
            bits.
        scale: rows x groups of columns.
        dtype: of the result.
    """
    import torch

    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    numbers = ((packed.unsqueeze(-1) >> shifts) & 15).flatten(1) - 8
    spread = scale.float().repeat_interleave(numbers.shape[1] // scale.shape[1], 1)
    return numbers.to(torch.float32).mul_(spread).to(dtype)


def _kernels() -> tuple[type, type, type]:
    """Return the kernel classes; their bases cannot be imported outside vLLM."""
    import torch
    from vllm import _custom_ops as ops
    from vllm.model_executor.kernels.linear import (
        CPUFp8BlockScaledMMKernel,
        Fp8BlockScaledMMLinearKernel,
        MPLinearKernel,
        MPLinearLayerConfig,
    )
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
    from vllm.scalar_type import scalar_types

    def run_unquantized(
        scheme: str, layer: torch.nn.Module, weight: torch.Tensor, replaced: tuple[str, ...]
    ) -> None:
        """Make a layer an unquantized one of this weight."""
        for name in replaced:
            delattr(layer, name)
        layer.register_parameter("weight", torch.nn.Parameter(weight, requires_grad=False))
        dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
        DEQUANTIZED[scheme] += 1

    class Fp8BlockWithoutAmx(CPUFp8BlockScaledMMKernel):  # type: ignore[misc]
        """vLLM's own kernel, whose operator computes with AVX-512's bfloat16 where AMX is not."""

        @classmethod
        def is_supported(cls, _compute_capability: int | None = None) -> tuple[bool, str | None]:
            if not torch.cpu._is_avx512_bf16_supported() or not ops._supports_cpu_fp8_w8a16:
                return False, "needs AVX-512 with bfloat16"
            return True, None

    class DequantizedFp8Block(Fp8BlockScaledMMLinearKernel):  # type: ignore[misc]
        """Block FP8 in bfloat16: the activations are not quantized either."""

        apply_input_quant: ClassVar[bool] = False

        @classmethod
        def is_supported(cls, _compute_capability: int | None = None) -> tuple[bool, str | None]:
            return True, None

        def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
            given = self._get_layer_params(layer)
            block = self.weight_group_shape
            weight = block_dequantized(
                given.weight, given.block_scale, (block.row, block.col), self.config.out_dtype
            )
            run_unquantized(_FP8_BLOCK, layer, weight, (given.WEIGHT, given.block_scale_attr))

        def apply_weights(
            self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None
        ) -> torch.Tensor:
            return layer.cpu_linear(x, layer.weight, bias)

        def apply_block_scaled_mm(self, *_operands: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError("a dequantized layer has no scales")

    class DequantizedW4A16(MPLinearKernel):  # type: ignore[misc]
        """Symmetric 4-bit weights in bfloat16."""

        @classmethod
        def get_min_capability(cls) -> int:
            return -1

        @classmethod
        def can_implement(cls, c: MPLinearLayerConfig) -> tuple[bool, str | None]:
            if c.weight_type != scalar_types.uint4b8 or c.zero_points:
                return False, "dequantizes symmetric 4-bit weights alone"
            return True, None

        def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
            packed, scale, _ = self._get_weight_params(layer)
            weight = group_dequantized(packed.data, scale.data, self.config.act_type)
            run_unquantized(_W4A16, layer, weight, (self.w_q_name, self.w_s_name, "weight_shape"))

        def apply_weights(
            self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None
        ) -> torch.Tensor:
            return layer.cpu_linear(x, layer.weight, bias)

    return Fp8BlockWithoutAmx, DequantizedFp8Block, DequantizedW4A16
