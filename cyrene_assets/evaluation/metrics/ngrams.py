"""Texts as token ids, and their n-grams.

A token is a character in languages that are written without spaces between words (Chinese,
Japanese, Thai), and a word in every other language, also in an unknown one. Numbers of the two
kinds are not comparable with each other.
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
class TokenizedTexts:
    """The tokens of texts: ``ids`` of all texts in a row, ``starts`` where each text begins.

    ``starts`` has one entry more than there are texts. Equal tokens have equal ids, which are
    indices of ``vocabulary`` where that is given.
    """

    ids: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    vocabulary: npt.NDArray[np.object_] | None = None

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens of each text."""
        return np.diff(self.starts)

    @cached_property
    def owner(self) -> npt.NDArray[np.int64]:
        """The text that each token is of."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def of(self, text: int) -> npt.NDArray[np.int64]:
        """Return the tokens of one text."""
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
        inside = self.owner[:count] == self.owner[n - 1 :]
        return hashed[inside], self.owner[:count][inside]

    def take(self, texts: npt.NDArray[np.int64], max_tokens: int | None = None) -> "TokenizedTexts":
        """Return some of the texts, each cut after ``max_tokens`` tokens."""
        lengths = self.lengths[texts]
        if max_tokens is not None:
            lengths = np.minimum(lengths, max_tokens)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        offsets = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        return TokenizedTexts(
            self.ids[np.repeat(self.starts[texts], lengths) + offsets], starts, self.vocabulary
        )


def tokenize(texts: Sequence[str], language: LanguageTraits) -> pl.Series:
    """Return the tokens of each text, a list of strings.

    Characters are Unicode code points after NFC, without white space. Words are separated by
    white space, in lower case, without punctuation at either end; one of punctuation alone stays.
    """
    series = pl.Series(list(texts), dtype=pl.String).str.normalize("NFC")
    if not language.spaces:
        return series.str.extract_all(r"\S")
    words = series.str.to_lowercase().str.extract_all(r"\S+")
    flat = words.explode(empty_as_null=False)
    stripped = flat.str.replace_all(_EDGES, "")
    kept = pl.select(
        pl.when(stripped == "").then(flat).otherwise(stripped).alias("word")
    ).to_series()
    owners = np.repeat(np.arange(len(words)), words.list.len().to_numpy())
    grouped = (
        pl.DataFrame({"text": owners, "word": kept})
        .group_by("text", maintain_order=True)
        .agg("word")
    )
    all_texts = pl.DataFrame({"text": np.arange(len(words))})
    joined = all_texts.join(grouped, on="text", how="left", maintain_order="left")
    return joined["word"].fill_null(pl.lit([], dtype=pl.List(pl.String)))


def encode(texts: Sequence[str], language: LanguageTraits) -> TokenizedTexts:
    """Return the tokens of the texts as ids."""
    lists = tokenize(texts, language)
    flat = lists.explode(empty_as_null=False)
    starts = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy())]).astype(np.int64)
    if not len(flat):
        return TokenizedTexts(np.zeros(0, np.int64), starts, np.zeros(0, np.object_))
    ids = flat.rank("dense").cast(pl.Int64).to_numpy() - 1
    return TokenizedTexts(ids, starts, flat.unique().sort().to_numpy())
