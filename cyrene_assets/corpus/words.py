"""The words of texts as numbers, for finding near-duplicates and for a language's vocabulary."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes: TypeAlias = npt.NDArray[np.uint64]
Indices: TypeAlias = npt.NDArray[np.uint32]
Flags: TypeAlias = npt.NDArray[np.bool_]

# Texts that are looked at to tell how a language is written.
SAMPLE = 4096
# In a language without blanks each character is a word, runs of others (names, numbers) are too.
LOGOGRAPHS = r"\p{Han}\p{Hiragana}\p{Katakana}"
UNSPACED = rf"{LOGOGRAPHS}\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}\p{{Tibetan}}"
UNSPACED_WORD = rf"[{UNSPACED}]|[^\s{UNSPACED}]+"
# Places of the vocabulary's table: of 100,000 words 5% share theirs with another.
TABLE = 1 << 21
# Additive smoothing (Lidstone): what a word counts that was never seen.
UNSEEN = 0.1


@dataclass(frozen=True)
class Words:
    """The words of texts in reading order: ``text`` is the index of the text, ``word`` a hash.

    ``characters`` says that each character counts as a word, since blanks do not separate them;
    ``to_say`` how many of ``word`` it takes to say about as much as three words do.
    """

    text: Indices
    word: Hashes
    characters: bool
    to_say: int


def words_of(texts: pl.Series, *, characters: bool | None = None) -> Words:
    """Return the words of one language's texts, in lower case, punctuation attached.

    Whether each character counts as a word is found out unless ``characters`` says so. Cost: about
    0.1 s for a million words, twice that for characters. Hashes hold for one version of Polars.
    """
    if characters is None:
        characters = _most_letters_are(UNSPACED, texts)
    flat = texts.str.to_lowercase()
    if characters:
        found = flat.str.extract_all(UNSPACED_WORD)
    else:
        found = flat.str.replace_all("\n", " ", literal=True).str.split(" ")
    found = found.list.drop_nulls()
    lengths = found.list.len().to_numpy()
    return Words(
        np.repeat(np.arange(len(texts), dtype=np.uint32), lengths),
        found.explode(empty_as_null=False).hash().to_numpy(),
        characters,
        (6 if _most_letters_are(LOGOGRAPHS, texts) else 12) if characters else 3,
    )


def _most_letters_are(scripts: str, texts: pl.Series) -> bool:
    looked_at = sample(texts)
    own, letters = (
        int(looked_at.str.count_matches(pattern).sum() or 0)
        for pattern in (f"[{scripts}]", r"[\p{L}\p{M}]")
    )
    return 2 * own > letters


def sample(texts: pl.Series) -> pl.Series:
    """Return some thousand texts from all over the texts."""
    return texts.gather_every(max(1, len(texts) // SAMPLE))


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
        counts = np.bincount(places(words), minlength=TABLE).astype(np.uint32)
        return cls(words.characters, scripts, counts)

    @cached_property
    def total(self) -> float:
        """The number of words, each place's smoothing included."""
        return float(self.counts.sum(dtype=np.int64)) + UNSEEN * TABLE

    @cached_property
    def log_probability(self) -> npt.NDArray[np.float32]:
        """The natural logarithm of the probability of the words at each place."""
        logarithm: npt.NDArray[np.float64] = np.log((self.counts + UNSEEN) / self.total)
        return logarithm.astype(np.float32)


def places(words: Words) -> npt.NDArray[np.int64]:
    """Return each word's place in a vocabulary's table."""
    return (words.word & np.uint64(TABLE - 1)).astype(np.int64)
