"""Proof that nothing held out is trained on: of the split, and of the training sets themselves.

The split is made once (``split``); this looks at what came of it, whatever the way. What counts as
the same text is ``same_text``'s to say, for the split as for the proofs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cyrene_assets.corpus.preparation.near_duplicates import near_duplicates
from cyrene_assets.corpus.preparation.text_identity import SHORT_LINE, bare_lines, unit_lines
from cyrene_assets.corpus.preparation.thread_map import side_by_side
from cyrene_assets.corpus.preparation.word_hashes import words_of
from cyrene_assets.utils.counting import counted

# What is needed of the units to prove a split.
SPLIT_COLUMNS = ("scene", "speaker", "title", "text", "split")
# The split keeps together what is half alike; the margin is for what a cluster of many leaves out.
SIMILARITY = 0.8
SCHEMA = pl.Schema(
    {
        "language": pl.String,
        "reason": pl.String,
        "trained": pl.String,
        "held_out": pl.String,
        "similarity": pl.Float64,
        "text": pl.String,
    }
)
SHOWN_TEXT = 80
REMEDY = (
    "put both under one scene id, or change the text in one of them, or set another `split.seed` "
    "in corpus.yaml; then build again"
)


@dataclass(frozen=True)
class Proof:
    """What a look at both sides of the split found.

    ``leaks`` (``SCHEMA``) has no row where nothing leaks. ``reason`` is "scene" (the scene, or a
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

    def found(self) -> list[str]:
        """Return each leak in words."""
        return [_in_words(row) for row in self.leaks.rows(named=True)]

    def let_through(self) -> str:
        """Return in words what recurs and is no leak."""
        share = (self.short + self.stock) / max(self.lines, 1)
        lines = counted(self.lines, "held-out line is", "held-out lines are")
        return (
            f"{share:.1%} of the {lines} said in training too and let through: "
            f"{self.short:,} under {SHORT_LINE} characters, {counted(self.stock, 'stock phrase')}"
        )


def _in_words(row: dict[str, Any]) -> str:
    where = f"{row['trained']} (trained on) and {row['held_out']} (held out)"
    where += f", {row['language']}" if row["language"] else ""
    if row["reason"] == "line":
        text = row["text"]
        shown = text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…"
        return f"the line {shown!r} is in {where}"
    if row["reason"] == "similar":
        return f"{row['similarity']:.0%} alike are {where}"
    return f"one scene has {where}"


def split_proof(
    languages: Sequence[str],
    read: Callable[[str], pl.DataFrame],
    similar: pl.DataFrame,
    stock: pl.Series,
) -> Proof:
    """Look at the split of units.

    ``read`` returns a language's units (``SPLIT_COLUMNS``) and is called by two threads;
    ``similar`` has pairs of scenes (language, scene, original, similarity) that are nearly the
    same, ``stock`` the stock phrases.
    """

    def lines(language: str) -> pl.DataFrame:
        return unit_lines(read(language).select(SPLIT_COLUMNS).rename({"scene": "name"}))

    def places(language: str) -> pl.DataFrame:
        of_language = read(language).select("split", scene="scene", name="scene")
        return of_language.unique(maintain_order=True)

    of_scene = pl.concat(side_by_side(places, languages)).unique(maintain_order=True)
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
    return _proof(_on_both_sides(of_scene, "scene", "scene"), pairs, languages, lines, stock)


def sets_proof(sets: Mapping[str, pl.DataFrame], stock: pl.Series) -> Proof:
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
    return _proof(
        _on_both_sides(places, "scene", "scene"),
        pl.concat(pairs),
        languages,
        lambda language: bare_lines(sets[language].select("name", "split", "text")),
        stock,
    )


def _proof(
    scenes: pl.DataFrame,
    pairs: pl.DataFrame,
    languages: Sequence[str],
    read_lines: Callable[[str], pl.DataFrame],
    stock: pl.Series,
) -> Proof:
    short = pl.col("text").str.len_chars() < SHORT_LINE

    def numbers(language: str) -> pl.DataFrame:
        lines = read_lines(language).select("split", short.alias("short"), pl.col("text").hash())
        return lines.group_by("split", "text", "short").len()

    of_text = pl.concat(side_by_side(numbers, languages))
    trained = of_text.filter(split="train").select("text").unique()
    held_out = of_text.filter(split="validation")
    both = held_out.join(trained, on="text", how="semi")
    is_stock = pl.col("text").is_in(stock.hash().implode()) & ~pl.col("short")
    telling = both.filter(~pl.col("short") & ~is_stock)["text"].unique()
    tables = [scenes, pairs]
    if len(telling):
        found = [
            read_lines(language).filter(pl.col("text").hash().is_in(telling.implode()))
            for language in languages
        ]
        tables.append(_on_both_sides(pl.concat(found), "text", "line"))
    return Proof(
        pl.concat([table.select(SCHEMA.names()).cast(SCHEMA) for table in tables]),
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
    pairs = near_duplicates(words_of(rows["text"]), held_out, SIMILARITY)
    swapped = pl.Series(held_out[pairs["first"].to_numpy()], dtype=pl.Boolean)
    first, second = pl.col("first"), pl.col("second")
    return pairs.select(
        reason=pl.lit("similar"),
        trained=pl.lit(rows["name"]).gather(pl.when(swapped).then(second).otherwise(first)),
        held_out=pl.lit(rows["name"]).gather(pl.when(swapped).then(first).otherwise(second)),
        similarity="similarity",
        text=pl.lit(""),
    )
