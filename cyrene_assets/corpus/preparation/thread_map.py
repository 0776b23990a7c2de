"""Doing the same for several languages at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Polars and numpy leave Python to other threads while they work, and hardly ever keep more than
# one core busy with one language. Memory grows with the number of languages at once.
MAX_PARALLEL = 2


def map_parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return what ``work`` makes of each item, two at a time; the first error is raised."""
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        return list(pool.map(work, items))
