"""Gendered text, ``{F#she}{M#he}``: which of its variants cleaning keeps."""

from typing import TYPE_CHECKING

import polars as pl

from cyrene_assets.corpus.sources.types import Problem, SourceError

if TYPE_CHECKING:
    from cyrene_assets.corpus.config import Gendered

# The preset ``hoyo`` keeps the first.
_FEMALE, _MALE = "{F#", "{M#"
_COLUMNS = ("speaker", "title", "text")
# What the ids of the male variant end with, where both variants are kept.
TWIN = "~male"


def with_variants(rows: pl.DataFrame, gendered: "Gendered") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return raw rows as they are written, and as cleaning is to see them.

    The marks of the two variants change places in rows that are to keep the male one. With ``both``
    each scene and document that has gendered text is there again, as a twin, whose ids end with
    ``TWIN``; of what is spoken line by line outside of scenes the twin has the gendered lines only,
    with what stands before them.

    Raises:
        SourceError: with ``both``, an id of the corpus is that of a twin.
    """
    if gendered == "female":
        return rows, rows
    male = pl.repeat(True, len(rows), eager=True)
    if gendered == "both":
        twins = _twins(rows)
        male = pl.concat([male & False, pl.repeat(True, len(twins), eager=True)])
        rows = pl.concat([rows, twins])
    swapped = (
        pl.col(name).str.replace_many([_FEMALE, _MALE], [_MALE, _FEMALE]) for name in _COLUMNS
    )
    return rows, rows.with_columns(
        pl.when(male).then(new).otherwise(name) for name, new in zip(_COLUMNS, swapped, strict=True)
    )


def twin_pairs(scenes: pl.DataFrame) -> list[tuple[int, int]]:
    """Return the pairs of a twin and its original: numbers of scenes (columns scene, number)."""
    originals = scenes.filter(pl.col("scene").str.ends_with(TWIN)).with_columns(
        pl.col("scene").str.strip_suffix(TWIN)
    )
    pairs = originals.join(scenes, on="scene", suffix="_original", maintain_order="left")
    return pairs.select("number", "number_original").rows()


def is_twin_of(scene: str, other: str) -> pl.Expr:
    """Return whether of two columns of ids one has the twin of the other."""
    first, second = pl.col(scene), pl.col(other)
    return (first == second + TWIN) | (second == first + TWIN)


def _twins(rows: pl.DataFrame) -> pl.DataFrame:
    gendered = pl.any_horizontal(
        pl.col(name).fill_null("").str.contains_any([_FEMALE, _MALE]) for name in _COLUMNS
    )
    in_scene = rows.with_columns(gendered=gendered).filter(pl.col("gendered").any().over("scene"))
    taken = in_scene.select("scene", "unit").unique()
    for name in ("scene", "unit"):
        is_taken = pl.col(name).is_in((taken[name] + TWIN).implode())
        for file, line, value in rows.filter(is_taken).select("file", "line", name).head(1).rows():
            message = f"`{name}` {value!r} is what `gendered: both` calls the twin of another"
            raise SourceError([Problem(file, line, message, "give it another id")])
    by_line = (pl.col("kind") != "dialog") & pl.col("speaker").is_not_null()
    kept = pl.col("gendered") | pl.col("gendered").shift(-1).over("scene").fill_null(False)
    return (
        in_scene.filter(~by_line | kept)
        .with_columns(pl.col("scene") + TWIN, pl.col("unit") + TWIN)
        .drop("gendered")
    )
