"""What a parallel corpus has and lacks, in tables for people and for checks."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from cyrene_assets.corpus.lint.plots import PREVIEW_CHARACTERS, Table, escape_markdown
from cyrene_assets.corpus.preparation import flag_registry
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus
from cyrene_assets.corpus.preparation.parallel_tables import TRANSLATABLE
from cyrene_assets.corpus.preparation.thread_map import map_parallel

# What is needed of the units.
COLUMNS = (
    *("language", "kind", "scene", "unit", "file", "line"),
    *("text", "raw_text", "flags", "split"),
)
WORST_UNITS = 20
EXAMPLES = 5


@dataclass(frozen=True)
class CorpusSummary:
    """Tables of a parallel corpus; texts in them are safe in Markdown.

    ``kinds``: language, kind, units, scenes, characters. ``languages``: a row per language with its
    units, those missing, ``coverage`` (the share of the corpus's units, vendor documents aside,
    that it has), the number of near-duplicate scenes, and that of the units with each flag.
    ``split``: kind, split, scenes; ``scenes`` counts all of them, ``held_out`` those in validation.
    ``worst``: 20 units to look at first. ``examples``: by flag, the first places.
    """

    kinds: Table
    languages: Table
    split: Table
    worst: Table
    examples: dict[str, list[str]]

    @property
    def coverage(self) -> Table:
        """``languages`` without the flags."""
        return [
            {k: v for k, v in row.items() if k not in flag_registry.names()}
            for row in self.languages
        ]

    @property
    def flags(self) -> Table:
        """A row per language with the number of units under each flag that there is."""
        there = [flag for flag in flag_registry.names() if self.count(flag)]
        return [
            {"language": row["language"], **{flag: row[flag] for flag in there}}
            for row in self.languages
        ]

    @property
    def scenes(self) -> int:
        """The number of scenes and documents."""
        return int(sum(row["scenes"] for row in self.split))

    @property
    def held_out(self) -> int:
        """The number of scenes and documents in validation."""
        return int(sum(row["scenes"] for row in self.split if row["split"] == "validation"))

    def share(self, flag: str) -> dict[str, float]:
        """Return by language the share of units that have the flag."""
        return {row["language"]: row[flag] / max(row["units"], 1) for row in self.languages}

    def count(self, flag: str) -> int:
        """Return how many units have the flag."""
        return int(sum(row[flag] for row in self.languages))


def summarize_corpus(parallel: ParallelCorpus, worst: int = WORST_UNITS) -> CorpusSummary:
    """Look at all languages, two at a time."""
    found = map_parallel(lambda language: _language_stats(parallel, language), parallel.languages)
    odd = pl.concat([look.odd for look in found])
    split = (
        pl.concat([look.scenes for look in found])
        .unique()
        .group_by("kind", "split")
        .agg(pl.len().alias("scenes"))
        .sort("kind", "split")
    )
    examples = {
        flag: [
            f"{language}/{unit}"
            for language, unit in odd.filter(pl.col("flags").list.contains(flag))
            .head(EXAMPLES)
            .select("language", "unit")
            .rows()
        ]
        for flag in flag_registry.names()
    }
    return CorpusSummary(
        [row for look in found for row in look.kinds],
        [look.language for look in found],
        split.to_dicts(),
        _worst(odd, worst),
        examples,
    )


@dataclass(frozen=True)
class _LanguageStats:
    """What is seen in one language: ``odd`` are the flagged units, ``language`` a row of these."""

    kinds: Table
    language: dict[str, Any]
    scenes: pl.DataFrame
    odd: pl.DataFrame


def _language_stats(parallel: ParallelCorpus, language: str) -> _LanguageStats:
    units = parallel.units(language, COLUMNS)
    odd = units.filter(pl.col("flags").list.len() > 0).select(
        *("language", "scene", "unit", "file", "line", "flags"),
        pl.coalesce("raw_text", "text").str.head(PREVIEW_CHARACTERS).alias("text"),
    )
    flagged = dict(odd["flags"].explode(empty_as_null=False).value_counts().rows())
    present = len(units.filter(TRANSLATABLE))
    lacking = pl.col("languages_missing").list.contains(language)
    missing = len(parallel.coverage.filter(lacking))
    near = len(parallel.duplicates.filter(pl.col("language") == language, ~pl.col("exact")))
    return _LanguageStats(
        kind_counts(units),
        {
            "language": language,
            "units": len(units),
            "missing": missing,
            "coverage": round(present / (present + missing), 4) if present + missing else 1.0,
            "similar scenes": near,
            **{flag: int(flagged.get(flag, 0)) for flag in flag_registry.names()},
        },
        units.select("scene", "kind", "split").unique(),
        odd,
    )


def kind_counts(units: pl.DataFrame) -> Table:
    """Return language, kind, units, scenes and characters, a row per language and kind."""
    return (
        units.group_by("language", "kind")
        .agg(
            pl.len().alias("units"),
            pl.col("scene").n_unique().alias("scenes"),
            pl.col("text").str.len_chars().sum().alias("characters"),
        )
        .sort("language", "kind")
        .to_dicts()
    )


def _worst(flagged: pl.DataFrame, number: int) -> Table:
    """Return units with many flags: language, unit, place, flags and raw text.

    Among those with as many, each flag and each language gets its turn, the gravest flag first. A
    scene that repeats another is one finding.
    """
    severity = flag_registry.severity()
    grave = pl.col("flags").list.eval(pl.element().replace_strict(severity)).list.min()
    turn = pl.int_range(pl.len())
    worst = (
        flagged.with_columns(gravest=grave, many=pl.col("flags").list.len())
        .filter(
            (pl.col("gravest") != severity["duplicate"])
            | turn.over("language", "scene", "gravest").eq(0)
        )
        .with_columns(in_language=turn.over("many", "gravest", "language"))
        .sort("many", "in_language", descending=[True, False], maintain_order=True)
        .with_columns(of_flag=turn.over("many", "gravest"))
        .sort("many", "of_flag", "gravest", descending=[True, False, False], maintain_order=True)
        .head(number)
    )
    return [
        {
            "language": row["language"],
            "unit": escape_markdown(row["unit"]),
            "place": escape_markdown(f"{row['file']}:{row['line']}"),
            "flags": ", ".join(row["flags"]),
            "text": escape_markdown(row["text"]),
        }
        for row in worst.rows(named=True)
    ]
