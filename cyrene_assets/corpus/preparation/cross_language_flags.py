"""What is odd about a unit, given its translations, and its flags.

``flag_registry`` has a row for each flag, with the rule of those that look at one language; the
others are found here, by ``quality_flags`` and the modules of ``preparation``. ``docs/flags.md``
says how much of what it looks for each finds.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.preparation import flag_registry
from cyrene_assets.corpus.preparation import quality_flags as flags
from cyrene_assets.corpus.preparation.agreement import ending_mismatch, number_mismatch
from cyrene_assets.corpus.preparation.language_profile import LanguageProfile
from cyrene_assets.corpus.preparation.shifts import ShiftedLines
from cyrene_assets.corpus.preparation.thread_map import map_parallel
from cyrene_assets.corpus.preparation.untranslated import OriginalTexts, find_untranslated
from cyrene_assets.corpus.preparation.word_files import WordFiles


class CrossLanguageFlags:
    """Compares languages (known by their index) of which profiles were made.

    ``texts`` returns the texts of a language's cleaned units, ``words`` their words. ``copies`` has
    language, row and ``original`` (a language) of the rows that are untranslated copies. ``known``
    is the pattern of placeholders that are right where translations disagree. What is too large to
    keep in memory is written to ``folder``.
    """

    def __init__(
        self,
        profiles: Sequence[LanguageProfile],
        texts: Callable[[int], pl.Series],
        words: WordFiles,
        known: str,
        folder: Path,
    ) -> None:
        self._profiles, self._words = profiles, words
        rows = pl.concat(
            [
                profile.rows.select("unit", "characters", "same", "ends")
                .with_row_index("row")
                .with_columns(language=pl.lit(index, pl.UInt8))
                for index, profile in enumerate(profiles)
            ]
        ).filter(pl.col("characters") > 0)
        several = flags.add_expected_lengths(
            rows.select("language", "row", "unit", "characters").filter(pl.len().over("unit") > 1)
        )
        self._same = _repeated(rows, "same")
        self._judged = self._same_texts(texts)
        left = self._left_as_original(texts)
        self.copies = pl.concat(
            [
                self._judged.filter("copy").select("language", "row", "original"),
                left.filter("copied").select("language", "row", original=pl.lit(0, pl.UInt8)),
            ]
        ).unique(["language", "row"], keep="first", maintain_order=True)
        ends = rows.select("language", "row", "unit", "ends")
        self._odd = {
            "untranslated_copy": self.copies,
            "half_translated": left.filter(~pl.col("copied")),
            "length_ratio": flags.length_ratio(several),
            "placeholder_mismatch": flags.placeholder_mismatch(self._placeholders(rows), known),
            "number_mismatch": number_mismatch(_of_languages([of.numbers for of in profiles])),
            "ending_mismatch": ending_mismatch(ends),
        }
        self._shifts = ShiftedLines(profiles, words, several, folder)

    def flags(self, language: int, units: pl.DataFrame) -> pl.Series:
        """Return the list of flags of each of the language's cleaned units, as in FLAGS."""
        own = self._profiles[language]
        masks = {flag.name: flag.rule(units, own) for flag in flag_registry.FLAGS if flag.rule}
        masks["wrong_language"] = self._wrong_language(language, len(units))
        masks["shifted_line"] = self._shifts.of(language)
        rows = {name: mask.arg_true() for name, mask in masks.items()}
        for flag, odd in self._odd.items():
            rows[flag] = odd.filter(pl.col("language") == language)["row"]
        meant = self._judged.filter(pl.col("language") == language, ~pl.col("copy"))["row"]
        for flag in ("wrong_script", "half_translated", "length_ratio"):
            rows[flag] = rows[flag].filter(~rows[flag].is_in(meant.implode()))
        for flag, others in flag_registry.suppressions().items():
            for other in others:
                rows[other] = rows[other].filter(~rows[other].is_in(rows[flag].implode()))
        flagged = (
            pl.concat(
                [
                    rows[flag.name].alias("row").to_frame().with_columns(flag=pl.lit(flag.name))
                    for flag in flag_registry.FLAGS
                ]
            )
            .group_by("row", maintain_order=True)
            .agg("flag")
        )
        return (
            pl.DataFrame({"row": pl.int_range(len(units), dtype=pl.UInt32, eager=True)})
            .join(flagged, on="row", how="left", maintain_order="left")["flag"]
            .fill_null([])
        )

    def _same_texts(self, texts: Callable[[int], pl.Series]) -> pl.DataFrame:
        of_rows = {
            int(index): texts(int(index)).gather(own["row"])
            for (index,), own in self._same.group_by("language", maintain_order=True)
        }
        vocabularies = [profile.vocabulary for profile in self._profiles]
        return flags.find_copies(self._same, of_rows, vocabularies)

    def _left_as_original(self, texts: Callable[[int], pl.Series]) -> pl.DataFrame:
        """Return language, row and copied of what is the original's text, in all or in half."""
        first = self._profiles[0]
        original = OriginalTexts(texts(0), _units(first), first.vocabulary.scripts)

        def compare(language: int) -> pl.DataFrame:
            profile = self._profiles[language]
            untranslated = find_untranslated(
                lambda: texts(language),
                self._words.load(language),
                _units(profile),
                profile.vocabulary,
                original,
            )
            return (
                pl.DataFrame({"copied": untranslated.copied, "half": untranslated.half})
                .with_row_index("row")
                .filter(pl.col("copied") | pl.col("half"))
                .select(pl.lit(language, pl.UInt8).alias("language"), "row", "copied")
            )

        others = range(1, len(self._profiles))
        nothing = self._same.select("language", "row", copied=pl.lit(True)).clear()
        return pl.concat([nothing, *map_parallel(compare, others)])

    def _placeholders(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the placeholders of all rows of the units that have some in any language."""
        some = _of_languages([profile.placeholders for profile in self._profiles])
        return (
            rows.filter(pl.col("unit").is_in(some["unit"].unique().implode()))
            .join(some.drop("unit"), on=["language", "row"], how="left")
            .select("language", "row", "unit", pl.col("placeholders").fill_null(""))
        )

    def _wrong_language(self, language: int, number: int) -> pl.Series:
        """Return which texts read like another language; those that are the same in one do not."""
        vocabulary = self._profiles[language].vocabulary
        alike = [
            profile.vocabulary
            for index, profile in enumerate(self._profiles)
            if index != language and flags.written_alike(vocabulary, profile.vocabulary)
        ]
        wrong = np.zeros(number, dtype=bool)
        if alike:
            wrong = flags.wrong_language(self._words.load(language), number, vocabulary, alike)
            wrong[self._same.filter(pl.col("language") == language)["row"].to_numpy()] = False
        return pl.Series(wrong)


def _units(profile: LanguageProfile) -> npt.NDArray[np.uint32]:
    return profile.rows["unit"].to_numpy()


def _of_languages(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return a table of each language, one after the other, with its index."""
    return pl.concat(
        [table.with_columns(language=pl.lit(index, pl.UInt8)) for index, table in enumerate(tables)]
    )


def _repeated(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return language, row and key of the rows whose key another one has too."""
    ordered = rows[key].sort()
    repeated = ordered.filter(ordered == ordered.shift(1)).unique()
    return rows.filter(pl.col(key).is_in(repeated.implode())).select("language", "row", key)
