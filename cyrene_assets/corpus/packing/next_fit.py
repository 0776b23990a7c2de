"""The packs that ms-swift's sequential packing makes of a training sequence: next-fit."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def next_fit(lengths: Ints, capacity: int) -> Ints:
    """Return each row's pack, counted from 0: a row that does not fit the open pack opens one.

    As ms-swift's sequential packing does it.
    """
    ends = np.cumsum(lengths)
    # Where the pack would end that each row opens; a row of its own where it is longer than one.
    stops = np.searchsorted(ends, ends - lengths + capacity, side="right")
    following = np.maximum(stops, np.arange(1, len(lengths) + 1)).tolist()
    opens = np.zeros(len(lengths), dtype=np.int64)
    start = 0
    while start < len(lengths):
        opens[start] = 1
        start = following[start]
    return np.cumsum(opens) - 1


def packing_efficiency(lengths: Ints, packs: Ints, capacity: int) -> float:
    """Return the mean share of a pack's capacity that its rows take (0 without packs)."""
    return float(lengths.sum()) / (capacity * (int(packs[-1]) + 1)) if len(packs) else 0.0
