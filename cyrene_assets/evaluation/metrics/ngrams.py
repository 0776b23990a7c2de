"""Texts as numbers: the units of a language, numbered over all texts, and their n-grams.

The unit is the character in languages that are written without spaces between words (Chinese,
Japanese, Thai), and the word in every other language, also in one that nothing is known of. Numbers
of the two kinds are not comparable with each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits

# Odd multipliers of a polynomial hash modulo 2**64: a collision among a million n-grams has a
# probability below 1e-7. Not `word_hashes.hash_ngrams`: the style classifier's features are places
# in a table by these very values.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_EDGES = r"^[\p{P}\p{S}]+|[\p{P}\p{S}]+$"


@dataclass(frozen=True)
class Units:
    """The units of texts: ``ids`` of all texts in a row, ``starts`` where each text begins.

    ``starts`` has one entry more than there are texts. Equal units have equal ids, which are
    indices of ``vocabulary`` where that is given.
    """

    ids: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    vocabulary: npt.NDArray[np.object_] | None = None

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of units of each text."""
        return np.diff(self.starts)

    @cached_property
    def text(self) -> npt.NDArray[np.int64]:
        """The text that each unit is of."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def of(self, text: int) -> npt.NDArray[np.int64]:
        """Return the units of one text."""
        return self.ids[self.starts[text] : self.starts[text + 1]]

    def grams(self, n: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Return a hash of each n-gram, and the text it is of; none runs over two texts."""
        count = max(len(self.ids) - n + 1, 0)
        if not count:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        hashed = np.zeros(count, np.uint64)
        for offset in range(n):
            hashed = (hashed ^ self.ids[offset : offset + count].astype(np.uint64)) * _MULTIPLIER
            hashed ^= hashed >> np.uint64(29)
        inside = self.text[:count] == self.text[n - 1 :]
        return hashed[inside], self.text[:count][inside]

    def take(self, texts: npt.NDArray[np.int64], most: int | None = None) -> "Units":
        """Return some of the texts, each cut after ``most`` units."""
        lengths = self.lengths[texts]
        if most is not None:
            lengths = np.minimum(lengths, most)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        offsets = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        return Units(
            self.ids[np.repeat(self.starts[texts], lengths) + offsets], starts, self.vocabulary
        )


def split(texts: Sequence[str], language: LanguageTraits) -> pl.Series:
    """Return the units of each text, a list of strings.

    Characters are Unicode code points after NFC, without white space. Words are what white space
    separates, in lower case, without punctuation at either end; a word of punctuation alone stays.
    """
    series = pl.Series(list(texts), dtype=pl.String).str.normalize("NFC")
    if not language.spaces:
        return series.str.extract_all(r"\S")
    words = series.str.to_lowercase().str.extract_all(r"\S+")
    flat = words.explode(empty_as_null=False)
    bare = flat.str.replace_all(_EDGES, "")
    kept = pl.select(pl.when(bare == "").then(flat).otherwise(bare).alias("word")).to_series()
    owners = np.repeat(np.arange(len(words)), words.list.len().to_numpy())
    grouped = (
        pl.DataFrame({"text": owners, "word": kept})
        .group_by("text", maintain_order=True)
        .agg("word")
    )
    everyone = pl.DataFrame({"text": np.arange(len(words))})
    joined = everyone.join(grouped, on="text", how="left", maintain_order="left")
    return joined["word"].fill_null(pl.lit([], dtype=pl.List(pl.String)))


def number(texts: Sequence[str], language: LanguageTraits) -> Units:
    """Return the units of the texts, numbered."""
    lists = split(texts, language)
    flat = lists.explode(empty_as_null=False)
    starts = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy())]).astype(np.int64)
    if not len(flat):
        return Units(np.zeros(0, np.int64), starts, np.zeros(0, np.object_))
    ids = flat.rank("dense").cast(pl.Int64).to_numpy() - 1
    return Units(ids, starts, flat.unique().sort().to_numpy())
