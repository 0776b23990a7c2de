"""Shifted lines of all languages, two languages in memory at a time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from cyrene_assets.corpus.preparation.kept_words import KeptWords
from cyrene_assets.corpus.preparation.neighbours import (
    DIMENSIONS,
    Doubles,
    Floats,
    fit,
    shifted,
    text_vectors,
    unit_length,
)
from cyrene_assets.corpus.preparation.pair_shifts import shifted_in_pair
from cyrene_assets.corpus.side_by_side import side_by_side
from cyrene_assets.corpus.survey import Survey

# The original and one more.
PAIR = 2


class Shifts:
    """Compares each text with what all other languages say at its place and next to it.

    Of two languages, the original is right: what differs is shifted in the other one.

    ``expected`` is the table of ``flags.with_expected``. Each language's vectors, 128 bytes a text,
    are written to ``folder``; the sum of all languages' is kept.
    """

    def __init__(
        self,
        surveys: Sequence[Survey],
        words: KeptWords,
        expected: pl.DataFrame,
        folder: Path,
    ) -> None:
        self._surveys, self._expected, self._folder = surveys, expected, folder
        self._words = words
        if len(surveys) <= PAIR:
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
        rows = self._surveys[language].rows
        if len(self._surveys) <= PAIR:
            return self._of_pair(language)
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

    def _of_pair(self, language: int) -> pl.Series:
        rows = self._surveys[language].rows
        if language == 0:
            return pl.repeat(False, len(rows), eager=True)
        theirs = self._surveys[0].rows.with_row_index("row")
        both = rows.select("unit", "characters", "ends").join(
            theirs.select("unit", "row", "characters", "ends"),
            on="unit",
            how="left",
            maintain_order="left",
            suffix="_other",
        )
        words = [self._words.telling(1), self._words.telling(0)]
        return pl.Series(shifted_in_pair(both, words[0], words[1], rows["scene"].to_numpy()))

    def _vectors(self, language: int) -> Floats:
        vectors: Floats = np.load(self._path(language)).astype(np.float32)
        return vectors

    def _path(self, language: int) -> Path:
        return self._folder / f"vectors-{language}.npy"
