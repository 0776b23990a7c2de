"""What is odd about a unit beside its translations, and its flags.

Flags of a row: ``empty`` (nothing is left after cleaning), ``left_out`` (a pattern of ``markup``
says so), ``duplicate`` (its scene or document
says, word for word, what an earlier one does), ``unknown_placeholder`` (cleaning does not know what
stands in its braces), ``control_tokens`` (some were removed); ``untranslated_copy``,
``wrong_language``, ``wrong_script``, ``length_ratio`` and ``placeholder_mismatch`` as in ``flags``.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from cyrene_assets.corpus import flags
from cyrene_assets.corpus.survey import Survey
from cyrene_assets.corpus.words import words_of

FLAGS = (
    "empty",
    "left_out",
    "duplicate",
    "unknown_placeholder",
    "control_tokens",
    "untranslated_copy",
    "wrong_language",
    "wrong_script",
    "length_ratio",
    "placeholder_mismatch",
)
# What explains another flag stands for it.
EXPLAINS = {
    "untranslated_copy": ("wrong_language", "wrong_script", "length_ratio"),
    "wrong_script": ("wrong_language", "length_ratio"),
    "wrong_language": ("length_ratio",),
    "unknown_placeholder": ("placeholder_mismatch",),
}


class Comparison:
    """Compares languages (known by their index) of which surveys were made.

    ``texts`` returns the texts of a language's cleaned units. ``copies`` has language, row and
    ``original`` (a language) of the rows that are untranslated copies. ``known`` is the pattern of
    placeholders that are right where translations disagree.
    """

    def __init__(
        self, surveys: Sequence[Survey], texts: Callable[[int], pl.Series], known: str
    ) -> None:
        self._surveys = surveys
        rows = pl.concat(
            [
                found.rows.select("unit", "characters", "same")
                .with_row_index("row")
                .with_columns(language=pl.lit(index, pl.UInt8))
                for index, found in enumerate(surveys)
            ]
        ).filter(pl.col("characters") > 0)
        several = rows.select("language", "row", "unit", "characters")
        self._same = _repeated(rows, "same")
        self.copies = self._copies(texts)
        self._odd = {
            "untranslated_copy": self.copies,
            "length_ratio": flags.length_ratio(several.filter(pl.len().over("unit") > 1)),
            "placeholder_mismatch": flags.placeholder_mismatch(self._placeholders(rows), known),
        }

    def flags(self, language: int, units: pl.DataFrame) -> pl.Series:
        """Return the list of flags of each of the language's cleaned units, in order of FLAGS."""
        own = self._surveys[language]
        masks = {
            "empty": (units["text"] == "") & ~units["left_out"],
            "left_out": units["left_out"],
            "duplicate": own.rows["scene"].is_in(own.duplicates["scene"].implode()),
            "unknown_placeholder": units["placeholders"].list.len() > 0,
            "control_tokens": units["control_tokens"] > 0,
            "wrong_script": own.rows["wrong_script"],
            "wrong_language": self._wrong_language(language, units["text"]),
        }
        rows = {flag: mask.arg_true() for flag, mask in masks.items()}
        for flag, odd in self._odd.items():
            rows[flag] = odd.filter(pl.col("language") == language)["row"]
        for flag, others in EXPLAINS.items():
            for other in others:
                rows[other] = rows[other].filter(~rows[other].is_in(rows[flag].implode()))
        flagged = (
            pl.concat(
                [
                    rows[flag].alias("row").to_frame().with_columns(flag=pl.lit(flag))
                    for flag in FLAGS
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

    def _copies(self, texts: Callable[[int], pl.Series]) -> pl.DataFrame:
        of_rows = {
            int(index): texts(int(index)).gather(own["row"])
            for (index,), own in self._same.group_by("language", maintain_order=True)
        }
        vocabularies = [found.vocabulary for found in self._surveys]
        return flags.untranslated_copies(self._same, of_rows, vocabularies)

    def _placeholders(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the placeholders of all rows of the units that have some in any language."""
        some = pl.concat(
            [
                found.placeholders.with_columns(language=pl.lit(index, pl.UInt8))
                for index, found in enumerate(self._surveys)
            ]
        )
        return (
            rows.filter(pl.col("unit").is_in(some["unit"].unique().implode()))
            .join(some.drop("unit"), on=["language", "row"], how="left")
            .select("language", "row", "unit", pl.col("placeholders").fill_null(""))
        )

    def _wrong_language(self, language: int, texts: pl.Series) -> pl.Series:
        """Return which texts read like another language; those that are the same in one do not."""
        own = self._surveys[language].vocabulary
        alike = [
            found.vocabulary
            for index, found in enumerate(self._surveys)
            if index != language and flags.written_alike(own, found.vocabulary)
        ]
        wrong = np.zeros(len(texts), dtype=bool)
        if alike:
            wrong = flags.wrong_language(
                words_of(texts, characters=own.characters), len(texts), own, alike
            )
            wrong[self._same.filter(pl.col("language") == language)["row"].to_numpy()] = False
        return pl.Series(wrong)


def _repeated(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return language, row and key of the rows whose key another one has too."""
    ordered = rows[key].sort()
    repeated = ordered.filter(ordered == ordered.shift(1)).unique()
    return rows.filter(pl.col(key).is_in(repeated.implode())).select("language", "row", key)
