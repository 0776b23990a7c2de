# ruff: noqa: TID251 - runs in the train toolchain

from typing import Any

import torch
from torch.nn.functional import conv1d, silu

from fla._documents import bounds


def causal_conv1d(
    x: Any, weight: Any, bias: Any = None, *, activation: str | None = None, cu_seqlens: Any = None
) -> tuple[Any, None]:
    out = []
    for start, end in bounds(cu_seqlens, x.shape[1], "convolution"):
        given = x[:, start:end].transpose(1, 2)
        made = conv1d(given, weight.unsqueeze(1), bias, padding=3, groups=x.shape[-1])
        out.append(silu(made[..., : end - start]).transpose(1, 2))
    return torch.cat(out, dim=1), None
