"""How a model is served with vLLM: engine arguments, environment and sampling parameters.

Pure functions without torch or vLLM, for whatever starts a vLLM process: the evaluation's
generations and the servers of a person.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.memory import memory_bytes
from cyrene_assets.compute.program_environment import VLLM_PLUGIN
from cyrene_assets.config.recipe import Sampling
from cyrene_assets.serving.gpu_budget import (
    GpuPlan,
    ServingFootprint,
    batch_arguments,
    cpu_arguments,
    cpu_engine,
    gpu_arguments,
    plan_gpu,
    require_main_memory,
)
from cyrene_assets.utils.errors import UserError

# vLLM runs on this machine alone: nothing is fetched, reported or listened to from outside.
SERVE_ENV: dict[str, str] = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
    "VLLM_LOGGING_LEVEL": "WARNING",
    # Ours (`cyrene_assets.workers.serve.vllm_plugin`), and no other plug-in.
    "VLLM_PLUGINS": VLLM_PLUGIN,
    # Which form of a Triton kernel is the fastest is kept on disk: vLLM would measure it at each
    # start, a hundred forms of the linear attention's kernels.
    "TRITON_CACHE_AUTOTUNING": "1",
    # DeepGEMM compiles its kernels for minutes at the first start, and gains nothing at this size.
    "VLLM_USE_DEEP_GEMM": "0",
    # FlashInfer's sampler is compiled at the first start: for two minutes, and where the machine
    # has no nvcc vLLM dies of it (vllm#49497). vLLM's own is there.
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
    # OpenMP threads that spin while they wait make a busy CPU several times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
}

# What vLLM, torch and the system say when memory is short, in lower case.
OUT_OF_MEMORY = (
    "out of memory",
    "cannot allocate memory",
    "can't allocate memory",
    "memory for the cache blocks",
    "memory on node",
    "kv cache is needed",
    "free memory on device",
    "mamba cache blocks",
)

_ALWAYS: dict[str, Any] = {
    "dtype": "bfloat16",
    "language_model_only": True,
    "enable_prefix_caching": False,
}
# vLLM would read prompts with FlashInfer's kernel on Hopper and Blackwell, which is compiled at the
# first start, on Hopper by nvcc. Triton's is what has been measured.
_ON_GPU: dict[str, Any] = {"gdn_prefill_backend": "triton"}


def batch_engine(
    hardware: Hardware | None, context_length: int, model_bytes: int | None = None
) -> dict[str, Any]:
    """Return vLLM engine arguments, as JSON values, for the machine at hand.

    The language model alone is served (no vision tower), in bfloat16: vLLM's gated delta-net
    kernels refuse float32. Prefix caching is off, so that an answer does not depend on earlier
    prompts. On a CPU nothing is compiled or warmed up, and the key-value cache is as small as the
    few sequences need; on GPUs that would be tight the batch is smaller.

    Args:
        hardware: the GPUs; None or an empty one means the CPU. One GPU is used.
        context_length: tokens of prompt and answer together.
        model_bytes: of the model's weights; if None, assume half of the GPU memory.

    Raises:
        UserError: the weights do not fit on the GPU, or the driver does not answer.
    """
    _require_driver(hardware)
    if hardware is None or not hardware.gpus:
        return _ALWAYS | cpu_engine(context_length, 64, (model_bytes or 0) // 4)
    return _ALWAYS | _ON_GPU | batch_arguments(hardware, context_length, model_bytes)


def sampling_parameters(sampling: Sampling, max_tokens: int, seed: int) -> dict[str, Any]:
    """Return the arguments of vLLM's ``SamplingParams`` for one request.

    Args:
        sampling: the profile; temperature 0 is greedy decoding, ``top_k`` 0 means all tokens.
        max_tokens: of the answer.
        seed: of this request alone: its random numbers do not depend on what runs with it.
    """
    return {**sampling.model_dump(), "max_tokens": max_tokens, "seed": seed}


def chat_engine(
    hardware: Hardware, model: ServingFootprint, context_length: int
) -> tuple[dict[str, Any], GpuPlan | None]:
    """Return vLLM's engine arguments for chats on this machine, and how the model fits its GPU.

    The language model alone is served, in bfloat16, and nothing of one chat is kept for the next.
    The first GPU is used; on a CPU there is no fit.

    Args:
        hardware: the GPUs; none means the CPU.
        model: what the model takes, on a CPU with its weights as they are once loaded.
        context_length: tokens of prompt and answer together.

    Raises:
        UserError: the model is too large for what is free on the GPU or for main memory, or the
            driver does not answer.
    """
    _require_driver(hardware)
    if not hardware.gpus:
        arguments = cpu_arguments(model, context_length)
        require_main_memory(model, arguments, memory_bytes())
        return _ALWAYS | arguments, None
    fit = plan_gpu(hardware.gpus[0], model, context_length)
    return _ALWAYS | _ON_GPU | gpu_arguments(fit, hardware.gpus[0]), fit


def _require_driver(hardware: Hardware | None) -> None:
    """Refuse the CPU where a GPU is wanted: CUDA's vLLM does not run there."""
    if hardware is not None and hardware.fault:
        raise UserError(f"vLLM does not start: {hardware.fault}")


def server_arguments(
    *,
    model: Path,
    name: str,
    languages: Iterable[str],
    template: Path,
    sampling: Sampling,
    engine: Mapping[str, Any],
    host: str,
    port: int,
) -> list[str]:
    """Return the arguments of vLLM's server: one model, under its name and a name per language.

    Requests that say nothing of sampling get the profile. A key is no argument: it would show in
    the list of processes; vLLM reads it from the environment.
    """
    return [
        *("--model", str(model)),
        *("--served-model-name", name, *(f"{name}:{code}" for code in languages)),
        *("--host", host, "--port", str(port)),
        *("--chat-template", str(template), "--chat-template-content-format", "string"),
        *("--override-generation-config", json.dumps(sampling.model_dump())),
        *("--middleware", "cyrene_assets.workers.serve.asgi_middleware.CharacterMiddleware"),
        *("--disable-fastapi-docs", "--disable-uvicorn-access-log"),
        *(word for key, value in engine.items() for word in _flag(key, value)),
    ]


def _flag(key: str, value: Any) -> list[str]:
    option = key.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [f"--{option}", str(value)]
