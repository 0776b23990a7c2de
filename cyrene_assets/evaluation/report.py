"""All models side by side: one table, as a frame, as Markdown and as a page to read."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jinja2
import polars as pl

from cyrene_assets.evaluation import scores
from cyrene_assets.evaluation.metrics import GAP_RED_FLAG
from cyrene_assets.evaluation.plots import scoreboard_png
from cyrene_assets.evaluation.samples import Sample, sample_answers
from cyrene_assets.evaluation.scores import MEAN, MODEL
from cyrene_assets.plain import plain

__all__ = [
    "markdown_table",
    "sample_answers",
    "scoreboard_html",
    "scoreboard_png",
    "scoreboard_table",
]

MODEL_SCHEMA = pl.Schema(
    {
        "size": pl.String,
        "recipe": pl.String,
        "digest": pl.String,
        "loss": pl.Float64,
        "gap": pl.Float64,
        "perplexity": pl.Float64,
    }
)
LOSSES = ("loss", "gap", "perplexity")
MEASURES = tuple(name for name in scores.SCHEMA if name not in ("model", "profile", "language"))
COUNTS = ("answers", "empty", "too_short")
DIGEST_LENGTH = 8
OVERVIEW = (
    "size", "model", "recipe", "digest", "profile", "languages", "loss", "perplexity",
    "length_ratio", "rep4", "loop_rate", "limit_rate", "distinct_2", "think_leaks", "empty",
)  # fmt: skip
PER_LANGUAGE = (
    "size", "model", "recipe", "profile", "answers", "empty", "loss", "perplexity",
    "mean_length", "length_ratio", "rep4", "loop_rate", "limit_rate", "distinct_1", "distinct_2",
    "think_leaks",
)  # fmt: skip

_TEMPLATES = Path(__file__).parent
_RANKS = {name: rank for rank, name in enumerate((scores.REAL_LINES, *scores.MODELS))}
_MARKDOWN = re.compile(r"([\\`*_\[\]!|~$@])")


def scoreboard_table(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """Put every model that was evaluated side by side, and the mean over its languages first.

    Args:
        rows: rows of `score_language`, each with what it was measured on, ``size``, ``recipe``
            (its name) and ``digest`` (of the model), and with ``loss`` (nats per token), ``gap``
            and ``perplexity`` of its model and language as `language_losses` gives them. A row
            without losses, or with other keys, will do.

    Returns:
        The rows, and rows with language "(mean)": rates and losses averaged over the languages that
        have them, ``perplexity`` that of the mean loss, counts added up, ``languages`` of them, no
        ``mean_length`` (languages differ in their unit; ``length_ratio`` has a mean). Digests are
        short. The real lines belong to no model, and so have no loss, and the base model to no
        recipe, so they appear once, however often they were measured. Sorted by size, recipe and
        model, the real lines first.
    """
    schema = pl.Schema({**MODEL_SCHEMA, **scores.SCHEMA})
    real = pl.col("model") == scores.REAL_LINES
    untrained = real | (pl.col("model") == "base")
    table = (
        pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
        .with_columns(
            pl.when(~real).then(pl.col("size")),
            pl.when(~real).then(pl.col("digest").str.head(DIGEST_LENGTH)),
            pl.when(~untrained).then(pl.col("recipe")),
            *[pl.when(~real).then(pl.col(name)) for name in LOSSES],
        )
        .sort("answers", descending=True, maintain_order=True)
        .unique([*MODEL, "profile", "language"], keep="first", maintain_order=True)
        .with_columns(languages=pl.lit(1, pl.Int64))
    )
    numbers = [name for name, kind in table.schema.items() if kind == pl.Float64]
    means = (
        table.group_by(*MODEL, "profile", maintain_order=True)
        .agg(
            pl.lit(MEAN).alias("language"),
            *[pl.col(name).sum() for name in (*COUNTS, "languages")],
            *[pl.col(name).mean() for name in numbers if name != "mean_length"],
        )
        .with_columns(perplexity=pl.col("loss").exp())
    )
    return (
        pl.concat([means, table], how="diagonal")
        .with_columns(
            _each=pl.col("language") != MEAN,
            _model=pl.col("model").replace_strict(_RANKS, default=len(_RANKS)),
            _size=pl.col("size").str.extract(r"(\d+\.?\d*)").cast(pl.Float64).fill_null(0),
        )
        .sort(
            "_each",
            "language",
            pl.col("model") != scores.REAL_LINES,
            "_size",
            "size",
            "recipe",
            "_model",
            "digest",
            "profile",
            maintain_order=True,
        )
        .select(*MODEL, "profile", "language", "languages", *LOSSES, *MEASURES)
    )


def markdown_table(
    frame: pl.DataFrame, columns: Sequence[str] | None = None, clip: int = 200
) -> str:
    """Render a frame as a Markdown table in which no cell can be anything but text.

    Pipes, line breaks, HTML, links and emphasis in a cell appear as written. Texts are cut at
    ``clip`` characters, numbers are right-aligned, null is a dash.
    """
    names = list(columns) if columns is not None else frame.columns
    numeric = {name for name in names if frame.schema[name].is_numeric()}
    lines = [
        " | ".join(_escape(name) for name in names),
        " | ".join("---:" if name in numeric else "---" for name in names),
    ]
    for row in frame.select(names).iter_rows():
        lines.append(" | ".join(_escape(clip_text(format_value(value), clip)) for value in row))
    return "".join(f"| {line} |\n" for line in lines)


def scoreboard_html(
    frame: pl.DataFrame,
    pictures: Mapping[str, bytes],
    samples: Sequence[Sample],
) -> str:
    """Render the scoreboard as one HTML page that needs nothing else and loads nothing.

    Args:
        frame: of `scoreboard_table`.
        pictures: PNG images by caption, in order.
        samples: of `sample_answers`; their texts are shown as text, whatever they hold.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"value": format_value, "clip": clip_text}
    languages = frame.filter(pl.col("language") != MEAN)
    return environment.get_template("scoreboard.html.j2").render(
        overview=frame.filter(pl.col("language") == MEAN).to_dicts(),
        overview_columns=OVERVIEW,
        languages={
            str(language): part.to_dicts()
            for (language,), part in languages.group_by("language", maintain_order=True)
        },
        language_columns=PER_LANGUAGE,
        pictures={
            caption: base64.b64encode(png).decode("ascii") for caption, png in pictures.items()
        },
        samples=samples,
        real_lines=scores.REAL_LINES,
        identity=MODEL,
        red_flag=GAP_RED_FLAG,
        numeric={name for name, kind in frame.schema.items() if kind.is_numeric()},
        models=languages.filter(pl.col("model") != scores.REAL_LINES).select(MODEL).n_unique(),
    )


def format_value(value: object) -> str:
    """Format a cell: three significant places for fractions, thousands apart, a dash for null."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def clip_text(text: str, limit: int) -> str:
    """Cut a text at ``limit`` characters and say how many more there are."""
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit:,} more)"


def _escape(text: str) -> str:
    text = (
        plain(" ".join(text.split()))
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )
    text = _MARKDOWN.sub(r"\\\1", text)
    # Bare addresses would become links.
    return text.replace("://", r":\//").replace("www.", r"www\.")
