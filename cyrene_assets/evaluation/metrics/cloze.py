"""Lore cloze: is the right name more likely to the model than another one of the same kind?

A held-out sentence is compared with itself with one name replaced by another of its type. A name of
many rare tokens is unlikely anywhere, so the name's own log-probability is subtracted:
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
from cyrene_assets.evaluation.metrics.reference import (
    TRAINING,
    kept_units,
    names_by_type,
    round_robin,
)

# How often the training text has a name that can have been learned.
MIN_MENTIONS = 2
# Characters of a sentence: shorter ones say nothing about the name, longer ones are not truncated.
LENGTHS = (12, 400)
MIN_CHARACTERS = 6
_CANDIDATES_PER_PAIR = 20

SCHEMA = pl.Schema(
    dict.fromkeys(
        ("cloze", "language", "scene", "type", "name", "other", "text", "swapped"), pl.String()
    )
)


def select_pairs(
    units: pl.DataFrame, language: str, traits: LanguageTraits, count: int
) -> pl.DataFrame:
    """Choose sentences of held-out scenes that have a name, each with its swapped version.

    Args:
        units: of `parallel_corpus` in this language.
        language: its code.
        traits: of the language.
        count: pairs at most; scenes take turns.

    Returns:
        `SCHEMA`; empty if no held-out text has a name that the training text has, too.
    """
    kept = kept_units(units)
    trained = kept.filter(pl.col("split") == TRAINING)
    learnable = _learnable(names_by_type(trained), trained["text"], traits)
    held_out = _sentences(kept.filter(pl.col("split") != TRAINING), traits)
    if learnable.is_empty() or held_out.is_empty():
        return SCHEMA.to_frame()
    names = learnable["name"].to_list()
    named = held_out.with_columns(
        name=pl.col("text").str.extract_many(names, leftmost=True, overlapping=False).list.first()
    ).drop_nulls("name")
    types = dict(learnable.select("name", "type").iter_rows())
    character = set(kept.filter(pl.col("role") == "character")["speaker"].drop_nulls().to_list())
    rows = []
    candidates = round_robin(named, "sentence", count * _CANDIDATES_PER_PAIR)
    for row in candidates.iter_rows(named=True):
        pattern = _pattern(row["name"], traits)
        other = _other_name(row, types, character)
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


def score_pairs(
    true: npt.ArrayLike, swapped: npt.ArrayLike, name: npt.ArrayLike, other: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return 1.0 for pairs whose true sentence is more likely, 0.0 for others, 0.5 for a tie.

    Args:
        true: log-probability of the true sentence.
        swapped: of the swapped sentence.
        name: of the true name alone.
        other: of the other name alone.
    """
    difference = (np.asarray(true) - np.asarray(name)) - (np.asarray(swapped) - np.asarray(other))
    return np.asarray((np.sign(difference) + 1) / 2, np.float64)


def _learnable(names: pl.DataFrame, texts: pl.Series, language: LanguageTraits) -> pl.DataFrame:
    """Return the names that the training text has often enough."""
    if names.is_empty():
        return names
    mentions = texts.str.extract_many(names["name"].to_list(), leftmost=True)
    counts = mentions.explode(empty_as_null=False).value_counts(name="mentions")
    often = counts.filter(pl.col("mentions") >= MIN_MENTIONS).rename({texts.name: "name"})
    word = pl.col("name").str.contains(r"[\p{L}\p{N}]")
    min_length = 3 if language.spaces else 2
    return (
        names.join(often, on="name", maintain_order="left")
        .filter(word & (pl.col("name").str.len_chars() >= min_length))
        .drop("mentions")
    )


def _sentences(units: pl.DataFrame, language: LanguageTraits) -> pl.DataFrame:
    min_length = LENGTHS[0] if language.spaces else MIN_CHARACTERS
    lines = units.select("unit", "scene", pl.col("text").str.split("\n")).explode("text")
    return (
        lines.with_columns(pl.col("text").str.strip_chars())
        .filter(pl.col("text").str.len_chars().is_between(min_length, LENGTHS[1]))
        .with_columns(number=pl.int_range(pl.len()).over("unit"))
        .select(pl.format("{}/{}", "unit", "number").alias("sentence"), "scene", "text")
    )


def _other_name(row: dict[str, str], types: dict[str, str], character: set[str]) -> str | None:
    """Return another name of the same type; all names in ``character`` are one person."""
    candidates: Sequence[str] = [
        name
        for name, kind in types.items()
        if kind == types[row["name"]]
        and name not in row["text"]
        and name not in row["name"]
        and not {name, row["name"]} <= character
    ]
    return min(candidates, key=lambda name: stable_hash(row["sentence"], name), default=None)


def _pattern(name: str, language: LanguageTraits) -> re.Pattern[str]:
    escaped = re.escape(name)
    start = r"(?<!\w)" if language.spaces else ""
    # In languages with suffixes a name may not end at the end of a word.
    end = r"(?!\w)" if language.spaces and not language.suffixes else ""
    return re.compile(start + escaped + end)
