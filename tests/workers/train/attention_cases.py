"""Runs in the train toolchain: our attention over packs, against each document by itself.

Prints a JSON object. On a GPU the kernels run in bfloat16; on a CPU `one_by_one` runs for real, and
`varlen` with PyTorch's attention in the place of torch's CUDA kernel.
"""

# ruff: noqa: TID251 - runs in the train toolchain

import json
import types
from typing import Any

import torch
import torch.nn.attention.varlen
from torch.nn.functional import scaled_dot_product_attention

from cyrene_assets.compute.attention import FLASH_3, FLASH_4, ONE_BY_ONE, TORCH
from cyrene_assets.workers.train import packed_attention

LENGTHS = (5, 1, 64, 3, 130)
HEADS, KEY_HEADS = 4, 2
GPU = torch.cuda.is_available()


def plain_varlen(
    query: Any,
    key: Any,
    value: Any,
    bounds: Any,
    key_bounds: Any,
    longest: int,
    longest_key: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Any:
    """Do what torch documents of its kernel: (tokens, heads, dimensions), bounds of documents."""
    assert bounds is key_bounds
    assert longest == longest_key == int(bounds.diff().max())
    assert bounds.dtype == torch.int32
    out = []
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        document = (each[start:end].transpose(0, 1)[None] for each in (query, key, value))
        causal = window_size == (-1, 0)
        attended = scaled_dot_product_attention(
            *document, is_causal=causal, scale=scale, enable_gqa=enable_gqa
        )
        out.append(attended[0].transpose(0, 1))
    return torch.cat(out)


def reference(tensors: list[Any], causal: bool) -> Any:
    """Attend document by document, with the formula written out, in float32."""
    query, key, value = (each.float() for each in tensors)
    groups = HEADS // KEY_HEADS
    out, start = [], 0
    for length in LENGTHS:
        here = slice(start, start + length)
        keys, values = (e[:, :, here].repeat_interleave(groups, 1) for e in (key, value))
        scores = query[:, :, here] @ keys.transpose(-1, -2) * 0.1
        if causal:
            hidden = torch.ones(length, length, device=scores.device).triu(1).bool()
            scores = scores.masked_fill(hidden, -torch.inf)
        out.append(scores.softmax(-1) @ values)
        start += length
    return torch.cat(out, dim=2).transpose(1, 2)


def errors(function: Any, causal: bool, head: int) -> list[float]:
    """Return the relative errors of the output and of the three gradients."""
    torch.manual_seed(len(LENGTHS))
    dtype, device = (torch.bfloat16, "cuda") if GPU else (torch.float32, "cpu")
    total = sum(LENGTHS)
    tensors = [
        torch.randn(1, heads, total, head, dtype=dtype, device=device, requires_grad=True)
        for heads in (HEADS, KEY_HEADS, KEY_HEADS)
    ]
    bounds = torch.tensor([0, *LENGTHS], device=device).cumsum(0).int()
    module = types.SimpleNamespace(is_causal=causal)
    out, weights = function(module, *tensors, None, scaling=0.1, cu_seq_lens_q=bounds)
    assert weights is None
    wanted = reference(tensors, causal)
    assert out.shape == wanted.shape == (1, total, HEADS, head)
    direction = torch.randn_like(wanted)
    found = [out, *torch.autograd.grad((out.float() * direction).sum(), tensors)]
    right = [wanted, *torch.autograd.grad((wanted * direction).sum(), tensors)]
    return [
        float((a.float() - b.float()).norm() / b.float().norm())
        for a, b in zip(found, right, strict=True)
    ]


def refusals(function: Any) -> list[str]:
    """Return what is said of a padded batch and of dropout."""
    tensors = [torch.zeros(1, heads, 3, 8) for heads in (HEADS, KEY_HEADS, KEY_HEADS)]
    module = types.SimpleNamespace(is_causal=True)
    said = []
    for mask, given in ((torch.ones(1, 3), {}), (None, {"dropout": 0.1})):
        try:
            function(module, *tensors, mask, **given)
        except RuntimeError as error:
            said.append(str(error))
    return said


def swift_packs_with() -> dict[str, str]:
    """Return what ms-swift says to packing with each attention."""
    from swift.arguments.sft_args import SftArguments

    packed_attention.accept_packing()
    found = {}
    for name in (*(e.implementation for e in (TORCH, FLASH_3, FLASH_4, ONE_BY_ONE)), "sdpa"):
        arguments = types.SimpleNamespace(packing=True, padding_free=False, attn_impl=name)
        try:
            SftArguments._check_padding_free(arguments)
        except ValueError as error:
            found[name] = str(error)
        else:
            assert arguments.padding_free
            found[name] = "packs"
        assert arguments.attn_impl == name
    return found


def main() -> None:
    """Print the errors by function, the refusals, and what the two libraries accept."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    if not GPU:
        torch.nn.attention.varlen.varlen_attn = plain_varlen
    packed_attention.register()
    functions = {"varlen": packed_attention.varlen, "one_by_one": packed_attention.one_by_one}
    print(
        json.dumps(
            {
                "gpu": GPU,
                "errors": {
                    f"{name}, causal {causal}, heads of {head}": errors(function, causal, head)
                    for name, function in functions.items()
                    for causal in (True, False)
                    for head in (64, 256)
                },
                "refusals": {name: refusals(function) for name, function in functions.items()},
                "known": [
                    each.implementation in AttentionInterface().valid_keys()
                    and each.implementation in AttentionMaskInterface().valid_keys()
                    for each in (TORCH, FLASH_3, FLASH_4, ONE_BY_ONE)
                ],
                "swift": swift_packs_with(),
            }
        )
    )


if __name__ == "__main__":
    main()
