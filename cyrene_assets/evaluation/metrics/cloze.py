"""Lore cloze: does the model find the right name likelier than another one of the same kind?

A held-out sentence stands against the same sentence with one name replaced by another of its type.
A name of many rare tokens is unlikely anywhere, so what a name is worth on its own is subtracted:
P[logp(true) - logp(true name) > logp(swapped) - logp(other name)], pointwise mutual information
(Holtzman et al. 2021, arXiv 2104.08315). No context is given: the scene would give the name away.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.inputs.prompts import stable_hash
from cyrene_assets.evaluation.metrics.reference import TRAINING, in_turns, kept_units, names_by_type

# How often training text says a name that can have been learned.
FEWEST_MENTIONS = 2
# Sentences shorter say nothing about the name, longer ones are cut by nobody: they are left out.
LENGTHS = (12, 400)
SHORTEST_CHARACTERS = 6
_CANDIDATES_PER_PAIR = 20

SCHEMA = pl.Schema(
    {
        "cloze": pl.String,
        "language": pl.String,
        "scene": pl.String,
        "type": pl.String,
        "name": pl.String,
        "other": pl.String,
        "text": pl.String,
        "swapped": pl.String,
    }
)


def select_pairs(
    units: pl.DataFrame, language: str, known: LanguageTraits, count: int
) -> pl.DataFrame:
    """Choose sentences of held-out scenes that hold a name, each with its swapped twin.

    Args:
        units: of `parallel_corpus` in this language.
        language: its code.
        known: what is known of it.
        count: pairs at most; scenes take turns.

    Returns:
        `SCHEMA`; empty where nothing held out names anybody whom training text names too.
    """
    kept = kept_units(units)
    trained = kept.filter(pl.col("split") == TRAINING)
    learnable = _learnable(names_by_type(trained), trained["text"], known)
    held_out = _sentences(kept.filter(pl.col("split") != TRAINING), known)
    if learnable.is_empty() or held_out.is_empty():
        return SCHEMA.to_frame()
    names = learnable["name"].to_list()
    found = held_out.with_columns(
        name=pl.col("text").str.extract_many(names, leftmost=True, overlapping=False).list.first()
    ).drop_nulls("name")
    types = dict(learnable.select("name", "type").iter_rows())
    hers = set(kept.filter(pl.col("role") == "character")["speaker"].drop_nulls().to_list())
    rows = []
    for row in in_turns(found, "sentence", count * _CANDIDATES_PER_PAIR).iter_rows(named=True):
        pattern = _pattern(row["name"], known)
        other = _other(row, types, hers)
        if other is not None and pattern.search(row["text"]):
            rows.append(
                {
                    "cloze": f"{language}/{row['sentence']}",
                    "language": language,
                    "scene": row["scene"],
                    "type": types[row["name"]],
                    "name": row["name"],
                    "other": other,
                    "text": row["text"],
                    "swapped": pattern.sub(other.replace("\\", r"\\"), row["text"]),
                }
            )
    return pl.DataFrame(rows[:count], schema=SCHEMA)


def right(
    true: npt.ArrayLike, swapped: npt.ArrayLike, name: npt.ArrayLike, other: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return 1.0 where the true sentence wins, 0.0 where the swapped one does, 0.5 for a draw.

    Args:
        true: log-probability of the true sentence.
        swapped: of the swapped sentence.
        name: of the true name alone.
        other: of the other name alone.
    """
    ahead = (np.asarray(true) - np.asarray(name)) - (np.asarray(swapped) - np.asarray(other))
    return np.asarray((np.sign(ahead) + 1) / 2, np.float64)


def _learnable(names: pl.DataFrame, texts: pl.Series, language: LanguageTraits) -> pl.DataFrame:
    """Return the names that training text says often enough."""
    if names.is_empty():
        return names
    everything = texts.str.extract_many(names["name"].to_list(), leftmost=True)
    said = everything.explode(empty_as_null=False).value_counts(name="mentions")
    often = said.filter(pl.col("mentions") >= FEWEST_MENTIONS).rename({texts.name: "name"})
    word = pl.col("name").str.contains(r"[\p{L}\p{N}]")
    shortest = 3 if language.spaces else 2
    return (
        names.join(often, on="name", maintain_order="left")
        .filter(word & (pl.col("name").str.len_chars() >= shortest))
        .drop("mentions")
    )


def _sentences(units: pl.DataFrame, language: LanguageTraits) -> pl.DataFrame:
    least = LENGTHS[0] if language.spaces else SHORTEST_CHARACTERS
    lines = units.select("unit", "scene", pl.col("text").str.split("\n")).explode("text")
    return (
        lines.with_columns(pl.col("text").str.strip_chars())
        .filter(pl.col("text").str.len_chars().is_between(least, LENGTHS[1]))
        .with_columns(number=pl.int_range(pl.len()).over("unit"))
        .select(pl.format("{}/{}", "unit", "number").alias("sentence"), "scene", "text")
    )


def _other(row: dict[str, str], types: dict[str, str], hers: set[str]) -> str | None:
    """Return another name of the same type; two names of the character are one person."""
    kind = types[row["name"]]
    others: Sequence[str] = [
        name
        for name, own in types.items()
        if own == kind
        and name not in row["text"]
        and name not in row["name"]
        and not {name, row["name"]} <= hers
    ]
    return min(others, key=lambda name: stable_hash(row["sentence"], name)) if others else None


def _pattern(name: str, language: LanguageTraits) -> re.Pattern[str]:
    escaped = re.escape(name)
    start = r"(?<!\w)" if language.spaces else ""
    # Where particles are written onto a name, its end is no word's end.
    end = r"(?!\w)" if language.spaces and not language.suffixes else ""
    return re.compile(start + escaped + end)
