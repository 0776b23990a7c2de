"""vLLM's limits: what a served model takes of memory, and the settings of vLLM that fit it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.utils.errors import UserError

_MIB = 1 << 20
_MAX_SEQUENCES = 256
_LARGE_GPU = 40 * GIB

# Chats. What vLLM keeps next to weights and caches: activations of one step, workspaces, captured
# graphs.
_WORKING = GIB
# The CUDA context, which vLLM does not count, and what a desktop may yet take.
_OUTSIDE = 3 * GIB // 4
_MAX_SHARE = 0.92
_MIN_CONTEXT = 1024
# vLLM lays keys and values out in blocks of a multiple of so many tokens.
_BLOCK_TOKENS = 16
# The server's processes on a CPU (measured: 0.6 GiB each, and three of them), without a model.
_CPU_PROCESSES = 2 * GIB

# Batches of the evaluation, of any model: on a small GPU less is left for graphs and a desktop.
_BATCH_SHARE, _BATCH_SHARE_SMALL = 0.9, 0.85
# What vLLM needs in addition to weights and caches: its context, activations, captured graphs.
_BATCH_WORKING = 3 * GIB // 2
# One running sequence of Qwen3.5 4B or 9B: 50 MiB of linear-attention state in float32 (24 layers,
# 32 heads, 128 x 128) and the keys and values of about a thousand tokens.
_BATCH_SEQUENCE = 96 * _MIB
# Logits of one prompt token over a vocabulary of 248,320, which prompt log-probabilities need in
# float32 three times over. They come on top of what vLLM keeps within its share of the memory.
_PROMPT_TOKEN = 3 * _MIB
# Graphs of a smaller model take longer to capture than it takes to answer, and on a CPU the start
# of another process longer than what it gains.
SMALL_MODEL = 256 * _MIB


@dataclass(frozen=True)
class ServingFootprint:
    """What a Qwen3.5 model takes when its language model is served, in bytes.

    ``state`` is what one linear-attention layer keeps of one sequence, ``token`` what one full
    attention layer keeps of one token; ``linear`` and ``full`` count these layers. ``max_context``
    is the longest context in tokens.
    """

    weights: int
    state: int
    token: int
    linear: int
    full: int
    max_context: int

    @classmethod
    def of(cls, config: Mapping[str, Any], weights: int) -> "ServingFootprint":
        """Return what a model takes, given its ``config.json`` and the bytes of its weights."""
        text = config["text_config"]
        keys = text["linear_num_key_heads"] * text["linear_key_head_dim"]
        values = text["linear_num_value_heads"] * text["linear_value_head_dim"]
        # The recurrent state is in float32, the convolution's window in bfloat16.
        recurrent = values * text["linear_key_head_dim"] * 4
        window = (2 * keys + values) * (text["linear_conv_kernel_dim"] - 1) * 2
        kinds = list(text["layer_types"])
        return cls(
            weights=weights,
            state=recurrent + window,
            token=2 * text["num_key_value_heads"] * text["head_dim"] * 2,
            linear=kinds.count("linear_attention"),
            full=kinds.count("full_attention"),
            max_context=text["max_position_embeddings"],
        )

    def sequence(self, tokens: int) -> int:
        """Return the bytes of one sequence of so many tokens, as vLLM lays them out.

        It forms groups of as many layers as there are full-attention ones. A block spans a group's
        layers and holds one sequence's states, or the keys and values of as many tokens as take
        the same room.
        """
        block_tokens = math.ceil(self.state / self.token / _BLOCK_TOKENS) * _BLOCK_TOKENS
        block = block_tokens * self.token * self.full
        return block * (math.ceil(self.linear / self.full) + math.ceil(tokens / block_tokens))


def min_memory(model: ServingFootprint) -> int:
    """Return the bytes of GPU memory that serving takes at the least: one short conversation."""
    return model.weights + model.sequence(_MIN_CONTEXT) + _WORKING + _OUTSIDE


@dataclass(frozen=True)
class GpuPlan:
    """Settings that fit a GPU: tokens of context, sequences at a time, vLLM's share of the memory.

    ``weights``, ``cache`` and ``usable`` are in bytes; ``cache`` is what so many sequences of the
    complete context take.
    """

    context: int
    sequences: int
    share: float
    weights: int
    cache: int
    usable: int

    def describe(self) -> str:
        """Return the sum in one line, for a person."""
        return (
            f"{self.weights / GIB:.1f} GiB of weights + {self.cache / GIB:.1f} for "
            f"{self.sequences} x {self.context:,} tokens + {_WORKING / GIB:.1f} to work with + "
            f"{_OUTSIDE / GIB:.2f} outside vLLM, of {self.usable / GIB:.1f} GiB free"
        )


def plan_gpu(gpu: Gpu, model: ServingFootprint, context_length: int) -> GpuPlan:
    """Return the settings with which a GPU serves a model.

    The context is ``context_length``, as far as the model knows it, and half of it for as long as
    not even one such conversation fits; then as many conversations at a time as there is room for.

    Raises:
        UserError: the model is too large for what is free on the GPU.
    """
    usable = min(gpu.free, int(_MAX_SHARE * gpu.memory) + _OUTSIDE) - _OUTSIDE
    room = usable - model.weights - _WORKING
    context = min(context_length, model.max_context)
    while room < model.sequence(context) and context // 2 >= min(_MIN_CONTEXT, context_length):
        context //= 2
    if room < model.sequence(context):
        raise UserError(
            f"a model of {model.weights / GIB:.1f} GiB needs about {min_memory(model) / GIB:.1f} "
            f"GiB of GPU memory to be served, and {gpu.free / GIB:.1f} of "
            f"{gpu.memory / GIB:.1f} GiB are free on {gpu.name}: end other programs that use it, "
            "quantize the linear-attention projections too or with W4A16 (`quantization` in the "
            "recipe), or serve a smaller size"
        )
    sequences = min(room // model.sequence(context), _MAX_SEQUENCES)
    return GpuPlan(
        context=context,
        sequences=sequences,
        share=int(usable / gpu.memory * 1000) / 1000,
        weights=model.weights,
        cache=sequences * model.sequence(context),
        usable=gpu.free,
    )


def gpu_arguments(fit: GpuPlan, gpu: Gpu) -> dict[str, Any]:
    """Return vLLM's engine arguments for a GPU: what fits, and graphs for no more than that."""
    return {
        "gpu_memory_utilization": fit.share,
        "max_model_len": fit.context,
        "max_num_seqs": fit.sequences,
        "max_num_batched_tokens": 8192 if gpu.memory >= _LARGE_GPU else 2048,
    }


def batch_arguments(
    hardware: Hardware, context_length: int, model_bytes: int | None
) -> dict[str, Any]:
    """Return vLLM's engine arguments for many requests at once on a GPU; a tight one takes fewer.

    Args:
        hardware: the GPUs, of which one is used.
        context_length: tokens of prompt and answer together.
        model_bytes: of the model's weights; if None, assume half of the GPU memory.

    Raises:
        UserError: the weights do not fit on the GPU.
    """
    small = hardware.memory < _LARGE_GPU
    limit = _BATCH_SHARE_SMALL if small else _BATCH_SHARE
    # vLLM does not start where its share is not free: a desktop has its part of the memory.
    used = max(gpu.used for gpu in hardware.gpus)
    share = int((limit - used / hardware.memory) * 1000) / 1000
    weights = hardware.memory // 2 if model_bytes is None else model_bytes
    room = int(share * hardware.memory) - weights - _BATCH_WORKING
    if model_bytes is not None and room < _BATCH_SEQUENCE:
        raise UserError(
            f"a model of {weights / GIB:.1f} GiB does not fit next to vLLM's own "
            f"{_BATCH_WORKING / GIB:.1f} GiB in {share:.0%} of {hardware.memory / GIB:.1f} GiB of "
            f"GPU memory, {used / GIB:.1f} of which are in use: end other programs that use it, "
            "serve its FP8 model or a smaller size, or use a larger GPU"
        )
    outside = int((1 - limit) * hardware.memory)
    return {
        "max_model_len": context_length,
        "enforce_eager": small or (model_bytes or SMALL_MODEL) < SMALL_MODEL,
        "gpu_memory_utilization": share,
        "max_num_seqs": _power_of_two(room // _BATCH_SEQUENCE, 1, _MAX_SEQUENCES),
        "max_num_batched_tokens": _power_of_two(outside // _PROMPT_TOKEN, 512, 8192),
    }


def _power_of_two(value: int, low: int, high: int) -> int:
    """Return the largest power of two up to ``value``, within the bounds."""
    return min(max(1 << (max(value, 1).bit_length() - 1), low), high)


def require_main_memory(
    model: ServingFootprint, arguments: Mapping[str, Any], memory: int | None
) -> None:
    """Refuse a model that main memory does not hold.

    Args:
        model: what it takes, its weights as they lie in memory.
        arguments: of `cpu_arguments`.
        memory: bytes that a process can have here; None where the system does not tell.

    Raises:
        UserError: it is too large.
    """
    needed = model.weights + arguments["kv_cache_memory_bytes"] + _CPU_PROCESSES
    if memory is not None and memory < needed:
        raise UserError(
            f"a model of {model.weights / GIB:.1f} GiB in memory needs about {needed / GIB:.1f} "
            f"GiB to be served on the CPU and there are {memory / GIB:.1f}, swap included: add "
            "memory or swap, raise the container's limit, or serve a smaller size"
        )


def cpu_arguments(model: ServingFootprint, context_length: int) -> dict[str, Any]:
    """Return vLLM's engine arguments for a CPU: a few sequences, nothing compiled."""
    context, sequences = min(context_length, model.max_context), 4
    return cpu_engine(context, sequences, 2 * sequences * model.sequence(context))


def cpu_engine(context: int, sequences: int, cache: int) -> dict[str, Any]:
    """Return vLLM's engine arguments for a CPU: nothing is compiled or warmed up.

    Args:
        context: tokens of prompt and answer together.
        sequences: that are answered at once.
        cache: bytes of keys and values; never fewer than 256 MiB.
    """
    return {
        "distributed_executor_backend": "uni",
        "kv_cache_memory_bytes": max(256 * _MIB, cache),
        "max_model_len": context,
        "max_num_seqs": sequences,
        "enforce_eager": True,
        # A prompt read in parts takes back a number drawn for its request's seed, which vLLM 0.32
        # can do on a GPU only ("CPU Generator does not use offset").
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(4096, context),
    }
