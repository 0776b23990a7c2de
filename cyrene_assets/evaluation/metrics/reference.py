"""What the corpus gives to score against: training text, real lines, names; in one language."""

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
# Languages of letters that lengths are compared with, and units of each.
_COMPARED, _COMPARED_UNITS = 3, 20_000
# Held-out scenes whose other speakers style is measured against.
_OTHER_SCENES, _OTHER_LINES = 300, 2000


@dataclass(frozen=True)
class Reference:
    """One language of a corpus, as scores see it.

    ``training`` is the training text, a string per scene or document; ``least`` the characters of a
    match that counts as memorized; ``hers`` and ``others`` are training lines of the character and
    of other speakers; ``held_out_others`` and their ``held_out_scenes`` are held-out ones.
    """

    language: str
    traits: LanguageTraits
    training: Sequence[str]
    least: int
    hers: Sequence[str]
    others: Sequence[str]
    held_out_others: Sequence[str]
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
    said = units.filter(pl.col("kind") == "dialog")
    trained = pl.col("split") == TRAINING
    training = (
        units.filter(trained)
        .sort("scene", "order", maintain_order=True)
        .group_by("scene", maintain_order=True)
        .agg(pl.col("text").str.join("\n"))
    )
    others = said.filter(pl.col("role").is_in(OTHERS))
    held_out = _some_scenes(others.filter(~trained))
    return Reference(
        language=language,
        traits=languages[language],
        training=training["text"].to_list(),
        least=_least(read, languages, language),
        hers=said.filter(trained, pl.col("role") == "character")["text"].to_list(),
        others=others.filter(trained)["text"].to_list(),
        held_out_others=held_out["text"].to_list(),
        held_out_scenes=held_out["scene"].to_list(),
        names=sorted(set(names_by_type(units)["name"].to_list())),
    )


def names_by_type(units: pl.DataFrame) -> pl.DataFrame:
    """Return the names that a language's units give: ``name`` and its ``type``.

    People are those who speak (the player's name is nobody's); other names are the titles of terms.
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


def in_turns(frame: pl.DataFrame, key: str, count: int) -> pl.DataFrame:
    """Return ``count`` rows: scenes take turns in giving one, in an order without meaning.

    ``frame`` has ``scene`` and a column ``key`` that tells a scene's rows apart.
    """
    return (
        frame.with_columns(_hash("scene").alias("_scene"), _hash("scene", key).alias("_row"))
        .sort("_row")
        .with_columns(_round=pl.int_range(pl.len()).over("scene"))
        .sort("_round", "_scene", "_row")
        .head(count)
        .drop("_scene", "_row", "_round")
    )


def _least(read: ReadUnits, languages: Mapping[str, LanguageTraits], language: str) -> int:
    if not languages[language].measured:
        return languages[language].match_length
    alphabets = [key for key, known in languages.items() if known.alphabetic][:_COMPARED]
    lengths = {key: _lengths(read(key)) for key in (language, *alphabets)}
    joined = lengths[language].rename({"characters": language})
    for key in alphabets:
        joined = joined.join(lengths[key].rename({"characters": key}), on="unit", how="left")
    columns: Mapping[str, Sequence[float]] = {
        key: joined[key].cast(pl.Float64).fill_null(np.nan).to_list() for key in lengths
    }
    return memorization.calibrated_length(
        languages[language], columns[language], [columns[key] for key in alphabets]
    )


def _lengths(units: pl.DataFrame) -> pl.DataFrame:
    some = units.head(_COMPARED_UNITS)
    return some.select("unit", characters=pl.col("text").str.len_chars()).unique("unit")


def _some_scenes(lines: pl.DataFrame) -> pl.DataFrame:
    scenes = sorted(lines["scene"].unique().to_list(), key=stable_hash)[:_OTHER_SCENES]
    return lines.filter(pl.col("scene").is_in(scenes)).head(_OTHER_LINES)


def _hash(*columns: str) -> pl.Expr:
    return pl.struct(columns).map_elements(
        lambda row: stable_hash(*map(str, row.values())), return_dtype=pl.String
    )
