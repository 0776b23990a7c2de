"""Attention over packs on the GPU at hand: time and error of each kernel that can train.

`attention.py OUT.json`: forward and backward of one layer at Qwen3.5's head dimensions, over packs
of several documents and of one, against each document alone in float32. What is not installed, or
does not run here, is said with its reason.
"""

# ruff: noqa: TID251, ARG001 - runs in the train toolchain; kernels are called alike

import json
import statistics
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from cyrene_assets.compute.attention import FLASH_2, FLASH_3, FLASH_4, ONE_BY_ONE, TORCH
from cyrene_assets.workers.train import packed_attention

# Query heads, key heads, dimensions: the attention of 4B, and of the smallest size.
HEADS = {"16/4 of 256": (16, 4, 256), "8/2 of 256": (8, 2, 256)}
PACK = 5120
SCALE = 0.0625
PACKS = {"19 documents": 19, "40 documents": 40, "1 document": 1}
REPEATS = 20


def lengths(documents: int) -> list[int]:
    """Return uneven lengths that fill a pack."""
    weights = [1 + (7 * n) % 5 for n in range(documents)]
    found = [PACK * weight // sum(weights) for weight in weights]
    found[-1] += PACK - sum(found)
    return found


def reference(tensors: Sequence[Any], direction: Any, documents: list[int]) -> list[Any]:
    """Return output and gradients document by document, in float32, the formula written out."""
    leaves = [each.detach().float().requires_grad_() for each in tensors]
    groups = leaves[0].shape[1] // leaves[1].shape[1]
    out, start = [], 0
    for length in documents:
        here = slice(start, start + length)
        query = leaves[0][:, :, here]
        key, value = (e[:, :, here].repeat_interleave(groups, 1) for e in leaves[1:])
        hidden = torch.ones(length, length, device="cuda", dtype=torch.bool).triu(1)
        scores = (query @ key.transpose(-1, -2) * SCALE).masked_fill(hidden, -torch.inf)
        out.append(scores.softmax(-1) @ value)
        start += length
    joined = torch.cat(out, dim=2).transpose(1, 2)
    return [joined.detach(), *torch.autograd.grad((joined * direction).sum(), leaves)]


def flash_2(module: Any, query: Any, key: Any, value: Any, mask: Any, **given: Any) -> Any:
    """Call flash-attn 2 as transformers does."""
    from flash_attn import flash_attn_varlen_func

    bounds = given["cu_seq_lens_q"]
    longest = int(bounds.diff().max())
    flat = (each.transpose(1, 2)[0] for each in (query, key, value))
    out = flash_attn_varlen_func(
        *flat, bounds, bounds, longest, longest, softmax_scale=SCALE, causal=True
    )
    return out[None], None


def flex(module: Any, query: Any, key: Any, value: Any, mask: Any, **given: Any) -> Any:
    """Call FlexAttention, compiled, with a mask of documents; the mask is made once a pack."""
    return _flex()(
        query,
        key,
        value,
        block_mask=_document_mask(given["cu_seq_lens_q"]),
        scale=SCALE,
        enable_gqa=query.shape[1] != key.shape[1],
    ).transpose(1, 2), None


_MASKS: dict[int, Any] = {}
_COMPILED: list[Any] = []


def _flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    if not _COMPILED:
        _COMPILED.append(torch.compile(flex_attention, dynamic=False))
    return _COMPILED[0]


def _document_mask(bounds: Any) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    if id(bounds) not in _MASKS:
        counts = bounds.diff()
        of = torch.repeat_interleave(torch.arange(len(counts), device="cuda"), counts)

        def same_document(b: Any, h: Any, q: Any, k: Any) -> Any:
            return (q >= k) & (of[q] == of[k])

        _MASKS[id(bounds)] = (
            bounds,
            create_block_mask(same_document, None, None, PACK, PACK, device="cuda"),
        )
    return _MASKS[id(bounds)][1]


def measure(function: Callable[..., Any], heads: tuple[int, int, int], documents: int) -> Any:
    """Return milliseconds forward and backward, and the errors of output and gradients."""
    torch.manual_seed(documents)
    query_heads, key_heads, size = heads
    tensors = [
        torch.randn(1, n, PACK, size, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        for n in (query_heads, key_heads, key_heads)
    ]
    each = lengths(documents)
    bounds = torch.tensor([0, *each], device="cuda").cumsum(0).int()
    direction = torch.randn(1, PACK, query_heads, size, device="cuda", dtype=torch.bfloat16)
    module = types.SimpleNamespace(is_causal=True)

    def once() -> list[Any]:
        out, _ = function(module, *tensors, None, scaling=SCALE, cu_seq_lens_q=bounds)
        return [out, *torch.autograd.grad(out, tensors, direction)]

    found = once()
    right = reference(tensors, direction.float(), each)
    errors = [float((a.float() - b).norm() / b.norm()) for a, b in zip(found, right, strict=True)]
    for _ in range(3):
        once()
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        once()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return {"ms": statistics.median(times), "errors": errors}


def main() -> None:
    """Print a row for each kernel, heads and pack; write them all as JSON."""
    packed_attention.register()
    kernels: dict[str, Callable[..., Any]] = {
        TORCH.name: packed_attention.varlen,
        FLASH_2.name: flash_2,
        ONE_BY_ONE.name: packed_attention.one_by_one,
        "flex": flex,
        # These take the place of torch's own, for the rest of the process.
        FLASH_4.name: lambda *a, **k: packed_attention._activated("FA4", *a, **k),
        FLASH_3.name: lambda *a, **k: packed_attention._activated("FA3", *a, **k),
    }
    result: dict[str, Any] = {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "rows": [],
    }
    print(f"{result['gpu']}, torch {result['torch']}; errors: output, gradients of q, k, v")
    print("| kernel | heads | pack | ms forward and backward | relative errors |")
    print("|---|---|---|---:|---|")
    for name, function in kernels.items():
        for heads, shape in HEADS.items():
            for pack, documents in PACKS.items():
                try:
                    row = measure(function, shape, documents)
                except Exception as error:
                    said = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
                    row = {"failed": said}
                result["rows"].append({"kernel": name, "heads": heads, "pack": pack, **row})
                shown = row.get("failed") or (
                    f"{row['ms']:.2f} | {' '.join(f'{error:.4f}' for error in row['errors'])}"
                )
                print(f"| {name} | {heads} | {pack} | {shown} |", flush=True)
    Path(sys.argv[1]).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
