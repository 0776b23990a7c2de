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
    places = pl.concat(
        [rows.select("name", "scene", "split") for _, rows in sorted(sets.items())]
    ).unique(["scene", "split"], keep="first", maintain_order=True)
    both = places.filter(split="train").join(places.filter(split="validation"), on="scene")
    tables = [
        both.select(
            language=pl.lit(""),
            reason=pl.lit("scene"),
            trained="name",
            held_out="name_right",
            similarity=pl.lit(1.0),
        )
    ]
    lines = []
    for language, rows in sorted(sets.items()):
        lines.append(
            long_texts(rows.select("name", "split", "text")).select(
                "name", "split", pl.col("text").hash()
            )
        )
        held_out = (rows["split"] == "validation").to_numpy()
        pairs = near_duplicates(words_of(rows["text"]), held_out, SIMILARITY)
        first = held_out[pairs["first"].to_numpy()]
        pairs = pairs.with_columns(swap=pl.Series(first, dtype=pl.Boolean))
        trained, kept = pl.col("first"), pl.col("second")
        tables.append(
            pairs.select(
                language=pl.lit(language),
                reason=pl.lit("similar"),
                trained=pl.lit(rows["name"]).gather(pl.when("swap").then(kept).otherwise(trained)),
                held_out=pl.lit(rows["name"]).gather(pl.when("swap").then(trained).otherwise(kept)),
                similarity="similarity",
            )
        )
    shared = pl.concat(lines).unique(["text", "split"], keep="first", maintain_order=True)
    tables.append(
        shared.filter(split="train")
        .join(shared.filter(split="validation"), on="text", maintain_order="left")
        .select(
            language=pl.lit(""),
            reason=pl.lit("line"),
            trained="name",
            held_out="name_right",
            similarity=pl.lit(1.0),
        )
    )
    return pl.concat([table.cast(SCHEMA) for table in tables])


def chat_texts(messages: pl.Series) -> pl.Series:
    """Return what is said in chats (JSON lists of messages), the system prompt left out."""
    turn = pl.Struct({"role": pl.String, "content": pl.String})
    return (
        messages.str.json_decode(pl.List(turn))
        .list.slice(1)
        .list.eval(pl.element().struct.field("content"))
        .list.join("\n")
    )
