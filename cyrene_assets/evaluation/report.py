"""The scoreboard as tables, as Markdown, as a picture, and as one page to read."""

import base64
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import polars as pl

from cyrene_assets.corpus.stats import escape_markdown
from cyrene_assets.evaluation import pareto, plots, samples
from cyrene_assets.evaluation.answers import NO_PROFILE, REAL_LINES
from cyrene_assets.evaluation.board import Evaluated, labels, models
from cyrene_assets.evaluation.catalog import BY_NAME, SCORES
from cyrene_assets.evaluation.findings import findings
from cyrene_assets.evaluation.metrics import GAP_RED_FLAG
from cyrene_assets.evaluation.scores import MEAN, MODEL
from cyrene_assets.plain import plain

# What the table of all models shows; the tables by language show every score.
OVERVIEW = (
    "loss", "gap", "cloze", "regurgitation", "regurgitation_excess", "extraction", "style",
    "generated", "rep4", "loop_rate", "echo", "distinct_2", "self_bleu", "language", "assistant",
    "think_leaks", "length_ratio", "limit_rate", "empty", "formal_loss",
)  # fmt: skip
_TEMPLATES = Path(__file__).parent


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
    own = scores.filter(pl.col("profile").is_in([profile, NO_PROFILE]))
    if own.is_empty():
        return own.select("score")
    return own.pivot("model", index="score", values="value", aggregate_function="first")


def findings_markdown(table: pl.DataFrame) -> str:
    """Return the seeds' questions with their answers, as a list."""
    lines = []
    for found in findings(table):
        lines.append(f"- **{escape_markdown(found.question)}**")
        said = [f"{answer.about}: {'; '.join(answer.parts)}" for answer in found.answers]
        lines += [
            f"  - {escape_markdown(line)}" for line in said or [f"not yet: it takes {found.needed}"]
        ]
    return "\n".join(lines)


def scoreboard_png(table: pl.DataFrame) -> bytes:
    """Draw diversity against repetition as a PNG, or say that there is nothing to draw."""
    figure = plots.tradeoff(table, plots.LIGHT)
    return plots.render(figure or plots.nothing("too little text to compare"), "png")


def scoreboard_html(table: pl.DataFrame, evaluated: Sequence[Evaluated]) -> str:
    """Render the scoreboard as one HTML page that needs nothing else and loads nothing.

    Args:
        table: of `board.board_table`.
        evaluated: the same evaluations; the texts of corpus and models are shown as text, whatever
            they hold.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clip": clip_text, "visible": plain}
    environment.globals |= {
        "score": BY_NAME.__getitem__, "cell": _cell, "tag": samples.tag, "marked": samples.marked,
    }  # fmt: skip
    names = labels(table)
    each = table.filter(pl.col("language") != MEAN)
    return environment.get_template("scoreboard.html.j2").render(
        overview=_rows(table.filter(pl.col("language") == MEAN, pl.col("served")), names),
        overview_scores=[name for name in OVERVIEW if len(table.filter(pl.col("score") == name))],
        languages={
            str(language): _rows(part, names)
            for (language,), part in each.group_by("language", maintain_order=True)
        },
        scores=SCORES,
        findings=findings(table),
        candidates=[(names[one.key], one) for one in pareto.candidates(table)],
        axes=[BY_NAME[name] for name in pareto.AXES],
        pictures=list(_pictures(table, evaluated)),
        samples=samples.sample_answers(evaluated),
        examples=list(_examples(evaluated)),
        real_lines=REAL_LINES,
        red_flag=GAP_RED_FLAG,
        models=models(table).height,
        corpora=sorted({one.corpus for one in evaluated}),
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
        " | ".join(escape_markdown(name) for name in names),
        " | ".join("---:" if name in numeric else "---" for name in names),
    ]
    for row in frame.select(names).iter_rows():
        lines.append(
            " | ".join(escape_markdown(clip_text(format_value(value), clip)) for value in row)
        )
    return "".join(f"| {line} |\n" for line in lines)


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


def _rows(part: pl.DataFrame, names: dict[tuple[str | None, ...], str]) -> list[dict[str, Any]]:
    """Return a row per model and profile: who, and a cell per score.

    What does not depend on sampling stands in the row of the served profile.
    """
    found: dict[tuple[str | None, ...], dict[str, Any]] = {}
    of_model: dict[tuple[str | None, ...], dict[str, Any]] = {}
    for row in part.iter_rows(named=True):
        key = tuple(row[name] for name in MODEL)
        real = row["model"] == REAL_LINES
        if row["profile"] == NO_PROFILE and not real:
            of_model.setdefault(key, {})[row["score"]] = row
            continue
        place = found.setdefault(
            (*key, row["profile"]),
            {
                "name": REAL_LINES if real else names[key], "corpus": row["corpus"],
                "real": real, "base": row["model"] == "base", "profile": row["profile"],
                "served": row["served"], "key": key, "cells": {},
            },
        )  # fmt: skip
        place["cells"][row["score"]] = row
    for place in found.values():
        if place["served"]:
            place["cells"] = of_model.pop(place["key"], {}) | place["cells"]
    for key, cells in of_model.items():
        found[(*key, NO_PROFILE)] = {
            "name": names[key], "corpus": key[0], "real": False, "base": key[2] == "base",
            "profile": NO_PROFILE, "served": True, "key": key, "cells": cells,
        }  # fmt: skip
    return list(found.values())


def _cell(row: dict[str, Any], score: str) -> dict[str, Any]:
    """Return what a cell shows: its text, its interval, and why there is no value."""
    found = row["cells"].get(score)
    if found is None or found["value"] is None:
        return {"text": "-", "interval": "", "note": (found or {}).get("note") or "", "flag": False}
    unit = BY_NAME[score].unit
    shown = partial(_number, unit=unit)
    whole = found["low"] is not None
    return {
        "text": shown(found["value"]),
        "interval": f"{shown(found['low'])} to {shown(found['high'])}" if whole else "",
        "note": found["note"] or f"{found['count']:,} looked at",
        "flag": score == "gap" and found["value"] > GAP_RED_FLAG,
    }


def _number(value: float, unit: str) -> str:
    if unit == "share":
        percent = round(100 * value, 1) + 0.0
        return f"{percent:.1f}%" if abs(percent) < 100 else f"{percent:.0f}%"
    return format_value(float(value)) if abs(value) < 10 else f"{value:,.1f}"


def _pictures(
    table: pl.DataFrame, evaluated: Sequence[Evaluated]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield title, caption, and the picture for a light and for a dark page."""
    drawn: tuple[tuple[str, str, Callable[[plots.Theme], Any]], ...] = (
        ("Diversity against repetition", "The seeds ask for high diversity, low hallucination and "
         "minimal repetition. Up and to the left is varied and not repetitive; the star is where "
         "the real lines stand. Large marks are the profile that is served. Mean over languages.",
         partial(plots.tradeoff, table)),
        ("Which checkpoint", "Lore and style against regurgitation: up and to the left is better. "
         "A ringed model is beaten by no other in all three. Which one of these to take is for a "
         "person to say.", partial(plots.choice, table)),
        ("Losses", "Training (thin) and validation loss of the trainings behind the models; the "
         "dotted line is the checkpoint that was kept.", partial(plots.training, evaluated)),
        ("Language by language", "Under the served profile, with 95% intervals over scenes where "
         "there are scenes enough.", partial(plots.by_language, table)),
    )  # fmt: skip
    for title, caption, draw in drawn:
        pictures = plots.in_both_themes(draw)
        if pictures is not None:
            light, dark = (base64.b64encode(picture).decode("ascii") for picture in pictures)
            yield title, caption, light, dark


def _examples(evaluated: Sequence[Evaluated]) -> Iterator[dict[str, Any]]:
    """Yield the best and worst answers: by model and language, then score and side."""
    for one in evaluated:
        grouped = one.examples.group_by("language", "model", "profile", maintain_order=True)
        for (language, model, profile), part in grouped:
            yield {
                "language": language,
                "title": f"{one.identity['size']} {model}, profile {profile}",
                "detail": f"{one.identity['recipe']} · {one.corpus}",
                "scores": {
                    str(score): {
                        side: rows.filter(pl.col("side") == side).to_dicts()
                        for side in ("best", "worst")
                    }
                    for (score,), rows in part.group_by("score", maintain_order=True)
                },
            }
