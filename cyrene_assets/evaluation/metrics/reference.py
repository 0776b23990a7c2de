"""What answers are scored against: training text, real lines and names of one language."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.corpus.rendering.line_selection import LEFT_OUT
from cyrene_assets.evaluation.inputs.prompts import stable_hash
from cyrene_assets.evaluation.metrics import memorization

ReadUnits = Callable[[str], pl.DataFrame]

TRAINING, VALIDATION = "train", "validation"
OTHERS = ("other", "player")
COLUMNS = ("unit", "scene", "order", "kind", "speaker", "role", "title", "text", "flags", "split")
# Alphabetic languages that lengths are compared with, and units of each.
_COMPARED, _COMPARED_UNITS = 3, 20_000
# Held-out scenes, and their lines, of other speakers that style is measured against.
_OTHER_SCENES, _OTHER_LINES = 300, 2000


@dataclass(frozen=True)
class Reference:
    """One language of a corpus, as far as scores need it.

    ``training`` is the training text, a string per scene or document; ``min_match_length`` the
    characters of a match that counts as memorized; ``character_lines`` and ``other_lines`` are
    training lines of the character and of other speakers; ``held_out_other_lines`` and their
    ``held_out_scenes`` are held-out ones.
    """

    language: str
    traits: LanguageTraits
    training: Sequence[str]
    min_match_length: int
    character_lines: Sequence[str]
    other_lines: Sequence[str]
    held_out_other_lines: Sequence[str]
    held_out_scenes: Sequence[str]
    names: Sequence[str]


def kept_units(units: pl.DataFrame) -> pl.DataFrame:
    """Return the units that documents and chats are made of."""
    left_out = pl.any_horizontal(pl.col("flags").list.contains(flag) for flag in LEFT_OUT)
    return units.select(COLUMNS).filter(~left_out)


def read_reference(
    read: ReadUnits, languages: Mapping[str, LanguageTraits], language: str
) -> Reference:
    """Read what scores need of one language.

    Args:
        read: returns the units of `parallel_corpus` in a language.
        languages: of the corpus, by code.
        language: the one to score.
    """
    units = kept_units(read(language))
    dialog = units.filter(pl.col("kind") == "dialog")
    in_training = pl.col("split") == TRAINING
    training = (
        units.filter(in_training)
        .sort("scene", "order", maintain_order=True)
        .group_by("scene", maintain_order=True)
        .agg(pl.col("text").str.join("\n"))
    )
    others = dialog.filter(pl.col("role").is_in(OTHERS))
    held_out = _sample_scenes(others.filter(~in_training))
    return Reference(
        language=language,
        traits=languages[language],
        training=training["text"].to_list(),
        min_match_length=_min_match_length(read, languages, language),
        character_lines=dialog.filter(in_training, role="character")["text"].to_list(),
        other_lines=others.filter(in_training)["text"].to_list(),
        held_out_other_lines=held_out["text"].to_list(),
        held_out_scenes=held_out["scene"].to_list(),
        names=sorted(set(names_by_type(units)["name"].to_list())),
    )


def names_by_type(units: pl.DataFrame) -> pl.DataFrame:
    """Return the names in a language's units: ``name`` and its ``type``.

    Persons are the speakers without the player; other names are the titles of terms.
    """
    people = units.filter(pl.col("speaker").is_not_null(), pl.col("role") != "player").select(
        name="speaker", type=pl.lit("person")
    )
    terms = units.filter(pl.col("kind") == "term", pl.col("title").is_not_null()).select(
        name="title", type=pl.lit("term")
    )
    return (
        pl.concat([people, terms])
        .with_columns(pl.col("name").str.strip_chars())
        .filter(pl.col("name").str.len_chars() > 1)
        .unique("name", keep="first", maintain_order=True)
    )


def round_robin(frame: pl.DataFrame, key: str, count: int) -> pl.DataFrame:
    """Return ``count`` rows, taken from the scenes in turn, in the order of a hash.

    ``frame`` has ``scene`` and a column ``key`` that is unique within a scene.
    """
    return (
        frame.with_columns(_hash("scene").alias("_scene"), _hash("scene", key).alias("_row"))
        .sort("_row")
        .with_columns(_round=pl.int_range(pl.len()).over("scene"))
        .sort("_round", "_scene", "_row")
        .head(count)
        .drop("_scene", "_row", "_round")
    )


def _min_match_length(
    read: ReadUnits, languages: Mapping[str, LanguageTraits], language: str
) -> int:
    if not languages[language].measured:
        return languages[language].match_length
    alphabets = [key for key, traits in languages.items() if traits.alphabetic][:_COMPARED]
    lengths = {key: _lengths(read(key), key) for key in (language, *alphabets)}
    joined = lengths[language]
    for key in alphabets:
        joined = joined.join(lengths[key], on="unit", how="left")
    columns: Mapping[str, Sequence[float]] = {
        key: joined[key].cast(pl.Float64).fill_null(np.nan).to_list() for key in lengths
    }
    return memorization.calibrated_length(
        languages[language], columns[language], [columns[key] for key in alphabets]
    )


def _lengths(units: pl.DataFrame, name: str) -> pl.DataFrame:
    sample = units.head(_COMPARED_UNITS)
    return sample.select("unit", pl.col("text").str.len_chars().alias(name)).unique("unit")


def _sample_scenes(lines: pl.DataFrame) -> pl.DataFrame:
    scenes = sorted(lines["scene"].unique().to_list(), key=stable_hash)[:_OTHER_SCENES]
    return lines.filter(pl.col("scene").is_in(scenes)).head(_OTHER_LINES)


def _hash(*columns: str) -> pl.Expr:
    return pl.struct(columns).map_elements(
        lambda row: stable_hash(*map(str, row.values())), return_dtype=pl.String
    )
