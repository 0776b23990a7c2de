"""Diversity: how different the answers of a model are from each other, at a fixed length.

Every measure falls or rises with the amount of text. So the answers of each model are cut alike,
each after the same number of units, until they come to what is asked for.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cyrene_assets.evaluation.metrics.ngrams import Units
from cyrene_assets.evaluation.statistics.bootstrap import TOO_FEW, Estimate, half_samples, unknown

Texts: TypeAlias = npt.NDArray[np.int64]
Measure: TypeAlias = Callable[[Units], float | None]

# Qwen3.5's vocabulary. One value for every model keeps their scores comparable, and with several
# pretrained models the authors of arXiv 2202.13587 take the largest vocabulary among them.
VOCABULARY = 248_320
WINDOW = 50
# Real lines are looked at up to this many units, and models up to half of what the real lines have.
MOST_UNITS = 5000
# What a model of short answers may lack of that.
ENOUGH = 0.9
_BLEU_ORDER = 4
_GZIP_LEVEL = 9


def fixed_length(real: Units) -> int:
    """Return the number of units at which everything in a language is compared.

    Half of what the real held-out lines have, `MOST_UNITS` at most, so that models whose answers
    are shorter than the real lines can be compared too.
    """
    return min(MOST_UNITS, len(real.ids) // 2)


def cut_alike(units: Units, texts: Texts, length: int) -> Units | None:
    """Cut the texts after as many units each as make ``length`` in all; None if they are too short.

    Some more than that at most: as many as there are texts.
    """
    lengths = units.lengths[texts]
    if lengths.sum() < ENOUGH * length or not length:
        return None
    each = 1
    low, high = 1, int(lengths.max())
    while low <= high:
        each = (low + high) // 2
        if np.minimum(lengths, each).sum() >= length:
            high = each - 1
        else:
            low = each + 1
    return units.take(texts, low)


def distinct(units: Units, n: int) -> float | None:
    """Return distinct-n: different n-grams over all n-grams of the texts (arXiv 1510.03055)."""
    grams, _ = units.grams(n)
    return len(np.unique(grams)) / len(grams) if len(grams) else None


def adjusted_distinct(units: Units, n: int, vocabulary: int = VOCABULARY) -> float | None:
    """Return expectation-adjusted distinct-n, ``N / (V (1 - ((V-1)/V)^C))`` (arXiv 2202.13587).

    N different n-grams among C, over as many as C draws from V equally likely ones would give. It
    is less dependent on the amount of text than plain distinct-n, and can exceed 1 slightly.
    """
    grams, _ = units.grams(n)
    if not len(grams):
        return None
    expected = -vocabulary * math.expm1(len(grams) * math.log1p(-1 / vocabulary))
    return len(np.unique(grams)) / expected


def mattr(units: Units, window: int = WINDOW) -> float | None:
    """Return the moving-average type-token ratio (Covington and McFall 2010).

    The mean share of different units in each window of ``window`` units over all texts in a row;
    None with fewer units than that.
    """
    ids = units.ids
    windows = len(ids) - window + 1
    if windows < 1:
        return None
    # A unit counts in the windows that begin after its last occurrence before, up to itself.
    order = np.argsort(ids, kind="stable")
    before = np.full(len(ids), -1)
    same = ids[order][1:] == ids[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    place = np.arange(len(ids))
    first = np.maximum(before + 1, place - window + 1).clip(0, windows)
    last = np.minimum(place, windows - 1)
    counted = np.maximum(last - first + 1, 0).sum()
    return float(counted / (windows * window))


def self_bleu(units: Units) -> float | None:
    """Return Self-BLEU-4 (arXiv 1802.01886): how alike the texts are; 1 when all are the same.

    The mean over texts of BLEU against all others as references. Texts are cut to one length, so
    there is no brevity penalty; orders above 1 are smoothed by one (Lin and Och 2004). Texts
    shorter than four units are left out; None when fewer than two are left.
    """
    long = np.flatnonzero(units.lengths >= _BLEU_ORDER)
    if len(long) < 2:
        return None
    kept = units.take(long)
    logarithms = np.zeros(len(long))
    for n in range(1, _BLEU_ORDER + 1):
        matched, total = _clipped_matches(kept, n)
        smooth = 0 if n == 1 else 1
        with np.errstate(divide="ignore"):
            logarithms += np.log((matched + smooth) / (total + smooth))
    return float(np.exp(logarithms / _BLEU_ORDER).mean())


def gzip_ratio(units: Units) -> float | None:
    """Return the texts' UTF-8 bytes over their bytes compressed together (DEFLATE, level 9).

    Higher is more repetitive (arXiv 2403.00553). The texts are their units, set apart by blanks.
    """
    if units.vocabulary is None or not len(units.ids):
        return None
    words = units.vocabulary[units.ids].tolist()
    lines = (
        " ".join(words[start:end])
        for start, end in zip(units.starts[:-1].tolist(), units.starts[1:].tolist(), strict=True)
    )
    data = "\n".join(lines).encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data, _GZIP_LEVEL))


MEASURES: Mapping[str, Measure] = {
    "distinct_1": partial(adjusted_distinct, n=1),
    "distinct_2": partial(adjusted_distinct, n=2),
    "mattr": mattr,
    "gzip_ratio": gzip_ratio,
    "self_bleu": self_bleu,
}


def estimate(
    measure: Measure,
    units: Units,
    seeds: Sequence[tuple[Texts, npt.NDArray[np.int64]]],
    length: int,
) -> Estimate:
    """Return a measure of a model's answers at a fixed length, with its interval over scenes.

    Args:
        measure: one of `MEASURES`.
        units: of all texts.
        seeds: for each sampling seed which texts they are, and the scene of each. The value is the
            mean over seeds, so that each looks at one answer per prompt, as many as there are real
            lines; the interval is that of the first.
        length: of `fixed_length`; the interval looks at halves of the scenes and half of it.
    """
    cut = [cut_alike(units, texts, length) for texts, _ in seeds]
    values = [measure(whole) for whole in cut if whole is not None]
    known = [value for value in values if value is not None]
    texts, scenes = seeds[0]
    if not known or len(known) < len(seeds):
        return unknown(f"too little text: {length:,} words (characters) are compared", len(texts))
    value = sum(known) / len(known)

    def of_half(kept: npt.NDArray[np.bool_]) -> float | None:
        half = cut_alike(units, texts[kept], length // 2)
        return None if half is None else measure(half)

    widths = half_samples(of_half, scenes)
    if widths is None:
        return Estimate(value, count=len(texts), note=TOO_FEW)
    return Estimate(value, value - widths[1], value + widths[0], len(texts))


def _clipped_matches(
    units: Units, n: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each text's n-grams found in another text, each as often as there at most; and all."""
    grams, owner = units.grams(n)
    texts = len(units.lengths)
    total = np.bincount(owner, minlength=texts).astype(np.float64)
    order = np.lexsort((owner, grams))
    gram, text = grams[order], owner[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (gram[1:] != gram[:-1]) | (text[1:] != text[:-1])
    starts = np.flatnonzero(new)
    count = np.diff(starts, append=len(order))
    gram, text = gram[starts], text[starts]
    # The two texts that have an n-gram most often: the other one's count is what clips.
    ranked = np.lexsort((-count, gram))
    first = np.ones(len(ranked), dtype=bool)
    first[1:] = gram[ranked][1:] != gram[ranked][:-1]
    of = np.cumsum(first) - 1
    heads = np.flatnonzero(first)
    most = count[ranked[heads]]
    has_second = np.append(heads[1:], len(ranked)) - heads > 1
    second = np.where(has_second, count[ranked[np.minimum(heads + 1, len(ranked) - 1)]], 0)
    limit = np.where(first, second[of], most[of])
    matched = np.minimum(count[ranked], limit)
    return np.bincount(text[ranked], matched.astype(np.float64), texts).astype(np.float64), total
