"""Proof on the training sets themselves that nothing held out was trained on.

The split is made once (``split``); this looks at what came of it, whatever the way.
"""

from collections.abc import Mapping

import polars as pl

from cyrene_assets.corpus.similar import near_duplicates
from cyrene_assets.corpus.split import long_texts
from cyrene_assets.corpus.words import words_of

# The split keeps together what is half alike; the margin is for what a cluster of many leaves out.
SIMILARITY = 0.8
SCHEMA = pl.Schema(
    {
        "language": pl.String,
        "reason": pl.String,
        "trained": pl.String,
        "held_out": pl.String,
        "similarity": pl.Float64,
    }
)


def leaked(sets: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return what was held out and is trained on all the same; no row when there is nothing.

    ``sets`` has each language's documents or chats: name, scene, split ("train" or "validation")
    and text. Columns: language ("" for all), ``reason`` ("scene": the scene or a translation of it
    is on both sides; "similar": two texts of one language are nearly the same; "line": they share
    a line of 20 characters, in whatever languages), the names of what is trained on and of what is
    held out, and how similar they are.
    """
    places, lines, pairs = [], [], []
    for language in sorted(sets):
        rows = sets[language]
        places.append(rows.select("name", "scene", "split"))
        of_text = long_texts(rows.select("name", "split", "text"))
        lines.append(of_text.select("name", "split", pl.col("text").hash()))
        pairs.append(_similar(rows).select(pl.lit(language).alias("language"), pl.all()))
    everywhere = pl.lit("").alias("language")
    tables = [
        _on_both_sides(pl.concat(places), "scene").select(everywhere, pl.all()),
        *pairs,
        _on_both_sides(pl.concat(lines), "text", reason="line").select(everywhere, pl.all()),
    ]
    return pl.concat([table.cast(SCHEMA) for table in tables])


def _on_both_sides(rows: pl.DataFrame, key: str, reason: str = "scene") -> pl.DataFrame:
    """Return the first names on each side under each key that is on both."""
    first = rows.unique([key, "split"], keep="first", maintain_order=True)
    trained, held_out = (first.filter(split=split) for split in ("train", "validation"))
    return trained.join(held_out, on=key, maintain_order="left").select(
        reason=pl.lit(reason),
        trained="name",
        held_out="name_right",
        similarity=pl.lit(1.0),
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
    )


def chat_texts(messages: pl.Series) -> pl.Series:
    """Return what is said in chats (JSON lists of messages), the system prompt left out."""
    turn = pl.Struct({"role": pl.String, "content": pl.String})
    return (
        messages.str.json_decode(pl.List(turn))
        .list.slice(1)
        .list.eval(pl.element().struct.field("content"))
        .list.join("\n")
    )
