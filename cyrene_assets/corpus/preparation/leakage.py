"""Leakage: what is held out and trained on too, in the split and in the training sets themselves.

The split is made once (``split``); this looks at what came of it, whatever the way. What counts as
the same text is defined in ``text_identity``, for the split as for these checks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cyrene_assets.corpus.preparation.near_duplicates import near_duplicates
from cyrene_assets.corpus.preparation.tables import LEAKAGE
from cyrene_assets.corpus.preparation.text_identity import (
    MIN_LINE_CHARACTERS,
    bare_lines,
    unit_lines,
)
from cyrene_assets.corpus.preparation.thread_map import map_parallel
from cyrene_assets.corpus.preparation.word_hashes import hash_words
from cyrene_assets.utils.counting import counted

# What is needed of the units to check a split.
SPLIT_COLUMNS = ("scene", "speaker", "title", "text", "split")
# The split keeps together what is half alike; the margin is for what a cluster of many leaves out.
SIMILARITY = 0.8
MAX_TEXT = 80
REMEDY = (
    "put both under one scene id, or change the text in one of them, or set another `split.seed` "
    "in corpus.yaml; then build again"
)


@dataclass(frozen=True)
class LeakageReport:
    """What both sides of the split have in common.

    ``leaks`` (``LEAKAGE``) has no row where nothing leaks. ``reason`` is "scene" (the scene, or a
    translation of it, is on both sides), "line" (two scenes share a line, in whatever languages) or
    "similar" (two texts of one language are nearly the same); ``trained`` and ``held_out`` name the
    two sides, ``text`` the line. ``lines`` counts the lines that are held out, ``short`` those of
    them that are trained on too and let through as too short to give anything away, ``stock`` those
    that are stock phrases.
    """

    leaks: pl.DataFrame
    lines: int
    short: int
    stock: int

    def messages(self) -> list[str]:
        """Return each leak in words."""
        return [_in_words(row) for row in self.leaks.rows(named=True)]

    def describe_recurring(self) -> str:
        """Return in words what recurs and is no leak."""
        share = (self.short + self.stock) / max(self.lines, 1)
        lines = counted(self.lines, "held-out line is", "held-out lines are")
        return (
            f"{share:.1%} of the {lines} said in training too and let through: "
            f"{self.short:,} under {MIN_LINE_CHARACTERS} characters, "
            f"{counted(self.stock, 'stock phrase')}"
        )


def _in_words(row: dict[str, Any]) -> str:
    where = f"{row['trained']} (trained on) and {row['held_out']} (held out)"
    where += f", {row['language']}" if row["language"] else ""
    if row["reason"] == "line":
        text = row["text"]
        shown = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
        return f"the line {shown!r} is in {where}"
    if row["reason"] == "similar":
        return f"{row['similarity']:.0%} alike are {where}"
    return f"one scene has {where}"


def find_split_leakage(
    languages: Sequence[str],
    read: Callable[[str, Sequence[str]], pl.DataFrame],
    similar: pl.DataFrame,
    stock: pl.Series,
) -> LeakageReport:
    """Look at the split of units.

    ``read`` returns columns of a language's units and is called by two threads;
    ``similar`` has pairs of scenes (language, scene, original, similarity) that are nearly the
    same, ``stock`` the stock phrases.
    """

    def lines(language: str) -> pl.DataFrame:
        units = read(language, SPLIT_COLUMNS).select(SPLIT_COLUMNS)
        return unit_lines(units.rename({"scene": "name"}))

    def places(language: str) -> pl.DataFrame:
        units = read(language, ("scene", "split"))
        of_language = units.select("split", scene="scene", name="scene")
        return of_language.unique(maintain_order=True)

    of_scene = pl.concat(map_parallel(places, languages)).unique(maintain_order=True)
    sides = of_scene.select("scene", "split")
    parted = (
        similar.join(sides, on="scene", maintain_order="left")
        .join(sides, left_on="original", right_on="scene", suffix="_original")
        .filter(pl.col("split") != pl.col("split_original"))
    )
    first = pl.col("split") == "train"
    pairs = parted.select(
        "language",
        reason=pl.lit("similar"),
        trained=pl.when(first).then("scene").otherwise("original"),
        held_out=pl.when(first).then("original").otherwise("scene"),
        similarity="similarity",
        text=pl.lit(""),
    )
    return _report(_on_both_sides(of_scene, "scene", "scene"), pairs, languages, lines, stock)


def find_dataset_leakage(sets: Mapping[str, pl.DataFrame], stock: pl.Series) -> LeakageReport:
    """Look at what is trained on and what is held out: documents, or chats.

    ``sets`` has each language's: name, scene, split ("train" or "validation") and text; each is
    read several times. ``stock`` are the stock phrases.
    """
    languages = sorted(sets)
    places = pl.concat([sets[language].select("name", "scene", "split") for language in languages])
    pairs = [
        _similar(sets[language]).select(pl.lit(language).alias("language"), pl.all())
        for language in languages
    ]
    return _report(
        _on_both_sides(places, "scene", "scene"),
        pl.concat(pairs),
        languages,
        lambda language: bare_lines(sets[language].select("name", "split", "text")),
        stock,
    )


def _report(
    scenes: pl.DataFrame,
    pairs: pl.DataFrame,
    languages: Sequence[str],
    read_lines: Callable[[str], pl.DataFrame],
    stock: pl.Series,
) -> LeakageReport:
    short = pl.col("text").str.len_chars() < MIN_LINE_CHARACTERS

    def numbers(language: str) -> pl.DataFrame:
        lines = read_lines(language).select("split", short.alias("short"), pl.col("text").hash())
        return lines.group_by("split", "text", "short").len()

    of_text = pl.concat(map_parallel(numbers, languages))
    trained = of_text.filter(split="train").select("text").unique()
    held_out = of_text.filter(split="validation")
    both = held_out.join(trained, on="text", how="semi")
    is_stock = pl.col("text").is_in(stock.hash().implode()) & ~pl.col("short")
    telling = both.filter(~pl.col("short") & ~is_stock)["text"].unique()
    tables = [scenes, pairs]
    if len(telling):
        lines = [
            read_lines(language).filter(pl.col("text").hash().is_in(telling.implode()))
            for language in languages
        ]
        tables.append(_on_both_sides(pl.concat(lines), "text", "line"))
    return LeakageReport(
        pl.concat([table.select(LEAKAGE.names()).cast(LEAKAGE) for table in tables]),
        lines=int(held_out["len"].sum()),
        short=int(both.filter("short")["len"].sum()),
        stock=int(both.filter(is_stock)["len"].sum()),
    )


def _on_both_sides(rows: pl.DataFrame, key: str, reason: str) -> pl.DataFrame:
    """Return the first names on each side under each key that is on both."""
    first = rows.unique([key, "split"], keep="first", maintain_order=True)
    trained, held_out = (first.filter(split=split) for split in ("train", "validation"))
    return trained.join(held_out, on=key, maintain_order="left").select(
        language=pl.lit(""),
        reason=pl.lit(reason),
        trained="name",
        held_out="name_right",
        similarity=pl.lit(1.0),
        text=pl.col(key) if key == "text" else pl.lit(""),
    )


def _similar(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the texts of one language that are nearly the same, one on each side."""
    held_out = (rows["split"] == "validation").to_numpy()
    pairs = near_duplicates(hash_words(rows["text"]), held_out, SIMILARITY)
    swapped = pl.Series(held_out[pairs["first"].to_numpy()], dtype=pl.Boolean)
    first, second = pl.col("first"), pl.col("second")
    return pairs.select(
        reason=pl.lit("similar"),
        trained=pl.lit(rows["name"]).gather(pl.when(swapped).then(second).otherwise(first)),
        held_out=pl.lit(rows["name"]).gather(pl.when(swapped).then(first).otherwise(second)),
        similarity="similarity",
        text=pl.lit(""),
    )
