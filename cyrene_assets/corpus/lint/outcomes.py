"""Tables of pages, and the outcome of a proof that nothing held out is trained on."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from cyrene_assets.corpus.lint.plots import escaped, markdown_table
from cyrene_assets.corpus.preparation.leakage import REMEDY, LeakageReport
from cyrene_assets.store.outcome import CheckOutcome, Markdown, none_of

SHOWN = 20


def table(rows: Sequence[Mapping[str, Any]], *, safe: bool = False) -> Markdown:
    """Return rows as a table that the UI shows; their texts as they are, or as ``safe`` Markdown.

    A list in a cell becomes its items.
    """
    shown = [
        {name: ", ".join(cell) if isinstance(cell, list) else cell for name, cell in row.items()}
        for row in rows
    ]
    return Markdown(markdown_table(shown if safe else escaped(shown)))


def no_leak(proof: LeakageReport, shared_lines: pl.DataFrame) -> CheckOutcome:
    """Return the outcome of a proof that nothing held out is trained on.

    It names the line and both scenes of each leak, and what recurs and was let through.
    """
    found = proof.messages()
    shown = {
        "leaks": table(proof.leaks.head(SHOWN).to_dicts()),
        "let through": proof.describe_recurring(),
        "stock phrases, let through": table(_first(shared_lines.filter("stock"))),
        "lines that keep scenes together": table(
            _first(shared_lines.filter(~shared_lines["stock"]))
        ),
    }
    if found:
        where = "on both sides of the split"
        what = f"text or scene {where}", f"texts or scenes {where}"
        return none_of("no_leak", found, *what, shown, remedy=REMEDY)
    return CheckOutcome("no_leak", True, f"nothing leaks; {proof.describe_recurring()}", shown)


def _first(lines: pl.DataFrame) -> list[dict[str, Any]]:
    return lines.drop("stock").head(SHOWN).to_dicts()
