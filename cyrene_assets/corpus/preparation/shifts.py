"""Shifted lines of all languages, two languages in memory at a time."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from cyrene_assets.corpus.preparation.language_profile import LanguageProfile
from cyrene_assets.corpus.preparation.neighbours import (
    Doubles,
    compare_places,
    find_shifted,
    place_odds,
)
from cyrene_assets.corpus.preparation.pair_shifts import LanguagePair, ShiftOdds, compare_languages
from cyrene_assets.corpus.preparation.text_vectors import DIMENSIONS, Halves, blocks, text_vectors
from cyrene_assets.corpus.preparation.thread_map import map_parallel
from cyrene_assets.corpus.preparation.word_files import WordFiles

# So many languages are compared two by two, since the mean of one or two others tells little. Each
# pair costs 25 to 80 microseconds a unit.
MAX_COMPARED_IN_PAIRS = 3


class ShiftedLines:
    """Compares each text with what all other languages say at its place and next to it.

    A few languages are compared two by two. Of two alone, the original is right: what differs is
    shifted in the other one. ``expected`` is the table of ``add_expected_lengths``. Each
    language's vectors, 128 bytes a text, are written to ``folder``; the sum of them all is kept.
    """

    def __init__(
        self,
        profiles: Sequence[LanguageProfile],
        words: WordFiles,
        expected: pl.DataFrame,
        folder: Path,
    ) -> None:
        self._profiles, self._folder = profiles, folder
        self._few: list[pl.Series] = []
        if len(profiles) <= MAX_COMPARED_IN_PAIRS:
            self._few = _two_by_two(profiles, words)
            return

        def write(language: int) -> None:
            units = profiles[language].rows["unit"].to_numpy()
            parts, number = words.telling_parts(language), words.count_telling(language)
            np.save(self._path(language), text_vectors(parts, units, number))

        map_parallel(write, range(len(profiles)))
        last = max((int(profile.rows["unit"].max() or 0) for profile in profiles), default=0)  # type: ignore[arg-type]
        self._expected = {
            int(language): rows
            for (language,), rows in expected.select("language", "row", "expected")
            .partition_by("language", as_dict=True, include_key=False)
            .items()
        }
        # In how many languages each unit is.
        self._languages = np.bincount(expected["unit"].to_numpy(), minlength=last + 1)
        self._total = np.zeros((last + 1, DIMENSIONS), dtype=np.float32)
        for language, profile in enumerate(profiles):
            units, vectors = profile.rows["unit"].to_numpy(), self._vectors(language)
            for rows in blocks(len(units)):
                self._total[units[rows]] += vectors[rows]

    def of(self, language: int) -> pl.Series:
        """Say which of the language's texts belong to a neighbour's place."""
        if self._few:
            return self._few[language]
        rows = self._profiles[language].rows
        units = rows["unit"].to_numpy()
        similarity = compare_places(self._vectors(language), self._total, units)
        expected: Doubles = np.full(len(rows), np.nan)
        if (known := self._expected.get(language)) is not None:
            expected[known["row"].to_numpy()] = np.log(known["expected"].to_numpy())
        lengths = np.log(np.maximum(rows["characters"].to_numpy(), 1).astype(np.float64))
        odds = place_odds(similarity, lengths, expected, rows["scene"].to_numpy())
        if odds is None:
            return pl.repeat(False, len(rows), eager=True)
        # One's word against another's: the original is right.
        told = self._languages[units] > (2 if language == 0 else 1)
        return pl.Series(find_shifted(odds) & told)

    def _vectors(self, language: int) -> Halves:
        vectors: Halves = np.load(self._path(language), mmap_mode="r")
        return vectors

    def _path(self, language: int) -> Path:
        return self._folder / f"vectors-{language}.npy"


def _two_by_two(profiles: Sequence[LanguageProfile], words: WordFiles) -> list[pl.Series]:
    """Say of each language which texts belong to a neighbour's place, by comparing all pairs."""
    gains = [ShiftOdds.unknown(len(profile.rows)) for profile in profiles]
    units = pl.concat(
        [profile.rows.filter(pl.col("characters") > 0)["unit"] for profile in profiles]
    )
    languages = units.value_counts(name="languages")
    for other, own in combinations(range(len(profiles)), 2):
        pair = _pair(profiles, words, own, other)
        gains[own] = gains[own].with_another(pair.own)
        has_row = pair.row >= 0
        theirs = ShiftOdds.unknown(len(profiles[other].rows))
        theirs.before[pair.row[has_row]] = pair.other.before[has_row]
        theirs.after[pair.row[has_row]] = pair.other.after[has_row]
        gains[other] = gains[other].with_another(theirs)
        if len(profiles) == 2:
            # Nothing tells which one is shifted: the original is right.
            either = pair.own.find_shifted() | pair.other.find_shifted()
            return [pl.repeat(False, len(profiles[0].rows), eager=True), pl.Series(either)]
    result = []
    for language, (gain, profile) in enumerate(zip(gains, profiles, strict=True)):
        shifted_there = pl.Series(gain.find_shifted())
        if language == 0:
            number = profile.rows.join(languages, on="unit", how="left", maintain_order="left")
            shifted_there &= (number["languages"] > 2).fill_null(False)
        result.append(shifted_there)
    return result


def _pair(
    profiles: Sequence[LanguageProfile], words: WordFiles, own: int, other: int
) -> LanguagePair:
    theirs = profiles[other].rows.with_row_index("row")
    both = (
        profiles[own]
        .rows.select("unit", "characters", "ends")
        .join(
            theirs.select("unit", "row", "characters", "ends"),
            on="unit",
            how="left",
            maintain_order="left",
            suffix="_other",
        )
    )
    scene = profiles[own].rows["scene"].to_numpy()
    return compare_languages(
        both, words.load_telling(own), words.load_telling(other), len(theirs), scene
    )
