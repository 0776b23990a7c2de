"""Shifted lines of all languages, two languages in memory at a time."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from cyrene_assets.corpus.preparation.kept_words import KeptWords
from cyrene_assets.corpus.preparation.language_survey import Survey
from cyrene_assets.corpus.preparation.neighbours import (
    DIMENSIONS,
    Doubles,
    Floats,
    fit,
    shifted,
    text_vectors,
    unit_length,
)
from cyrene_assets.corpus.preparation.pair_shifts import Gains, Pair, compared
from cyrene_assets.corpus.preparation.thread_map import side_by_side

# So many languages are compared two by two, since the mean of one or two others tells little. Each
# pair costs 25 to 80 microseconds a unit.
FEW = 3


class Shifts:
    """Compares each text with what all other languages say at its place and next to it.

    A few languages are compared two by two. Of two alone, the original is right: what differs is
    shifted in the other one. ``expected`` is the table of ``flags.with_expected``. Each language's
    vectors, 128 bytes a text, are written to ``folder``; the sum of all languages' is kept.
    """

    def __init__(
        self,
        surveys: Sequence[Survey],
        words: KeptWords,
        expected: pl.DataFrame,
        folder: Path,
    ) -> None:
        self._surveys, self._expected, self._folder = surveys, expected, folder
        self._few: list[pl.Series] = []
        if len(surveys) <= FEW:
            self._few = _two_by_two(surveys, words)
            return

        def write(language: int) -> None:
            units = surveys[language].rows["unit"].to_numpy()
            vectors = text_vectors(words.telling(language), units)
            np.save(self._path(language), vectors.astype(np.float16))

        side_by_side(write, range(len(surveys)))
        last = max((int(found.rows["unit"].max() or 0) for found in surveys), default=0)  # type: ignore[arg-type]
        # In how many languages each unit is.
        self._languages = np.bincount(expected["unit"].to_numpy(), minlength=last + 1)
        self._total = np.zeros((last + 1, DIMENSIONS), dtype=np.float32)
        for language, found in enumerate(surveys):
            self._total[found.rows["unit"].to_numpy()] += self._vectors(language)

    def of(self, language: int) -> pl.Series:
        """Say which of the language's texts belong to a neighbour's place."""
        if self._few:
            return self._few[language]
        rows = self._surveys[language].rows
        vectors = self._vectors(language)
        others = unit_length(self._total[rows["unit"].to_numpy()] - vectors)
        expected: Doubles = np.full(len(rows), np.nan)
        own = self._expected.filter(pl.col("language") == language)
        expected[own["row"].to_numpy()] = np.log(own["expected"].to_numpy())
        lengths = np.log(np.maximum(rows["characters"].to_numpy(), 1).astype(np.float64))
        found = fit(vectors, others, lengths, expected, rows["scene"].to_numpy())
        if found is None:
            return pl.repeat(False, len(rows), eager=True)
        # One's word against another's: the original is right.
        told = self._languages[rows["unit"].to_numpy()] > (2 if language == 0 else 1)
        return pl.Series(shifted(found) & told)

    def _vectors(self, language: int) -> Floats:
        vectors: Floats = np.load(self._path(language)).astype(np.float32)
        return vectors

    def _path(self, language: int) -> Path:
        return self._folder / f"vectors-{language}.npy"


def _two_by_two(surveys: Sequence[Survey], words: KeptWords) -> list[pl.Series]:
    """Say of each language which texts belong to a neighbour's place, by comparing all pairs."""
    gains = [Gains.unknown(len(found.rows)) for found in surveys]
    units = pl.concat([found.rows.filter(pl.col("characters") > 0)["unit"] for found in surveys])
    languages = units.value_counts(name="languages")
    for other, own in combinations(range(len(surveys)), 2):
        found = _pair(surveys, words, own, other)
        gains[own] = gains[own].with_another(found.own)
        there = found.row >= 0
        theirs = Gains.unknown(len(surveys[other].rows))
        theirs.before[found.row[there]] = found.other.before[there]
        theirs.after[found.row[there]] = found.other.after[there]
        gains[other] = gains[other].with_another(theirs)
        if len(surveys) == 2:
            # Nothing tells which one is shifted: the original is right.
            either = found.own.shifted() | found.other.shifted()
            return [pl.repeat(False, len(surveys[0].rows), eager=True), pl.Series(either)]
    result = []
    for language, (gain, found_in) in enumerate(zip(gains, surveys, strict=True)):
        shifted_there = pl.Series(gain.shifted())
        if language == 0:
            number = found_in.rows.join(languages, on="unit", how="left", maintain_order="left")
            shifted_there &= (number["languages"] > 2).fill_null(False)
        result.append(shifted_there)
    return result


def _pair(surveys: Sequence[Survey], words: KeptWords, own: int, other: int) -> Pair:
    theirs = surveys[other].rows.with_row_index("row")
    both = (
        surveys[own]
        .rows.select("unit", "characters", "ends")
        .join(
            theirs.select("unit", "row", "characters", "ends"),
            on="unit",
            how="left",
            maintain_order="left",
            suffix="_other",
        )
    )
    scene = surveys[own].rows["scene"].to_numpy()
    return compared(both, words.telling(own), words.telling(other), len(theirs), scene)
