"""What a served model takes of a GPU's memory, and the settings of vLLM that fit one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyrene_assets.compute.hardware import GIB, Gpu
from cyrene_assets.utils.errors import UserError

# What vLLM keeps next to weights and caches: activations of one step, workspaces, captured graphs.
_WORKING = GIB
# The CUDA context, which vLLM does not count, and what a desktop may yet take.
_OUTSIDE = 3 * GIB // 4
_MOST_SHARE = 0.92
# The server's three processes on a CPU (measured: 0.6 GiB each), without a model.
_CPU_PROCESSES = 2 * GIB
_SHORTEST = 1024
MOST_SEQUENCES = 256
LARGE_GPU = 40 * GIB
# vLLM lays keys and values out in blocks of a multiple of so many tokens.
_BLOCK_TOKENS = 16
_MIB = 1 << 20


@dataclass(frozen=True)
class ServedModel:
    """What a Qwen3.5 model takes when its language model is served, in bytes.

    ``state`` is what one linear-attention layer keeps of one sequence, ``token`` what one full
    attention layer keeps of one token; ``linear`` and ``full`` count these layers. ``longest`` is
    the longest context in tokens.
    """

    weights: int
    state: int
    token: int
    linear: int
    full: int
    longest: int

    @classmethod
    def of(cls, config: Mapping[str, Any], weights: int) -> "ServedModel":
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
            longest=text["max_position_embeddings"],
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


def least(model: ServedModel) -> int:
    """Return the bytes of GPU memory that serving takes at the least: one short conversation."""
    return model.weights + model.sequence(_SHORTEST) + _WORKING + _OUTSIDE


@dataclass(frozen=True)
class CardFit:
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


def fit_card(gpu: Gpu, model: ServedModel, wanted: int) -> CardFit:
    """Return the settings with which a GPU serves a model.

    The context is what is ``wanted``, as far as the model knows it, and half of it for as long as
    not even one such conversation fits; then as many conversations at a time as there is room for.

    Raises:
        UserError: the model is too large for what is free on the GPU.
    """
    usable = min(gpu.free, int(_MOST_SHARE * gpu.memory) + _OUTSIDE) - _OUTSIDE
    room = usable - model.weights - _WORKING
    context = min(wanted, model.longest)
    while room < model.sequence(context) and context // 2 >= min(_SHORTEST, wanted):
        context //= 2
    if room < model.sequence(context):
        raise UserError(
            f"a model of {model.weights / GIB:.1f} GiB needs about {least(model) / GIB:.1f} GiB of "
            f"GPU memory to be served, and {gpu.free / GIB:.1f} of {gpu.memory / GIB:.1f} GiB are "
            f"free on {gpu.name}: end other programs that use it, quantize the linear-attention "
            "projections too or with W4A16 (`quantization` in the recipe), or serve a smaller size"
        )
    sequences = min(room // model.sequence(context), MOST_SEQUENCES)
    return CardFit(
        context=context,
        sequences=sequences,
        share=int(usable / gpu.memory * 1000) / 1000,
        weights=model.weights,
        cache=sequences * model.sequence(context),
        usable=gpu.free,
    )


def gpu_arguments(fit: CardFit, gpu: Gpu) -> dict[str, Any]:
    """Return vLLM's engine arguments for a GPU: what fits, and graphs for no more than that."""
    return {
        "gpu_memory_utilization": fit.share,
        "max_model_len": fit.context,
        "max_num_seqs": fit.sequences,
        "max_num_batched_tokens": 8192 if gpu.memory >= LARGE_GPU else 2048,
    }


def fit_memory(model: ServedModel, arguments: Mapping[str, Any], memory: int | None) -> None:
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


def cpu_arguments(model: ServedModel, wanted: int) -> dict[str, Any]:
    """Return vLLM's engine arguments for a CPU: a few sequences, nothing compiled."""
    context, sequences = min(wanted, model.longest), 4
    return on_cpu(context, sequences, 2 * sequences * model.sequence(context))


def on_cpu(context: int, sequences: int, cache: int) -> dict[str, Any]:
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
