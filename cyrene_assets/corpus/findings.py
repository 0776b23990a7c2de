"""What is odd about single units, said for the person who has to mend it."""

import re
from collections.abc import Callable
from typing import Any

import polars as pl

from cyrene_assets.corpus.names import CONTROL_MARKUP
from cyrene_assets.corpus.sources import Problem

# Of each kind of finding, in each language.
SHOWN = 20
BEGINNING = 40


def findings(units: pl.DataFrame, copies: pl.DataFrame) -> list[Problem]:
    """Return what is odd about one language's units: the first of each flag, and how many more.

    ``copies`` says what the untranslated copies are copies of: see ``Parallel``.
    """
    if units.is_empty():
        return []
    language = units["language"].first()
    originals = dict(copies.filter(language=language).select("unit", "original").rows())
    flagged = units.filter(pl.col("flags").list.len() > 0)
    found, more = [], []
    for flag, describe in DESCRIPTIONS.items():
        rows = flagged.filter(pl.col("flags").list.contains(flag))
        for row in rows.head(SHOWN).rows(named=True):
            message, remedy = describe(row, originals.get(row["unit"], ""))
            found.append(Problem(row["file"], row["line"], message, remedy))
        if len(rows) > SHOWN:
            message = f"{len(rows) - SHOWN} more units of {language!s} are flagged {flag}"
            more.append(Problem("corpus.yaml", 0, message, "look at the first ones"))
    return [*sorted(found, key=lambda problem: (problem.file, problem.line)), *more]


def _control_tokens(row: dict[str, Any], _: str) -> tuple[str, str]:
    found = ", ".join(dict.fromkeys(re.findall(CONTROL_MARKUP, row["raw_text"] or "")))
    return (
        f"control tokens in {row['unit']}: {found or 'assembled by cleaning'}",
        "remove them from the text, as cleaning does",
    )


def _begins(row: dict[str, Any]) -> str:
    text = row["text"]
    return repr(text if len(text) <= BEGINNING else f"{text[:BEGINNING]}…")


DESCRIPTIONS: dict[str, Callable[[dict[str, Any], str], tuple[str, str]]] = {
    "untranslated_copy": lambda row, original: (
        f"untranslated copy: {row['unit']} reads as in {original}",
        f"translate it into {row['language']}",
    ),
    "control_tokens": _control_tokens,
    "empty": lambda row, _: (f"no text is left in {row['unit']}", "write it, or remove it"),
    "wrong_script": lambda row, _: (
        f"another script than {row['language']}'s in {row['unit']}: {_begins(row)}",
        f"translate it into {row['language']}, or leave it if that is meant",
    ),
    "wrong_language": lambda row, _: (
        f"reads like another language than {row['language']}, {row['unit']}: {_begins(row)}",
        f"translate it into {row['language']}, or leave it if that is meant",
    ),
    "length_ratio": lambda row, _: (
        f"far longer or shorter than its translations, {row['unit']}: {_begins(row)}",
        "see whether something is missing, or too much",
    ),
    "placeholder_mismatch": lambda row, _: (
        f"other placeholders than its translations, {row['unit']}: "
        f"{', '.join(re.findall(r'{[^{}]*}', row['raw_text'] or row['text'])) or 'none'}",
        "see which of them is right",
    ),
}
