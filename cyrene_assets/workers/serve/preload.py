"""What the serve toolchain's fork server imports before it forks."""

import importlib
import os

from cyrene_assets.workers.serve.vllm_engine import IN_PROCESS_ENV


def preload() -> None:
    """Import vLLM for engines in the process that asks, as they are on a CPU."""
    os.environ.update(IN_PROCESS_ENV)
    for name in ("vllm", "vllm.entrypoints.llm"):
        importlib.import_module(name)
