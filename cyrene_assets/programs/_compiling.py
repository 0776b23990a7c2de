"""Compile all candidates of a Triton autotuning at once instead of one after the other.

Before a GPU's first training that is most of the time: flash-linear-attention tries dozens of
configurations of each kernel, and Triton compiles each on one core.
"""

import contextlib
import inspect
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_parallel() -> None:
    """Let every autotuning of this process compile its candidates in a thread per core.

    What is wrong with a candidate is found where it is timed, as without this. It reaches into
    Triton's autotuner, seen in Triton 3.8; twice is once.
    """
    from triton.runtime._async_compile import AsyncCompileMode
    from triton.runtime.autotuner import Autotuner

    plain = Autotuner.check_disk_cache
    if hasattr(plain, "in_parallel"):
        return
    threads = os.cpu_count() or 1

    def check(self: Any, key: Any, configs: Any, bench: Any) -> Any:
        seen = inspect.getclosurevars(bench).nonlocals

        def compile_and_bench() -> None:
            with ThreadPoolExecutor(threads) as pool, AsyncCompileMode(pool, ignore_errors=True):
                for config in configs:
                    words = {**seen["kwargs"], **config.all_kwargs(), "warmup": True}
                    with contextlib.suppress(Exception):
                        self.fn.run(*seen["args"], **words)
            bench()

        return plain(self, key, configs, compile_and_bench)

    check.in_parallel = True  # type: ignore[attr-defined]
    Autotuner.check_disk_cache = check
