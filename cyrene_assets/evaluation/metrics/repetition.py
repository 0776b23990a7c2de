"""Repetition: within an answer, and of the turns just before it. Values of single answers.

A presence penalty hides it, so profiles without one are measured as well.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cyrene_assets.evaluation.metrics.ngrams import TokenizedTexts

Floats = npt.NDArray[np.float64]

# A phrase of five tokens or more four times in a row, or a shorter one ten times. The rate of the
# real lines shows how much of it is laughter and ellipses.
_LOOP = re.compile(r"(.{5,200}?)\1{3}|(.{1,4}?)\2{9}", re.DOTALL)
# A loop has at least so many repeated 4-grams.
_MIN_REPEATED = 6
# Longer texts are truncated: a loop that begins does not end.
_MAX_TOKENS = 4096


def rep4(tokens: TokenizedTexts) -> Floats:
    """Return rep-4 of each text, ``1 - unique / total`` 4-grams (arXiv 1908.04319).

    NaN for a text of fewer than four tokens.
    """
    total, distinct = _four_grams(tokens)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, 1 - distinct / np.maximum(total, 1), np.nan)


def loops(tokens: TokenizedTexts) -> Floats:
    """Return 1.0 for each text that repeats a phrase over and over, else 0.0; NaN if empty."""
    total, distinct = _four_grams(tokens)
    result = np.where(tokens.lengths > 0, 0.0, np.nan)
    for text in np.flatnonzero(total - distinct >= _MIN_REPEATED):
        _, codes = np.unique(tokens.of(int(text))[:_MAX_TOKENS], return_inverse=True)
        # One code point for each distinct unit, so that a pattern can look for repeated words.
        result[text] = float(_LOOP.search("".join(map(chr, codes + 0x100))) is not None)
    return result


def echo(tokens: TokenizedTexts, previous: Sequence[Sequence[int]]) -> Floats:
    """Return the share of each text's 2-grams that one of the turns before it has.

    Args:
        tokens: all texts, answers and earlier turns, encoded together.
        previous: for each answer, in their order, the indices of the turns before it.

    Returns:
        A value for each entry of ``previous``, whose answer is the text of the same index; NaN for
        an answer of fewer than two tokens.
    """
    grams, owner = tokens.grams(2)
    starts = np.searchsorted(owner, np.arange(len(tokens.lengths) + 1))
    distinct: dict[tuple[int, ...], npt.NDArray[np.uint64]] = {}
    values = np.full(len(previous), np.nan)
    for text, turns in enumerate(previous):
        answer = grams[starts[text] : starts[text + 1]]
        if len(answer):
            key = tuple(turns)
            if key not in distinct:
                parts = [grams[starts[turn] : starts[turn + 1]] for turn in key]
                distinct[key] = np.unique(np.concatenate(parts)) if parts else grams[:0]
            earlier = distinct[key]
            place = np.minimum(np.searchsorted(earlier, answer), max(len(earlier) - 1, 0))
            values[text] = float((earlier[place] == answer).mean()) if len(earlier) else 0.0
    return values


def _four_grams(tokens: TokenizedTexts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many 4-grams each text has, and how many distinct ones."""
    grams, owner = tokens.grams(4)
    order = np.lexsort((grams, owner))
    sorted_grams, sorted_owner = grams[order], owner[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(sorted_owner) != 0) | (sorted_grams[1:] != sorted_grams[:-1])
    texts = len(tokens.lengths)
    return (np.bincount(owner, minlength=texts), np.bincount(sorted_owner[first], minlength=texts))
