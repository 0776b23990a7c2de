"""What an asset's page shows of a corpus: tables, previews and pictures, from the tables alone."""

import html
import io
import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from cyrene_assets.corpus.align import FLAGS, ONE_LANGUAGE_KINDS

Table = list[dict[str, Any]]

PREVIEW_LINES = 12
PREVIEW_CHARACTERS = 200
WORST_UNITS = 20


def escape_markdown(text: str) -> str:
    """Return text that a Markdown page shows as it is: no markup, HTML or link, on one line."""
    line = " ".join(text.split())
    line = re.sub(r"([\\`*_{}\[\]()#|~!$^=])", r"\\\1", html.escape(line))
    # html.escape has written references such as &#x27;, whose # must stay.
    line = re.sub(r"&\\#", "&#", line)
    line = line.replace("://", "&#58;//").replace("@", "&#64;")
    return re.sub(r"(?i)\b(www)\.", r"\1&#46;", line)


def kind_counts(units: pl.DataFrame) -> Table:
    """Return language, kind, units, scenes and characters, a row per language and kind."""
    return (
        units.group_by("language", "kind")
        .agg(
            pl.len().alias("units"),
            pl.col("scene").n_unique().alias("scenes"),
            pl.col("text").str.len_chars().sum().alias("characters"),
        )
        .sort("language", "kind")
        .to_dicts()
    )


def split_counts(units: pl.DataFrame) -> Table:
    """Return kind, split and scenes (the same in all languages), a row per kind and split."""
    return (
        units.group_by("kind", "split")
        .agg(pl.col("scene").n_unique().alias("scenes"))
        .sort("kind", "split")
        .to_dicts()
    )


def coverage_table(units: pl.DataFrame, coverage: pl.DataFrame) -> Table:
    """Return a row per language: units, those missing, the share there, and each flag's units.

    ``coverage`` is the share of the corpus's units (vendor documents aside) that it has.
    """
    missing = dict(coverage.explode("languages_missing").group_by("languages_missing").len().rows())
    present = units.filter((pl.col("text") != "") & ~pl.col("kind").is_in(ONE_LANGUAGE_KINDS))
    total = present["unit"].n_unique()
    rows = []
    for (language,), own in units.group_by("language", maintain_order=True):
        lacking = int(missing.get(language, 0))
        flags = {flag: int(own["flags"].list.contains(flag).sum()) for flag in FLAGS}
        share = round(1 - lacking / total, 4) if total else 1.0
        rows.append(
            {"language": language, "units": len(own), "missing": lacking, "coverage": share} | flags
        )
    return rows


def worst_units(units: pl.DataFrame, number: int = WORST_UNITS) -> Table:
    """Return the units with the most flags: language, unit, place, flags, text (Markdown-safe)."""
    worst = (
        units.filter(pl.col("flags").list.len() > 0)
        .sort(pl.col("flags").list.len(), descending=True, maintain_order=True)
        .head(number)
    )
    return [
        {
            "language": row["language"],
            "unit": escape_markdown(row["unit"]),
            "place": escape_markdown(f"{row['file']}:{row['line']}"),
            "flags": ", ".join(row["flags"]),
            "text": escape_markdown(row["raw_text"][:PREVIEW_CHARACTERS]),
        }
        for row in worst.rows(named=True)
    ]


def markdown_table(rows: Table) -> str:
    """Return rows as a Markdown table; text cells are taken as Markdown that is safe already."""
    if not rows:
        return "(none)"
    lines = [
        list(rows[0]),
        ["---"] * len(rows[0]),
        *([str(v) for v in row.values()] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def scene_preview(rows: pl.DataFrame, scene: str | None = None, lines: int = PREVIEW_LINES) -> str:
    """Return the first lines of a scene (the first dialog scene unless named) as Markdown.

    ``rows`` is one language's ``raw_dialog`` or ``units`` table.
    """
    dialog = rows.filter(pl.col("kind") == "dialog")
    shown = dialog if dialog.height else rows
    if shown.is_empty():
        return "(no such scene)"
    scene = scene or shown["scene"][0]
    own = shown.filter(pl.col("scene") == scene)
    if own.is_empty():
        return "(no such scene)"
    said = [
        f"- {f'**{escape_markdown(speaker)}**: ' if speaker else ''}"
        f"{escape_markdown(text[:PREVIEW_CHARACTERS])}"
        for speaker, text in own.head(lines).select("speaker", "text").rows()
    ]
    more = [f"- … {own.height - lines} more"] if own.height > lines else []
    return "\n".join([f"**{escape_markdown(scene)}**", "", *said, *more])


def document_preview(text: str) -> str:
    """Return the beginning of a rendered document as Markdown, line by line."""
    lines = text.split("\n")
    shown = [f"- {escape_markdown(line[:PREVIEW_CHARACTERS])}" for line in lines[:PREVIEW_LINES]]
    more = [f"- … {len(lines) - PREVIEW_LINES} more"] if len(lines) > PREVIEW_LINES else []
    return "\n".join([*shown, *more])


def length_histogram_png(lengths: Sequence[int], limit: int | None = None) -> bytes:
    """Return a histogram of documents' lengths in tokens as a PNG, ``limit`` drawn as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.hist(lengths, bins=40, color="#4c72b0")
    if limit is not None:
        axes.axvline(limit, color="#c44e52", linestyle="--", label=f"limit: {limit:,}")
        axes.legend(frameon=False)
    axes.set(xlabel="tokens", ylabel="documents", title=f"{len(lengths):,} documents")
    return _png(figure)


def pack_fill_png(lengths: Sequence[int], packs: Sequence[int], capacity: int) -> bytes:
    """Return how full the packs are, in reading order, as a PNG."""
    from matplotlib.figure import Figure

    filled = (
        pl.DataFrame({"pack": list(packs), "tokens": list(lengths)})
        .group_by("pack")
        .agg(pl.col("tokens").sum() / capacity)
        .sort("pack")
    )
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(filled["pack"], filled["tokens"], step="mid", color="#55a868")
    axes.set(xlabel="pack", ylabel="fill", ylim=(0, 1.02), title=f"{len(filled):,} packs")
    return _png(figure)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
