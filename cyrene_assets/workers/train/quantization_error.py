"""How far quantized weights are off, read back from what was written."""

from collections.abc import Mapping
from typing import Any

from cyrene_assets.config.quantization_schemes import SCHEMES

SMALLEST_NORMAL = 2.0**-6
_BITS = 4


def worst_error(scheme: str, before: Any, parts: Mapping[str, Any]) -> float:
    """Return the largest error of a module's weight, in the unit of its format's bound.

    Args:
        scheme: of `cyrene_assets.config.quantization_schemes.SCHEMES`.
        before: the weight that was rounded, of shape (out, in).
        parts: the module's tensors as written, by name.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    form = SCHEMES[scheme]
    exact = before.to(device, torch.float32)
    scales = _spread(parts["weight_scale"].to(device, torch.float32), exact.shape, form.block)
    if form.relative:
        rounded = parts["weight"].to(device).to(torch.float32)
        # Weights below the smallest normal FP8 number of their block are measured against it.
        unit = torch.maximum(exact.abs(), scales * SMALLEST_NORMAL)
    else:
        from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32

        shape = torch.Size(parts["weight_shape"].tolist())
        rounded = unpack_from_int32(parts["weight_packed"], _BITS, shape).to(device, torch.float32)
        unit = scales
    return float(((rounded * scales - exact).abs() / unit).max())


def _spread(scales: Any, shape: tuple[int, int], block: int) -> Any:
    """Return a scale for every weight: the blocks' own, or the groups' in a row."""
    if scales.shape[0] != shape[0]:
        scales = scales.repeat_interleave(block, 0)[: shape[0]]
    return scales.repeat_interleave(block, 1)[:, : shape[1]]
