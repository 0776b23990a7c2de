"""Texts whose likelihood is measured under every model."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.inputs.prompts import stable_hash
from cyrene_assets.evaluation.inputs.word_lists import word_list
from cyrene_assets.utils.files import write_jsonl

DIALOG = "dialog"
VALIDATION, TRAINING, FORMAL = "validation", "train", "formal"
SCHEMA = pl.Schema(
    dict.fromkeys(("text_id", "language", "split", "document", "scene", "text"), pl.String())
)
_FORMAL_TEXTS = Path(__file__).parent / "formal_texts.yaml"


def select_texts(documents: pl.DataFrame, per_language: int, characters: int) -> pl.DataFrame:
    """Choose held-out documents of each language, and as many training documents to compare with.

    The documents of a language are its dialog or, if none of it is held out, the kinds of document
    that are; the training documents are of the same kinds. They are taken from the scenes in turn,
    in the order of a hash, as for prompts. Documents without text are skipped.

    Args:
        documents: columns ``document``, ``scene``, ``kind``, ``split``, ``text`` and ``language``.
            Other columns are ignored.
        per_language: an upper limit for each split.
        characters: longer texts are truncated here, at the end of a line unless that would remove
            more than half.

    Returns:
        `SCHEMA`, ``text_id`` as ``<language>/<split>/<document>``, sorted by language, the held-out
        documents first, and within them in the order of choice.
    """
    written = documents.filter(pl.col("text").str.strip_chars() != "")
    held_out = pl.col("split") == VALIDATION
    kinds = (
        written.filter(held_out)
        .select("language", "kind")
        .unique()
        .filter((pl.col("kind") == DIALOG) | ~(pl.col("kind") == DIALOG).any().over("language"))
    )
    chosen = (
        written.join(kinds, on=["language", "kind"], how="semi")
        .with_columns(scene_order=_hash_of("scene"), document_order=_hash_of("scene", "document"))
        .sort("language", "split", "scene", "document_order", "document")
        .with_columns(round=pl.int_range(pl.len()).over("language", "split", "scene"))
        .sort(
            "language",
            "split",
            "round",
            "scene_order",
            "scene",
            descending=[False, True, False, False, False],
        )
        .with_columns(place=pl.int_range(pl.len()).over("language", "split"))
    )
    limit = pl.min_horizontal(held_out.sum().over("language"), pl.lit(per_language))
    return (
        chosen.filter(pl.col("place") < limit)
        .with_columns(
            pl.format("{}/{}/{}", "language", "split", "document").alias("text_id"),
            pl.col("text").map_elements(lambda t: _truncate(t, characters), return_dtype=pl.String),
        )
        .select(SCHEMA.names())
    )


def formal_texts(languages: Mapping[str, LanguageTraits]) -> pl.DataFrame:
    """Return the formal text of each language that has one (`SCHEMA`)."""
    texts = word_list(_FORMAL_TEXTS)
    rows = [
        (f"{language}/{FORMAL}", language, FORMAL, FORMAL, FORMAL, texts[traits.code])
        for language, traits in languages.items()
        if traits.code in texts
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def write_texts(frame: pl.DataFrame, path: Path) -> None:
    """Write the texts of `select_texts` as JSON Lines, a text per line."""
    write_jsonl(path, frame.iter_rows(named=True))


def _hash_of(*columns: str) -> pl.Expr:
    return pl.struct(columns).map_elements(
        lambda row: stable_hash(*row.values()), return_dtype=pl.String
    )


def _truncate(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    line_end = text.rfind("\n", 0, characters + 1)
    return text[: line_end if 2 * line_end >= characters else characters]
