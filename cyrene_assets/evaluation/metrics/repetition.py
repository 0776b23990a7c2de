"""Repetition: within an answer, and of what was said just before. Values of single answers.

A presence penalty hides it, so profiles without one are measured as well.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cyrene_assets.evaluation.metrics.ngrams import Units

Floats = npt.NDArray[np.float64]

# A phrase of five units or more four times in a row, or a shorter one ten times. Compared with the
# real lines the rate tells loops from laughter and ellipses.
_LOOP = re.compile(r"(.{5,200}?)\1{3}|(.{1,4}?)\2{9}", re.DOTALL)
# Such a loop has at least so many 4-grams that were there before.
_FEWEST_REPEATED = 6
# Longer texts are looked at in their first units: a loop that begins does not end.
_LONGEST = 4096


def rep4(units: Units) -> Floats:
    """Return rep-4 of each text, ``1 - unique / total`` 4-grams (arXiv 1908.04319).

    NaN for a text of fewer than four units.
    """
    total, different = _four_grams(units)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, 1 - different / np.maximum(total, 1), np.nan)


def loops(units: Units) -> Floats:
    """Return 1.0 for each text that repeats a phrase over and over, else 0.0, or NaN if empty."""
    total, different = _four_grams(units)
    found = np.where(units.lengths > 0, 0.0, np.nan)
    for text in np.flatnonzero(total - different >= _FEWEST_REPEATED):
        _, codes = np.unique(units.of(int(text))[:_LONGEST], return_inverse=True)
        # One code point for each different unit, so that a pattern can look for repeated words.
        found[text] = float(_LOOP.search("".join(map(chr, codes + 0x100))) is not None)
    return found


def echo(units: Units, previous: Sequence[Sequence[int]]) -> Floats:
    """Return the share of each text's 2-grams that were said in one of the turns before it.

    Args:
        units: all texts, answers and earlier turns, numbered together.
        previous: for each answer, in their order, the indices of the turns before it.

    Returns:
        A value for each entry of ``previous``, whose answer is the text of the same index; NaN for
        an answer of fewer than two units.
    """
    grams, owner = units.grams(2)
    starts = np.searchsorted(owner, np.arange(len(units.lengths) + 1))
    earlier: dict[tuple[int, ...], npt.NDArray[np.uint64]] = {}
    values = np.full(len(previous), np.nan)
    for text, turns in enumerate(previous):
        own = grams[starts[text] : starts[text + 1]]
        if len(own):
            key = tuple(turns)
            if key not in earlier:
                parts = [grams[starts[turn] : starts[turn + 1]] for turn in key]
                earlier[key] = np.unique(np.concatenate(parts)) if parts else grams[:0]
            said = earlier[key]
            place = np.minimum(np.searchsorted(said, own), max(len(said) - 1, 0))
            values[text] = float((said[place] == own).mean()) if len(said) else 0.0
    return values


def _four_grams(units: Units) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many 4-grams each text has, and how many different ones."""
    grams, owner = units.grams(4)
    order = np.lexsort((grams, owner))
    sorted_grams, sorted_owner = grams[order], owner[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(sorted_owner) != 0) | (sorted_grams[1:] != sorted_grams[:-1])
    texts = len(units.lengths)
    return (
        np.bincount(owner, minlength=texts),
        np.bincount(sorted_owner[first], minlength=texts),
    )
