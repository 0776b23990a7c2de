"""The words of texts as numbers, for finding near-duplicates and for a language's vocabulary."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes: TypeAlias = npt.NDArray[np.uint64]
Indices: TypeAlias = npt.NDArray[np.uint32]
Flags: TypeAlias = npt.NDArray[np.bool_]

# Texts that are looked at to tell how a language is written.
SAMPLE = 4096
# Characters that are looked at together: what stays in a core's cache.
BLOCK = 1 << 17
# N-grams that are hashed together, likewise.
NGRAM_BLOCK = 1 << 15
LAST_CODE_POINT = 0x10FFFF
# In a language without blanks each character is a word, runs of others (names, numbers) are too.
LOGOGRAPHS = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
UNSPACED = rf"[{LOGOGRAPHS}\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}\p{{Tibetan}}]"
LETTERS = r"[\p{L}\p{M}]"
# Places of the vocabulary's table: of 100,000 words 5% share theirs with another.
TABLE_SIZE = 1 << 21
# Additive smoothing (Lidstone): what a word counts that was never seen.
SMOOTHING = 0.1


@dataclass(frozen=True)
class Words:
    """The words of texts in reading order: ``text`` is the index of the text, ``word`` a hash.

    ``characters`` says that each character counts as a word, since blanks do not separate them;
    ``shingle_words`` how many of ``word`` it takes to say about as much as three words do.
    """

    text: Indices
    word: Hashes
    characters: bool
    shingle_words: int


def hash_words(texts: pl.Series, *, characters: bool | None = None) -> Words:
    """Return the words of one language's texts, in lower case, punctuation attached.

    Whether each character counts as a word is found out unless ``characters`` says so. Cost: about
    0.05 s for a million words. Hashes hold for one version of Polars.
    """
    some = sample_characters(texts)
    if characters is None:
        characters = _most_letters_are(UNSPACED, some)
    if characters:
        shingle_words = 6 if _most_letters_are(LOGOGRAPHS, some) else 12
        return Words(*_characters(texts), characters, shingle_words)
    text, word = split_on_blanks(texts)
    return Words(text, word.hash().to_numpy(), characters, 3)


def is_written_in_characters(texts: pl.Series) -> bool:
    """Return whether each character counts as a word in these texts."""
    return _most_letters_are(UNSPACED, sample_characters(texts))


def split_on_blanks(texts: pl.Series) -> tuple[Indices, pl.Series]:
    """Return what blanks separate, in lower case, and the index of the text that each is of."""
    flat = texts.str.to_lowercase().str.replace_all("\n", " ", literal=True)
    words = flat.str.split(" ")
    if words.null_count():
        words = words.fill_null(pl.Series([[]], dtype=pl.List(pl.String)))
    text = np.repeat(np.arange(len(texts), dtype=np.uint32), words.list.len().to_numpy())
    return text, words.explode(empty_as_null=False)


def _characters(texts: pl.Series) -> tuple[Indices, Hashes]:
    """Return text and word as of ``Words``: what each character is is looked up in a table."""
    lengths = texts.str.len_chars().fill_null(0).to_numpy()
    ends = np.cumsum(lengths, dtype=np.int64)
    codes = _code_points(texts)
    present = np.zeros(LAST_CODE_POINT + 1, dtype=bool)
    present[codes] = True
    codes_found = np.flatnonzero(present)
    characters = pl.Series(map(chr, codes_found), dtype=pl.String)
    values = np.zeros(LAST_CODE_POINT + 1, dtype=np.uint64)
    values[codes_found] = characters.str.to_lowercase().hash().to_numpy()
    values[codes_found[characters.str.contains(r"\s").to_numpy()]] = 0
    alone = np.zeros(LAST_CODE_POINT + 1, dtype=bool)
    alone[codes_found[characters.str.contains(UNSPACED).to_numpy()]] = True
    parts = [(np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.uint64))]
    cuts = np.searchsorted(ends, np.arange(BLOCK, len(codes), BLOCK), "right")
    for first, last in pairwise(np.unique([0, *cuts, len(texts)]).tolist()):
        block = codes[ends[first] - lengths[first] : ends[last - 1]]
        text = np.repeat(np.arange(first, last, dtype=np.uint32), lengths[first:last])
        value, begins = values[block], alone[block]
        in_a_run = ~begins & (value != 0)
        begins |= in_a_run
        begins[1:] ^= in_a_run[1:] & in_a_run[:-1] & (text[1:] == text[:-1])
        starts = np.flatnonzero(begins)
        if len(starts):
            # Blanks count nothing, and of a run's characters each as much as its place says.
            place = np.arange(len(value), dtype=np.uint64)
            place[starts[0] :] -= np.repeat(place[starts], np.diff(starts, append=len(value)))
            value *= place + place + np.uint64(1)
            parts.append((text[starts], np.add.reduceat(value, starts)))
    text, word = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return text, word


def begins_run(values: Hashes | Indices) -> Flags:
    """Say of each value whether it is another than the one before."""
    begins = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return begins


def hash_ngrams(values: Hashes, n: int) -> Hashes:
    """Return a hash of each ``n`` values in a row.

    A polynomial modulo 2**64, mixed so that its upper bits depend on all values: a collision among
    a million n-grams has a probability below 1e-7.
    """
    hashed = np.zeros(max(len(values) - n + 1, 0), dtype=np.uint64)
    for start in range(0, len(hashed), NGRAM_BLOCK):
        block = hashed[start : start + NGRAM_BLOCK]
        for place in range(start, start + n):
            block *= np.uint64(0x9E3779B97F4A7C15)
            block += values[place : place + len(block)]
            block ^= block >> np.uint64(29)
    return hashed


def _code_points(texts: pl.Series) -> Indices:
    return np.frombuffer((texts.str.join("").item() or "").encode("utf-32-le"), dtype=np.uint32)


def sample_texts(texts: pl.Series) -> pl.Series:
    """Return some thousand texts from all over."""
    return texts.gather_every(max(1, len(texts) // SAMPLE))


def sample_characters(texts: pl.Series) -> pl.DataFrame:
    """Return the characters (``character``, ``count``) of some thousand texts from all over."""
    counts = np.bincount(_code_points(sample_texts(texts)))
    present = np.flatnonzero(counts)
    return pl.DataFrame(
        {"character": pl.Series(map(chr, present), dtype=pl.String), "count": counts[present]}
    )


def _most_letters_are(scripts: str, characters: pl.DataFrame) -> bool:
    return 2 * count_matching(scripts, characters) > count_matching(LETTERS, characters)


def count_matching(pattern: str, characters: pl.DataFrame) -> int:
    """Return how many of the counted characters are what the pattern says."""
    matches = characters["character"].str.contains(pattern).to_numpy()
    return int(characters["count"].to_numpy()[matches].sum())


@dataclass(frozen=True)
class Vocabulary:
    """How often the words of a language occur, by their hash modulo the table's size.

    The table bounds memory to 8 MB a language (feature hashing: Weinberger et al. 2009).
    """

    characters: bool
    scripts: tuple[str, ...]
    counts: Indices = field(repr=False)

    @classmethod
    def of(cls, words: Words, scripts: tuple[str, ...]) -> "Vocabulary":
        """Count the words of a language that is written in these scripts."""
        counts = np.bincount(table_places(words), minlength=TABLE_SIZE).astype(np.uint32)
        return cls(words.characters, scripts, counts)

    @cached_property
    def total(self) -> float:
        """The number of words, each place's smoothing included."""
        return float(self.counts.sum(dtype=np.int64)) + SMOOTHING * TABLE_SIZE

    @cached_property
    def _logarithms(self) -> npt.NDArray[np.float64]:
        """The logarithm of the probability of a word, by how often it occurs."""
        counts = np.arange(int(self.counts.max(initial=0)) + 1, dtype=np.float64)
        logarithms: npt.NDArray[np.float64] = np.log((counts + SMOOTHING) / self.total)
        return logarithms

    def elsewhere(self, place: npt.NDArray[np.int64], *, own: bool = True) -> Indices:
        """Return how often the word at each place occurs; with ``own``, but for once: in a text."""
        counts = self.counts[place]
        if own:
            counts -= counts > 0
        return counts

    def log_probability(self, counts: Indices) -> npt.NDArray[np.float64]:
        """Return the natural logarithm of the probability of words that occur so many times."""
        return self._logarithms[counts]


def table_places(words: Words) -> npt.NDArray[np.int64]:
    """Return each word's place in a vocabulary's table."""
    return (words.word & np.uint64(TABLE_SIZE - 1)).astype(np.int64)


def text_starts(words: Words) -> npt.NDArray[np.int64]:
    """Return where the words of each text begin, of the texts that have any."""
    return np.flatnonzero(begins_run(words.text))


def in_parts(starts: npt.NDArray[np.int64], number: int) -> Iterator[slice]:
    """Yield texts some after the others, whose words fit into a core's cache, or one of many words.

    ``starts`` is where each text's words begin (``text_starts``), ``number`` that of all words.
    """
    cuts = np.searchsorted(starts, np.arange(BLOCK, number, BLOCK))
    for first, last in pairwise(np.unique([0, *cuts, len(starts)]).tolist()):
        yield slice(first, last)
