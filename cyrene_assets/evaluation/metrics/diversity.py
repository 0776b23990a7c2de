"""Diversity: how different the answers of a model are from each other, at a fixed length.

Every measure depends on the amount of text. So the answers of each model are truncated, all after
the same number of tokens, to the same total.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cyrene_assets.evaluation.metrics.ngrams import TokenizedTexts
from cyrene_assets.evaluation.statistics.bootstrap import (
    TOO_FEW,
    Estimate,
    half_samples,
    no_estimate,
)

Texts: TypeAlias = npt.NDArray[np.int64]
Measure: TypeAlias = Callable[[TokenizedTexts], float | None]

# Qwen3.5's vocabulary. One value for every model keeps their scores comparable, and with several
# pretrained models the authors of arXiv 2202.13587 take the largest vocabulary among them.
VOCABULARY = 248_320
WINDOW = 50
# The most tokens of answers that are compared.
MAX_TOKENS = 5000
# The share of the common length that the answers of a model have at least.
MIN_LENGTH_SHARE = 0.9
_BLEU_ORDER = 4
_GZIP_LEVEL = 9


def common_length(real: TokenizedTexts) -> int:
    """Return the number of tokens at which all models of a language are compared.

    Half of those of the real held-out lines, `MAX_TOKENS` at most, so that models whose answers are
    shorter than the real lines can be compared too.
    """
    return min(MAX_TOKENS, len(real.ids) // 2)


def truncate_equally(tokens: TokenizedTexts, texts: Texts, length: int) -> TokenizedTexts | None:
    """Truncate all texts after the same number of tokens, so that ``length`` are left in total.

    The total exceeds ``length`` by at most the number of texts. None if the texts are too short.
    """
    lengths = tokens.lengths[texts]
    if lengths.sum() < MIN_LENGTH_SHARE * length or not length:
        return None
    low, high = 1, int(lengths.max())
    while low <= high:
        middle = (low + high) // 2
        if np.minimum(lengths, middle).sum() >= length:
            high = middle - 1
        else:
            low = middle + 1
    return tokens.take(texts, low)


def distinct(tokens: TokenizedTexts, n: int) -> float | None:
    """Return distinct-n: different n-grams over all n-grams of the texts (arXiv 1510.03055)."""
    grams, _ = tokens.grams(n)
    return len(np.unique(grams)) / len(grams) if len(grams) else None


def adjusted_distinct(tokens: TokenizedTexts, n: int, vocabulary: int = VOCABULARY) -> float | None:
    """Return expectation-adjusted distinct-n, ``N / (V (1 - ((V-1)/V)^C))`` (arXiv 2202.13587).

    N different n-grams among C, over as many as C draws from V equally likely ones would give. It
    is less dependent on the amount of text than plain distinct-n, and can exceed 1 slightly.
    """
    grams, _ = tokens.grams(n)
    if not len(grams):
        return None
    expected = -vocabulary * math.expm1(len(grams) * math.log1p(-1 / vocabulary))
    return len(np.unique(grams)) / expected


def mattr(tokens: TokenizedTexts, window: int = WINDOW) -> float | None:
    """Return the moving-average type-token ratio (Covington and McFall 2010).

    The mean share of distinct tokens in each window of ``window`` tokens over all texts in a row;
    None with fewer tokens than that.
    """
    ids = tokens.ids
    windows = len(ids) - window + 1
    if windows < 1:
        return None
    # A token counts in the windows that begin after its previous occurrence, up to itself.
    order = np.argsort(ids, kind="stable")
    previous = np.full(len(ids), -1)
    same = ids[order][1:] == ids[order][:-1]
    previous[order[1:][same]] = order[:-1][same]
    position = np.arange(len(ids))
    first = np.maximum(previous + 1, position - window + 1).clip(0, windows)
    last = np.minimum(position, windows - 1)
    counted = np.maximum(last - first + 1, 0).sum()
    return float(counted / (windows * window))


def self_bleu(tokens: TokenizedTexts) -> float | None:
    """Return Self-BLEU-4 (arXiv 1802.01886): how alike the texts are; 1 when all are the same.

    The mean over texts of BLEU against all others as references. Texts are cut to one length, so
    there is no brevity penalty; orders above 1 are smoothed by one (Lin and Och 2004). Texts
    shorter than four tokens are left out; None if fewer than two are left.
    """
    long = np.flatnonzero(tokens.lengths >= _BLEU_ORDER)
    if len(long) < 2:
        return None
    kept = tokens.take(long)
    logarithms = np.zeros(len(long))
    for n in range(1, _BLEU_ORDER + 1):
        matched, total = _clipped_matches(kept, n)
        smooth = 0 if n == 1 else 1
        with np.errstate(divide="ignore"):
            logarithms += np.log((matched + smooth) / (total + smooth))
    return float(np.exp(logarithms / _BLEU_ORDER).mean())


def gzip_ratio(tokens: TokenizedTexts) -> float | None:
    """Return the texts' UTF-8 bytes over their bytes compressed together (DEFLATE, level 9).

    Higher is more repetitive (arXiv 2403.00553). The texts are their tokens, separated by spaces.
    """
    if tokens.vocabulary is None or not len(tokens.ids):
        return None
    words = tokens.vocabulary[tokens.ids].tolist()
    lines = (
        " ".join(words[start:end])
        for start, end in zip(tokens.starts[:-1].tolist(), tokens.starts[1:].tolist(), strict=True)
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
    tokens: TokenizedTexts,
    seeds: Sequence[tuple[Texts, npt.NDArray[np.int64]]],
    length: int,
) -> Estimate:
    """Return a measure of a model's answers at a fixed length, with its interval over scenes.

    Args:
        measure: one of `MEASURES`.
        tokens: of all texts.
        seeds: the texts of each sampling seed, and the scene of each. The value is the mean over
            seeds, so that each has one answer per prompt, as many as there are real lines; the
            interval is that of the first.
        length: of `common_length`; the interval is over halves of the scenes at half of it.
    """
    samples = [truncate_equally(tokens, texts, length) for texts, _ in seeds]
    measured = [measure(sample) for sample in samples if sample is not None]
    values = [value for value in measured if value is not None]
    texts, scenes = seeds[0]
    if not values or len(values) < len(seeds):
        return no_estimate(
            f"too little text: {length:,} words (characters) are compared", len(texts)
        )
    value = sum(values) / len(values)

    def of_half(kept: npt.NDArray[np.bool_]) -> float | None:
        half = truncate_equally(tokens, texts[kept], length // 2)
        return None if half is None else measure(half)

    width = half_samples(of_half, scenes)
    if width is None:
        return Estimate(value, count=len(texts), note=TOO_FEW)
    return Estimate(value, value - width, value + width, len(texts))


def _clipped_matches(
    tokens: TokenizedTexts, n: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how many n-grams of each text another text has, clipped to its count; and all."""
    grams, owner = tokens.grams(n)
    texts = len(tokens.lengths)
    total = np.bincount(owner, minlength=texts).astype(np.float64)
    order = np.lexsort((owner, grams))
    gram, text = grams[order], owner[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (gram[1:] != gram[:-1]) | (text[1:] != text[:-1])
    starts = np.flatnonzero(new)
    count = np.diff(starts, append=len(order))
    gram, text = gram[starts], text[starts]
    # The count is clipped to that of the text, other than this one, that has the n-gram most often.
    ranked = np.lexsort((-count, gram))
    first = np.ones(len(ranked), dtype=bool)
    first[1:] = gram[ranked][1:] != gram[ranked][:-1]
    of = np.cumsum(first) - 1
    heads = np.flatnonzero(first)
    highest = count[ranked[heads]]
    has_second = np.append(heads[1:], len(ranked)) - heads > 1
    second = np.where(has_second, count[ranked[np.minimum(heads + 1, len(ranked) - 1)]], 0)
    limit = np.where(first, second[of], highest[of])
    matched = np.minimum(count[ranked], limit)
    return np.bincount(text[ranked], matched.astype(np.float64), texts).astype(np.float64), total
