"""What an asset's page shows of a corpus: tables, previews and pictures, from the tables alone."""

import html
import io
import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from cyrene_assets.utils import formatting
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.text_safety import escape_control_chars

Table = list[dict[str, Any]]

PREVIEW_LINES = 12
PREVIEW_CHARACTERS = 200
# Bars and steps that a picture shows.
GROUPS = 400


def escape_markdown(text: str) -> str:
    """Return text that a Markdown page shows as it is: no markup, HTML or link, on one line."""
    line = escape_control_chars(" ".join(text.split()))
    line = re.sub(r"([\\`*_{}\[\]()#|~!$^=])", r"\\\1", html.escape(line, quote=False))
    line = line.replace("://", "&#58;//").replace("@", "&#64;")
    return re.sub(r"(?i)\b(www)\.", r"\1&#46;", line)


def escaped(rows: Table) -> Table:
    """Return rows whose texts a Markdown page shows as they are."""
    return [
        {
            key: escape_markdown(value) if isinstance(value, str) else value
            for key, value in row.items()
        }
        for row in rows
    ]


def markdown_table(rows: Table) -> str:
    """Return rows as a Markdown table; text cells are taken as Markdown that is safe already."""
    if not rows:
        return "(none)"
    return formatting.markdown_table(
        list(rows[0]), ([str(v) for v in row.values()] for row in rows)
    )


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


def length_histogram_png(
    lengths: Sequence[int],
    limit: int | None = None,
    *,
    what: str = "documents",
    unit: str = "tokens",
) -> bytes:
    """Return a histogram of documents' lengths as a PNG, ``limit`` drawn as a line.

    The longest hundredth is drawn as one bar at the end, so that the others can be told apart.
    """
    import numpy as np
    from matplotlib.figure import Figure

    shown = np.asarray(lengths)
    end = float(np.quantile(shown, 0.99)) if len(shown) else 1.0
    # Margins of a fixed size and one outline take half of what a layout and 40 bars do: there is a
    # histogram for each language.
    figure = Figure(figsize=(7, 3))
    figure.subplots_adjust(left=0.11, right=0.98, bottom=0.17, top=0.9)
    axes = figure.subplots()
    axes.hist(np.minimum(shown, end), bins=40, color="#4c72b0", histtype="stepfilled")
    if limit is not None and limit <= 2 * end:
        axes.axvline(limit, color="#c44e52", linestyle="--", label=f"limit: {limit:,}")
        axes.legend(frameon=False)
    axes.set(xlabel=unit, ylabel=what, title=f"{len(shown):,} {what}")
    return _png(figure)


def coverage_png(languages: Table) -> bytes:
    """Return what share of the corpus's units each language lacks, as a PNG.

    ``languages`` is that of an ``Overview``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.8 + 0.25 * len(languages)), layout="constrained")
    axes = figure.subplots()
    missing = [100 * (1 - row["coverage"]) for row in languages]
    bars = axes.barh([row["language"] for row in languages], missing, color="#4c72b0")
    axes.bar_label(bars, fmt="%.1f%%", padding=3)
    axes.axvline(5, color="#c44e52", linestyle="--")
    axes.invert_yaxis()
    axes.set(xlabel="% of the corpus's units missing", xlim=(0, max(6.0, 1.15 * max(missing))))
    return _png(figure)


def pack_fill_png(
    lengths: Sequence[int] | pl.Series, packs: Sequence[int] | pl.Series, capacity: int
) -> bytes:
    """Return how full the packs are, in reading order, as a PNG.

    Many packs are drawn in groups: their mean, and the least full one of each.
    """
    from matplotlib.figure import Figure

    filled = (
        pl.DataFrame({"pack": packs, "tokens": lengths})
        .group_by("pack")
        .agg(pl.col("tokens").sum() / capacity)
        .sort("pack")
    )
    together = -(-max(len(filled), 1) // GROUPS)
    groups = filled.group_by(pl.col("pack") // together * together, maintain_order=True).agg(
        pl.col("tokens").mean().alias("mean"), pl.col("tokens").min().alias("least")
    )
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(groups["pack"], groups["mean"], step="mid", color="#55a868", label="mean")
    if together > 1:
        axes.step(groups["pack"], groups["least"], where="mid", color="#2f5c3a", label="least full")
        axes.legend(frameon=False, loc="lower left")
    axes.set(xlabel="pack", ylabel="fill", ylim=(0, 1.02), title=counted(len(filled), "pack"))
    return _png(figure)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
