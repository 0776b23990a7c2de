"""Gendered text, ``{F#she}{M#he}``: which of its variants cleaning keeps."""

import hashlib
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from cyrene_assets.corpus.config import Gendered

# The preset ``hoyo`` keeps the first.
_FEMALE, _MALE = "{F#", "{M#"
_COLUMNS = ("speaker", "title", "text")


def with_variant(rows: pl.DataFrame, gendered: "Gendered") -> pl.DataFrame:
    """Return raw rows of which cleaning keeps the variant that ``gendered`` says.

    The marks of the two change places in the rows that are to keep the male one: all of them, or
    for ``both`` those of about every other scene, the same scenes in all languages.
    """
    if gendered == "female":
        return rows
    male = pl.lit(True) if gendered == "male" else pl.col("scene").is_in(_keep_male(rows["scene"]))
    swapped = (
        pl.col(name).str.replace_many([_FEMALE, _MALE], [_MALE, _FEMALE]) for name in _COLUMNS
    )
    return rows.with_columns(
        pl.when(male).then(new).otherwise(name) for name, new in zip(_COLUMNS, swapped, strict=True)
    )


def _keep_male(scenes: pl.Series) -> list[str]:
    """Return the scenes that keep the male variant: a choice by id alone, and half of them."""
    names: list[str] = scenes.unique().to_list()
    return [name for name in names if hashlib.sha256(name.encode()).digest()[0] % 2]
