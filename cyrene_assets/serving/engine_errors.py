"""Why vLLM's engine process failed: its own last error, which ends up in the log alone.

The process that waits for the engine is only told "Engine core initialization failed. See root
cause above." The engine, and its workers where it has several, log the cause.
"""

import re

_LAST_LINE = re.compile(
    r"^\((?:EngineCore|Worker)\S* pid=\d+\) (?:ERROR|CRITICAL) .*?\[[^\]\s]+:\d+\] "
    r"(?P<error>[A-Za-z_][\w.]*(?:Error|Exception)(?:: .*)?)$"
)
_MOST_CHARACTERS = 400
_FREE_MEMORY = (
    "not enough GPU memory: end the other programs on the GPU (`nvidia-smi` lists them) and try "
    "again, or lower `evaluation.context_length` in the recipe"
)
_REMEDIES = (
    (
        "error in memory profiling",
        "another program released GPU memory while vLLM started: run the same again",
    ),
    ("no available memory for the cache blocks", _FREE_MEMORY),
    ("less than desired gpu memory utilization", _FREE_MEMORY),
    ("out of memory", _FREE_MEMORY),
)


class EngineErrors:
    """Reads a program's output line by line, and keeps the error that explains the engine's end."""

    def __init__(self) -> None:
        self._last: str | None = None
        self._explained: tuple[str, str] | None = None

    def read(self, line: str) -> None:
        """Look for an error in a line of the output, without its end."""
        found = _LAST_LINE.match(line)
        if found is None:
            return
        self._last = found["error"][:_MOST_CHARACTERS]
        for text, remedy in _REMEDIES:
            if text in self._last.lower():
                self._explained = self._last, remedy

    def __str__(self) -> str:
        """The engine's error and what to do; empty where the engine logged none.

        A later error of another process ("see stack trace for root cause") does not replace one
        that has a remedy.
        """
        if self._explained is not None:
            error, remedy = self._explained
            return f"vLLM's engine: {error.rstrip('.')}; {remedy}"
        return "" if self._last is None else f"vLLM's engine: {self._last}"
