"""Tables of all languages together: what they lack, what they repeat, what was not translated."""

import polars as pl

from cyrene_assets.corpus.preparation.gendered import TWIN, is_twin_of
from cyrene_assets.corpus.preparation.language_profile import LanguageProfile
from cyrene_assets.corpus.preparation.tables import COPIES
from cyrene_assets.corpus.preparation.unit_index import UnitIndex

# A unit of these kinds belongs to one language: it is not missing in the others.
ONE_LANGUAGE_KINDS = ("vendor", "instruction")
# Cleaned units that every language should have.
TRANSLATABLE = (pl.col("text") != "") & ~pl.col("kind").is_in(ONE_LANGUAGE_KINDS)


def copies_table(
    found: pl.DataFrame,
    profiles: list[LanguageProfile],
    unit_index: UnitIndex,
    languages: tuple[str, ...],
) -> pl.DataFrame:
    """Return the untranslated copies by name (``COPIES``)."""
    tables = []
    for index, profile in enumerate(profiles):
        copies = found.filter(pl.col("language") == index)
        units = profile.rows["unit"].gather(copies["row"])
        tables.append(
            pl.DataFrame(
                {
                    "language": pl.repeat(languages[index], len(copies), eager=True),
                    "unit": unit_index.units["unit"].gather(units),
                    "original": pl.Series(languages).gather(copies["original"]),
                },
                schema=COPIES,
            )
        )
    return pl.concat(tables)


def coverage_table(
    profiles: list[LanguageProfile], unit_index: UnitIndex, languages: tuple[str, ...], twins: bool
) -> pl.DataFrame:
    """Return what some language lacks (``COVERAGE``); twins of gendered text do not count."""
    units = unit_index.units.join(unit_index.scenes, on="scene").select(
        "kind", unit="number", name="unit"
    )
    present = pl.concat(
        [
            profile.rows.filter(pl.col("characters") > 0).select(
                "unit", pl.lit(languages[index]).alias("language")
            )
            for index, profile in enumerate(profiles)
        ]
    ).filter(pl.len().over("unit") < len(languages))
    every = pl.DataFrame({"every": [list(languages)]})
    missing = pl.col("every").list.set_difference("language").list.sort()
    return (
        present.group_by("unit")
        .agg(pl.col("language").unique())
        .join(units, on="unit")
        .filter(
            ~pl.col("kind").is_in(ONE_LANGUAGE_KINDS),
            # Not in every language is the text gendered.
            ~pl.col("name").str.ends_with(TWIN) if twins else True,
        )
        .join(every, how="cross")
        .sort("unit")
        .select(pl.col("name").alias("unit"), "kind", missing.alias("languages_missing"))
    )


def duplicates_table(
    profiles: list[LanguageProfile], unit_index: UnitIndex, languages: tuple[str, ...], twins: bool
) -> pl.DataFrame:
    """Return the scenes that repeat an earlier one (``DUPLICATES``); twins do not count."""
    names = unit_index.scenes["scene"]
    tables = []
    for language, profile in zip(languages, profiles, strict=True):
        exact = profile.duplicates.select(
            "scene", "original", similarity=pl.lit(1.0), exact=pl.lit(True)
        )
        near = profile.similar.select(
            scene="second", original="first", similarity="similarity", exact=pl.lit(False)
        ).join(exact, on="scene", how="anti")
        tables.append(
            pl.concat([exact, near])
            .sort("scene", "original")
            .select(
                pl.lit(language).alias("language"),
                pl.lit(names).gather("scene").alias("scene"),
                pl.lit(names).gather("original").alias("original"),
                "similarity",
                "exact",
            )
            .filter(pl.col("exact") | ~is_twin_of("scene", "original") if twins else True)
        )
    return pl.concat(tables)
