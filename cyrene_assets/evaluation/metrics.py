"""Measures of generated text: pure functions over lists of strings.

The unit is the character in languages that are written without spaces between words (chs, cht, jp
and th), and the word in every other language, also in one whose code is not known here. Numbers of
the two kinds are not comparable with each other. A measure that cannot be computed is None.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

CHARACTER_LANGUAGES = frozenset({"chs", "cht", "jp", "th"})

# A gap above this says that a run has begun to learn its texts by heart.
GAP_RED_FLAG = 0.1

# Qwen3.5's vocabulary. One value for every model keeps their scores comparable, and with several
# pretrained models the authors of arXiv 2202.13587 take the largest vocabulary among them.
VOCABULARY = 248_320

# A phrase of five units or more four times in a row, or a shorter one ten times. Compared with the
# real lines the rate tells loops from laughter and ellipses.
_LOOP = re.compile(r"(.{5,200}?)\1{3}|(.{1,4}?)\2{9}", re.DOTALL)
_THINK = re.compile(r"</?think(ing)?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Repetition:
    """rep-4 over the texts that have a 4-gram, and how many were too short to have one."""

    rep4: float | None
    too_short: int


def units(text: str, language: str) -> list[str]:
    """Split a text into its units.

    Characters are Unicode code points after NFC, without white space. Words are what white space
    separates, in lower case, without punctuation at either end; a word of punctuation alone stays.
    """
    text = unicodedata.normalize("NFC", text)
    if language in CHARACTER_LANGUAGES:
        return list("".join(text.split()))
    return [_bare(word) for word in text.casefold().split()]


def empty_answers(texts: Sequence[str]) -> int:
    """Count the texts that hold nothing but white space."""
    return sum(not text.strip() for text in texts)


def length(texts: Sequence[str], language: str) -> float | None:
    """Return the mean number of units of the texts that are not empty."""
    return _mean([float(len(units(text, language))) for text in texts if text.strip()])


def repetition(texts: Sequence[str], language: str) -> Repetition:
    """Return rep-4, ``1 - unique/total`` 4-grams of a text, averaged over texts (arXiv 1908.04319).

    Texts of fewer than four units have no 4-gram; they are left out and counted.
    """
    rates = []
    for text in texts:
        grams = list(_ngrams(units(text, language), 4))
        if grams:
            rates.append(1 - len(set(grams)) / len(grams))
    return Repetition(_mean(rates), len(texts) - len(rates))


def loop_rate(texts: Sequence[str], language: str) -> float | None:
    """Return the share of the texts, empty ones left out, that repeat a phrase over and over."""
    return _mean([float(_loops(units(text, language))) for text in texts if text.strip()])


def hit_limit_rate(finish_reasons: Sequence[str]) -> float | None:
    """Return the share of answers that ended at the length limit (finish reason ``length``)."""
    return _mean([float(reason == "length") for reason in finish_reasons])


def think_leak_rate(texts: Sequence[str]) -> float | None:
    """Return the share of the texts, empty ones left out, in which a think tag shows."""
    return _mean([float(_THINK.search(text) is not None) for text in texts if text.strip()])


def distinct_n(texts: Sequence[str], language: str, n: int) -> float | None:
    """Return distinct-n: different n-grams over all n-grams of the texts (arXiv 1510.03055).

    It falls with the amount of text: compare equal numbers of answers only.
    """
    distinct, total = _counts(texts, language, n)
    return distinct / total if total else None


def adjusted_distinct_n(
    texts: Sequence[str], language: str, n: int, vocabulary: int = VOCABULARY
) -> float | None:
    """Return expectation-adjusted distinct-n, ``N / (V (1 - ((V-1)/V)^C))`` (arXiv 2202.13587).

    N different n-grams among C, over as many as C draws from V equally likely ones would give. It
    is less dependent on the amount of text than plain distinct-n, and can exceed 1 slightly.
    """
    distinct, total = _counts(texts, language, n)
    if not total:
        return None
    expected = -vocabulary * math.expm1(total * math.log1p(-1 / vocabulary))
    return distinct / expected


def perplexity_gap(train: float | None, validation: float | None) -> float | None:
    """Return ``(validation - train) / validation`` of two mean losses, a sign of overfitting."""
    if train is None or validation is None or not math.isfinite(train + validation):
        return None
    return (validation - train) / validation if validation else None


def _bare(word: str) -> str:
    first, last = 0, len(word)
    while first < last and unicodedata.category(word[first])[0] in "PS":
        first += 1
    while last > first and unicodedata.category(word[last - 1])[0] in "PS":
        last -= 1
    return word[first:last] or word


def _ngrams(parts: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(parts[start:] for start in range(n)), strict=False)


def _counts(texts: Sequence[str], language: str, n: int) -> tuple[int, int]:
    grams = list(chain.from_iterable(_ngrams(units(text, language), n) for text in texts))
    return len(set(grams)), len(grams)


def _loops(parts: Sequence[str]) -> bool:
    # One code point for each different unit, so that a pattern can look for repeated words.
    codes: dict[str, str] = {}
    for part in parts:
        codes.setdefault(part, chr(len(codes)))
    return _LOOP.search("".join(codes[part] for part in parts)) is not None


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
