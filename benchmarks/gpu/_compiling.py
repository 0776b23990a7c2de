"""Compile all candidates of a Triton autotuning at once instead of one after the other."""

import contextlib
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_parallel(threads: int = 12) -> None:
    """Let every autotuning of this process compile its candidates in so many threads."""
    from triton.runtime._async_compile import AsyncCompileMode
    from triton.runtime.autotuner import Autotuner

    plain = Autotuner.check_disk_cache

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

    Autotuner.check_disk_cache = check
