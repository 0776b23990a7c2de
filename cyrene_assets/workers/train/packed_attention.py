"""Attention over packed documents, under names of our own (:mod:`cyrene_assets.compute.attention`).

transformers takes an attention function under any name (``AttentionInterface``). A name that says
"flash" would make it import the flash-attn package, so none does. ms-swift packs only with an
attention on a list of its own: :func:`accept_packing` adds ours.

Queries come as (1, heads, tokens, dimensions) with the documents of a pack one after the other;
``cu_seq_lens_q`` holds the bounds of the documents, (documents + 1) int32 from 0 to the tokens.
"""

import functools
from collections.abc import Callable
from typing import Any

from cyrene_assets.compute.attention import FLASH_3, FLASH_4, ONE_BY_ONE, TORCH

_LIKE_OURS = "flash_attention_2"


class Bounds:
    """The lengths of a pack's documents, read from the GPU once for all layers of a model.

    Reading makes the processor wait for the GPU; flash-attn's own call does so in every layer.
    """

    def __init__(self) -> None:
        self._of: Any = None
        self._lengths: list[int] = []

    def lengths(self, bounds: Any) -> list[int]:
        """Return the documents' lengths in tokens; ``bounds`` is kept, so that it stays itself."""
        if bounds is not self._of:
            self._lengths = bounds.diff().tolist()
            self._of = bounds
        return self._lengths


_BOUNDS = Bounds()


def register() -> None:
    """Make our attention functions known to transformers."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, flash_attention_mask

    functions = {
        TORCH: varlen,
        FLASH_3: functools.partial(_activated, "FA3"),
        FLASH_4: functools.partial(_activated, "FA4"),
        ONE_BY_ONE: one_by_one,
    }
    for attention, function in functions.items():
        AttentionInterface.register(attention.implementation, function)
        # No mask where nothing is padded: the bounds say all.
        AttentionMaskInterface.register(attention.implementation, flash_attention_mask)


def accept_packing() -> None:
    """Let ms-swift pack with our attention, under the rules that it has for flash attention 2.

    Its list of what packs is inside a private method, whose other checks are kept.
    """
    from swift.arguments.sft_args import SftArguments

    check: Callable[[Any], None] = SftArguments._check_padding_free
    ours = {each.implementation for each in (TORCH, FLASH_3, FLASH_4, ONE_BY_ONE)}

    @functools.wraps(check)
    def checked(self: Any) -> None:
        named = self.attn_impl
        if named in ours:
            self.attn_impl = _LIKE_OURS
        try:
            check(self)
        finally:
            self.attn_impl = named

    SftArguments._check_padding_free = checked


def varlen(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **given: Any
) -> tuple[Any, None]:
    """Attend within each document, in torch's variable-length flash attention.

    Returns:
        (1, tokens, heads, dimensions) and None, as transformers expects it.

    Raises:
        RuntimeError: the batch is padded, or attention is to drop out, neither of which it does.
    """
    from torch.nn.attention.varlen import varlen_attn

    _require_no_padding(attention_mask, given)
    bounds = _bounds(query, given)
    longest = max(_BOUNDS.lengths(bounds))
    flat = [_for_kernel(each, module).transpose(1, 2).flatten(0, 1) for each in (query, key, value)]
    out = varlen_attn(
        *flat,
        bounds,
        bounds,
        longest,
        longest,
        scale=given.get("scaling"),
        window_size=(-1, 0) if _causal(module, given) else (-1, -1),
        enable_gqa=flat[0].shape[1] != flat[1].shape[1],
    )
    return out.unflatten(0, (query.shape[0], query.shape[2])), None


def one_by_one(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **given: Any
) -> tuple[Any, None]:
    """Attend within each document, in PyTorch's attention, one document after the other.

    Returns and raises as :func:`varlen` does.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    _require_no_padding(attention_mask, given)
    rows, heads, tokens, _ = query.shape
    # Memory-efficient attention, which takes large heads on small GPUs, knows no shared keys.
    key, value = (each.repeat_interleave(heads // each.shape[1], dim=1) for each in (key, value))
    lengths = [*_BOUNDS.lengths(_bounds(query, given))]
    flat = [
        _for_kernel(each, module).transpose(0, 1).flatten(1, 2).split(lengths, dim=1)
        for each in (query, key, value)
    ]
    documents = [
        scaled_dot_product_attention(
            *(each.unsqueeze(0) for each in document),
            is_causal=_causal(module, given),
            scale=given.get("scaling"),
        )
        for document in zip(*flat, strict=True)
    ]
    out = torch.cat(documents, dim=2)[0]
    return out.unflatten(1, (rows, tokens)).permute(1, 2, 0, 3), None


def _activated(implementation: str, *tensors: Any, **given: Any) -> tuple[Any, None]:
    _activate(implementation)
    return varlen(*tensors, **given)


@functools.cache
def _activate(implementation: str) -> None:
    """Put another package's kernels behind torch's call, for as long as the process lives."""
    from torch.nn.attention import activate_flash_attention_impl

    activate_flash_attention_impl(implementation)


def _require_no_padding(attention_mask: Any, given: dict[str, Any]) -> None:
    if attention_mask is not None:
        raise RuntimeError("packed attention is for rows without padding, and this batch is padded")
    if given.get("dropout"):
        raise RuntimeError("packed attention does not drop out: `attention_dropout` must be 0")


def _causal(module: Any, given: dict[str, Any]) -> bool:
    said = given.get("is_causal")
    return bool(module.is_causal if said is None else said)


def _bounds(query: Any, given: dict[str, Any]) -> Any:
    """Return the bounds of the documents; without any, each row is one."""
    bounds = given.get("cu_seq_lens_q")
    if bounds is not None:
        return bounds
    import torch

    rows, _, tokens, _ = query.shape
    return torch.arange(rows + 1, dtype=torch.int32, device=query.device) * tokens


def _for_kernel(tensor: Any, module: Any) -> Any:
    """Return a tensor in the dtype of the kernel: under autocast, norms leave float32."""
    from transformers.integrations.flash_attention import get_target_dtype

    dtype = get_target_dtype(tensor, module) if tensor.is_cuda else None
    return tensor if dtype is None else tensor.to(dtype)
