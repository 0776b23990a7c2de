"""Faster forms of what Qwen3.5 computes in training, from the libraries that are there already.

Each replaces a slower form of the same mathematics; ``parity`` checks what a GPU makes of them.
"""

import functools
import importlib.util
from typing import Any

from cyrene_assets.training.memory_model import LOSS_CHUNK
from cyrene_assets.workers.common import parallel_autotuning


def use_on_gpu() -> None:
    """Switch all of them on where there is a GPU and the libraries are."""
    import torch

    if not torch.cuda.is_available():
        return
    parallel_autotuning.in_parallel()
    if importlib.util.find_spec("liger_kernel"):
        widen_loss_chunks()
        evaluate_without_logits()
    if importlib.util.find_spec("fla"):
        fuse_gated_norm()
        share_key_heads()


def widen_loss_chunks(factor: int = LOSS_CHUNK) -> None:
    """Let liger's fused loss work on larger chunks: 2,048 tokens of 5,120 with the default.

    liger's own make 64-token chunks of such a pack: 80 products too small for the GPU (a third of
    the step), and 80 roundings of the embedding's gradient to bfloat16.
    """
    from liger_kernel.transformers import functional

    functional.liger_fused_linear_cross_entropy = functools.partial(
        functional.liger_fused_linear_cross_entropy, chunk_mem_const=factor
    )


def evaluate_without_logits() -> None:
    """Let evaluation use liger's fused loss as training does.

    liger's own forward writes the logits out where nothing is trained: 10 bytes per token and
    vocabulary entry (bfloat16, float32 and its log-softmax), 13 GB for 5,120 tokens.
    """
    from liger_kernel.transformers.model import qwen3_5

    plain = qwen3_5.lce_forward_for_multimodal

    @functools.wraps(plain)
    def forward(self: Any, *args: Any, labels: Any = None, **kwargs: Any) -> Any:
        if labels is not None:
            kwargs.setdefault("skip_logits", True)
        return plain(self, *args, labels=labels, **kwargs)

    qwen3_5.lce_forward_for_multimodal = forward


def fuse_gated_norm() -> None:
    """Compute the gated norm of linear attention in one kernel instead of nine."""
    from fla.modules.norm.fused_norm_gate import rms_norm_gated
    from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5RMSNormGated

    def forward(self: Any, hidden_states: Any, gate: Any) -> Any:
        return rms_norm_gated(
            hidden_states, gate, self.weight, None, "swish", eps=self.variance_epsilon
        )

    Qwen3_5RMSNormGated.forward = forward


def share_key_heads() -> None:
    """Give the delta rule its key heads as they are: its kernels repeat them on the fly.

    ms-swift's own form of the packed linear attention writes every key and query head once per
    value head.
    """
    from swift.model.models import qwen

    qwen._run_qwen3_5_gated_delta_net_sequence_parallel_forward = packed_delta_net


def packed_delta_net(
    layer: Any,
    hidden_states: Any,
    *,
    cache_params: Any = None,
    attention_mask: Any = None,
    **kwargs: Any,
) -> Any:
    """Return the gated delta net of one row of packed documents (1, tokens, hidden)."""
    import torch.nn.functional as torch_functional
    from fla.modules.convolution import causal_conv1d
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule

    if cache_params is not None or (attention_mask is not None and attention_mask.dim() > 1):
        raise RuntimeError("packed linear attention is for training: no cache, no padding")
    bounds = kwargs["cu_seq_lens_q"]
    tokens = hidden_states.shape[1]
    mixed = causal_conv1d(
        x=layer.in_proj_qkv(hidden_states),
        weight=layer.conv1d.weight.squeeze(1),
        bias=layer.conv1d.bias,
        activation=layer.activation,
        cu_seqlens=bounds,
    )
    mixed = mixed[0] if isinstance(mixed, tuple) else mixed
    query, key, value = mixed.split([layer.key_dim, layer.key_dim, layer.value_dim], dim=-1)
    decay = -layer.A_log.float().exp() * torch_functional.softplus(
        layer.in_proj_a(hidden_states).float() + layer.dt_bias
    )
    out, _ = chunk_gated_delta_rule(
        query.reshape(1, tokens, layer.num_k_heads, layer.head_k_dim),
        key.reshape(1, tokens, layer.num_k_heads, layer.head_k_dim),
        value.reshape(1, tokens, layer.num_v_heads, layer.head_v_dim),
        g=decay,
        beta=layer.in_proj_b(hidden_states).sigmoid(),
        use_qk_l2norm_in_kernel=True,
        cu_seqlens=bounds,
    )
    gate = layer.in_proj_z(hidden_states)
    normed = layer.norm(out.reshape(-1, layer.head_v_dim), gate.reshape(-1, layer.head_v_dim))
    return layer.out_proj(normed.reshape(1, tokens, layer.value_dim))
