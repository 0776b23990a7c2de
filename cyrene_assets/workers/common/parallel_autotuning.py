"""Compile all candidates of a Triton autotuning at once instead of one after the other.

Before a GPU's first training, and at vLLM's first start, that is most of the time: the kernels of
linear attention come in dozens of configurations each, and Triton compiles one after the other.
"""

import contextlib
import inspect
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_parallel() -> None:
    """Let every autotuning of this process compile its candidates in a thread per core.

    What is wrong with a candidate is found where it is timed, as without this. It reaches into
    Triton's autotuner, seen in Triton 3.7 and 3.8, whose results must be kept on disk
    (``TRITON_CACHE_AUTOTUNING``, or a kernel's own ``cache_results``); twice is once.
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
