"""What the serve toolchain's fork server imports before it forks."""

import importlib
import os

from cyrene_assets.workers.serve.vllm_engine import IN_PROCESS_ENV

# vLLM's worker is not among them: it loads the compiled library, which reads its settings then.
_MODULES = (
    "vllm",
    "vllm.entrypoints.llm",
    "vllm.v1.engine.llm_engine",
    "vllm.model_executor.model_loader",
    "vllm.model_executor.models.qwen3_5",
)


def preload() -> None:
    """Import vLLM for engines in the process that asks, as they are on a CPU."""
    os.environ.update(IN_PROCESS_ENV)
    for name in _MODULES:
        importlib.import_module(name)
