# ruff: noqa: TID251 - runs in the train toolchain

from typing import Any

import torch
from transformers.models.qwen3_5 import modeling_qwen3_5

from fla._documents import bounds


def chunk_gated_delta_rule(  # transformers passes on what is named here
    q: Any,
    k: Any,
    v: Any,
    g: Any,
    beta: Any,
    *,
    # What is not named here transformers leaves out.
    initial_state: Any = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    cu_seqlens: Any = None,
) -> tuple[Any, None]:
    assert initial_state is None
    assert not output_final_state
    rule = modeling_qwen3_5.torch_chunk_gated_delta_rule
    while hasattr(rule, "__wrapped__"):
        rule = rule.__wrapped__
    repeats = v.shape[2] // q.shape[2]
    q, k = q.repeat_interleave(repeats, 2), k.repeat_interleave(repeats, 2)
    norm = use_qk_l2norm_in_kernel
    out = [
        rule(
            *(tensor[:, a:b] for tensor in (q, k, v, g, beta)),
            use_qk_l2norm_in_kernel=norm,
        )[0]
        for a, b in bounds(cu_seqlens, q.shape[1], "delta rule")
    ]
    return torch.cat(out, dim=1), None
