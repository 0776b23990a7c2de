"""Regurgitation: passages of an answer that the training text has word for word.

It rises before the validation loss (arXiv 2510.11372): an early sign of a chat model that is
overfitted although its loss is fine. Real lines have stock phrases, too, so the rate of the real
held-out lines is subtracted. Matches are found with a suffix array (libdivsufsort) over the
training text and the answers together, exactly, in UTF-8 bytes at character boundaries.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cyrene_assets.corpus.languages import ALPHABET_LENGTH, LanguageTraits

_MIN_LENGTH = 8
# Bytes that UTF-8 does not use.
_END_OF_TRAINING, _END_OF_ANSWER = b"\xff", b"\xfe"
# Larger than any match in bytes.
_OFFSET = 1 << 40


@dataclass(frozen=True)
class Matches:
    """The passages of each answer that the training text has.

    ``covered`` and ``characters`` count characters of each answer, ``longest`` is its longest
    match, ``spans`` are the ``(start, end)`` of its memorized passages in characters.
    """

    covered: npt.NDArray[np.int64]
    characters: npt.NDArray[np.int64]
    longest: npt.NDArray[np.int64]
    spans: list[list[tuple[int, int]]]


def calibrated_length(
    language: LanguageTraits, lengths: Sequence[float], alphabets: Iterable[Sequence[float]]
) -> int:
    """Return the length of a match that counts as memorized in a language, in characters.

    `ALPHABET_LENGTH` in alphabetic languages. In Chinese, Japanese, Korean and Thai a character
    carries more (or words are not separated), so the length is that of the same content: 50 times
    the median ratio of the lengths of translations, or the language's default without any.

    Args:
        language: its traits.
        lengths: the length of each aligned unit, NaN where the language lacks it.
        alphabets: the same units' lengths in alphabetic languages.
    """
    if not language.measured:
        return language.match_length
    numerator = np.asarray(lengths, float)
    ratios = np.concatenate(
        [numerator[:0], *(numerator / np.asarray(other, float) for other in alphabets)]
    )
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    if not len(ratios):
        return language.match_length
    return max(_MIN_LENGTH, round(ALPHABET_LENGTH * float(np.median(ratios))))


def find_matches(training: Sequence[str], answers: Sequence[str], min_length: int) -> Matches:
    """Find each answer's passages of at least ``min_length`` characters that training text has.

    Passages that touch or overlap count as one in ``spans``; ``longest`` is the longest single
    match, also if it is shorter than ``min_length``. No match extends over the end of a training
    text.
    """
    # Lone surrogates have no UTF-8; no model generates them.
    encoded = [answer.encode("utf-8", "replace") for answer in answers]
    corpus = _END_OF_TRAINING.join(text.encode("utf-8", "replace") for text in training)
    begin = len(corpus) + 1
    tail = b"".join(part + _END_OF_ANSWER for part in encoded)
    length = _longest_matches(corpus + _END_OF_TRAINING + tail, begin)
    data = np.frombuffer(tail, np.uint8)
    # The characters of the answers: where each begins, and the answer that has it.
    leading = np.flatnonzero((data & 0xC0) != 0x80)
    leading = leading[data[leading] < _END_OF_ANSWER[0]]
    sizes = np.array([len(part) + 1 for part in encoded], np.int64)
    ends = np.cumsum(sizes)
    owner = np.searchsorted(ends, leading, "right")
    characters = np.bincount(owner, minlength=len(encoded))
    number = np.zeros(len(data) + 1, np.int64)
    number[leading] = 1
    number = np.concatenate([[0], np.cumsum(number)[:-1]])
    # A match that ends inside a character ends before it.
    inside = np.append((data & 0xC0) == 0x80, False)
    stop = leading + length[leading]
    while np.any(cut := inside[stop] & (stop > leading)):
        stop = stop - cut
    matched = number[stop] - np.arange(len(leading))
    longest = np.zeros(len(encoded), np.int64)
    np.maximum.at(longest, owner, matched)
    starts = np.flatnonzero(matched >= min_length)
    marks = np.zeros(len(leading) + 1, np.int64)
    np.add.at(marks, starts, 1)
    np.add.at(marks, starts + matched[starts], -1)
    covered = np.cumsum(marks)[:-1] > 0
    first = np.cumsum(characters) - characters
    return Matches(
        np.bincount(owner[covered], minlength=len(encoded)),
        characters,
        longest,
        _spans(covered, owner, first, len(encoded)),
    )


def _longest_matches(data: bytes, begin: int) -> npt.NDArray[np.int64]:
    """Return for each byte from ``begin`` on the bytes of its longest match before ``begin``."""
    from pydivsufsort import divsufsort, kasai

    # The library needs writable memory.
    array = np.frombuffer(bytearray(data), np.uint8)
    order = divsufsort(array)
    common = np.asarray(kasai(array, order), np.int64)
    training = np.asarray(order) < begin
    best = np.zeros(len(array) - begin, np.int64)
    answers = ~training
    places = np.asarray(order)[answers] - begin
    # ``common[i]`` is the common prefix of suffixes i and i + 1; that of a suffix and the next
    # training suffix on either side is the minimum of those between them.
    shared = np.concatenate([[0], common[: len(array) - 1]])
    best[places] = _min_since(shared, training)[answers]
    backwards = np.concatenate([common[: len(array) - 1], [0]])[::-1]
    after = _min_since(backwards, training[::-1])[::-1]
    best[places] = np.maximum(best[places], after[answers])
    return best


def _min_since(shared: npt.NDArray[np.int64], stop: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the minimum of ``shared`` since after the last stop; 0 before the first one."""
    group = np.cumsum(stop)
    after = np.where(stop, _OFFSET - 1, shared)
    # Later groups are so much lower that the running minimum is that of the group alone.
    minimum = np.minimum.accumulate(after - group * _OFFSET) + group * _OFFSET
    return np.where((group == 0) | stop, 0, minimum)


def _spans(
    covered: npt.NDArray[np.bool_],
    owner: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    answers: int,
) -> list[list[tuple[int, int]]]:
    """Return the runs of covered characters of each answer, counted from its beginning."""
    spans: list[list[tuple[int, int]]] = [[] for _ in range(answers)]
    places = np.flatnonzero(covered)
    if not len(places):
        return spans
    broken = np.flatnonzero((np.diff(places) > 1) | (np.diff(owner[places]) != 0))
    starts = places[np.concatenate([[0], broken + 1])]
    ends = places[np.concatenate([broken, [len(places) - 1]])] + 1
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        text = int(owner[start])
        spans[text].append((start - int(first[text]), end - int(first[text])))
    return spans
