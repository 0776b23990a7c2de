"""The scoreboard as tables, Markdown and a picture for Dagster's pages."""

from collections.abc import Sequence

import polars as pl

from cyrene_assets.corpus.lint.plots import escape_markdown
from cyrene_assets.evaluation.scoreboard import figures, plot_style
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.findings import findings
from cyrene_assets.evaluation.scoreboard.results import MODEL
from cyrene_assets.evaluation.scoreboard.summary import summarize
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE
from cyrene_assets.evaluation.scoring.scores import MEAN
from cyrene_assets.utils import formatting

# Columns of the table of all models; the tables by language have every score.
OVERVIEW = (
    "loss", "gap", "cloze", "regurgitation", "regurgitation_excess", "extraction", "style",
    "generated", "rep4", "loop_rate", "echo", "distinct_2", "self_bleu", "language", "assistant",
    "think_leaks", "length_ratio", "limit_rate", "empty", "formal_loss",
)  # fmt: skip


def overview(table: pl.DataFrame) -> pl.DataFrame:
    """Return the means over languages, a row per model: served profile, a column per score."""
    means = table.filter(pl.col("language") == MEAN, pl.col("served"))
    if means.is_empty():
        return means.select(*MODEL)
    wide = means.with_columns(pl.col("value").round(4)).pivot(
        "score", index=[*MODEL], values="value", aggregate_function="first"
    )
    return wide.select(*MODEL, *[name for name in OVERVIEW if name in wide.columns])


def profile_table(scores: pl.DataFrame, profile: str) -> pl.DataFrame:
    """Return the scores of one language under a profile: a row per score, a column per model."""
    rows = scores.filter(pl.col("profile").is_in([profile, NO_PROFILE]))
    if rows.is_empty():
        return rows.select("score")
    return rows.pivot("model", index="score", values="value", aggregate_function="first")


def findings_markdown(board: Scoreboard) -> str:
    """Return the summary, and the questions with their answers, as a list."""
    short = summarize(board)
    compared = [f"{name} compared with its base. {line}" for name, line in short.versus_base]
    lines = [f"**{escape_markdown(short.take)}**", ""]
    lines += [f"- {escape_markdown(line)}." for line in (*compared, *short.warnings)]
    for finding in findings(board):
        answers = [f"{answer.about}. {answer.short}." for answer in finding.answers]
        details = answers or [f"not yet: it takes {finding.needed}"]
        lines.append(f"- **{escape_markdown(finding.question)}**")
        lines += [f"  - {escape_markdown(line)}" for line in (*details, finding.caveat) if line]
    return "\n".join(lines)


def scoreboard_png(board: Scoreboard) -> bytes:
    """Draw diversity against repetition as a PNG, or a note that there is too little text."""
    figure = figures.plot_tradeoff(board, plot_style.LIGHT)
    return plot_style.render(figure or plot_style.empty_figure("too little text to compare"), "png")


def markdown_table(
    frame: pl.DataFrame, columns: Sequence[str] | None = None, clip: int = 200
) -> str:
    """Render a frame as a Markdown table in which every cell is shown as plain text.

    Pipes, line breaks, HTML, links and emphasis in a cell are escaped. Texts are truncated at
    ``clip`` characters, numbers are right-aligned, null is a dash.
    """
    shown = frame if columns is None else frame.select(columns)
    right = {escape_markdown(name) for name, dtype in shown.schema.items() if dtype.is_numeric()}
    rows = (
        [escape_markdown(clip_text(format_value(value), clip)) for value in row]
        for row in shown.iter_rows()
    )
    return formatting.markdown_table([*map(escape_markdown, shown.columns)], rows, right) + "\n"


def format_value(value: object) -> str:
    """Format a cell: three decimal places, thousands separated, a dash for null."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def clip_text(text: str, limit: int) -> str:
    """Truncate a text at ``limit`` characters, with the number of those left out."""
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit:,} more)"
