"""The scoreboard as one page to read, that needs nothing else and loads nothing."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import polars as pl

from cyrene_assets.evaluation.metrics.metrics import GAP_RED_FLAG
from cyrene_assets.evaluation.scoreboard import figures, pareto, plot_style, samples
from cyrene_assets.evaluation.scoreboard.board import Evaluated, models
from cyrene_assets.evaluation.scoreboard.comparison import Board, Key
from cyrene_assets.evaluation.scoreboard.findings import STAND_IN, findings
from cyrene_assets.evaluation.scoreboard.markdown import OVERVIEW, clip_text
from cyrene_assets.evaluation.scoreboard.summary import SHOWN, summary
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE, REAL_LINES
from cyrene_assets.evaluation.scoring.score_registry import BY_NAME, SCORES
from cyrene_assets.evaluation.scoring.scores import MEAN, MODEL
from cyrene_assets.utils.text_safety import escape_control_chars

_TEMPLATES = Path(__file__).parent


def scoreboard_html(board: Board, table: pl.DataFrame, evaluated: Sequence[Evaluated]) -> str:
    """Render the scoreboard as one HTML page that needs nothing else and loads nothing.

    Args:
        board: of the table and the evaluations.
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
    environment.filters |= {"clip": clip_text, "visible": escape_control_chars}
    environment.globals |= {
        "score": BY_NAME.__getitem__, "cell": _cell, "tag": samples.tag, "marked": samples.marked,
        "language_name": samples.language_name, "untold": _untold,
    }  # fmt: skip
    candidates = pareto.candidates(board, board.trained())
    names, each = board.names, table.filter(pl.col("language") != MEAN)
    languages: dict[str | None, int] = dict(
        each.group_by("corpus").agg(pl.col("language").n_unique()).iter_rows()
    )
    return environment.get_template("scoreboard.html.j2").render(
        overview=_rows(board.means.filter(pl.col("served")), names, languages),
        overview_scores=[name for name in OVERVIEW if len(table.filter(pl.col("score") == name))],
        languages={
            str(language): _rows(part, names, languages)
            for (language,), part in each.group_by("language", maintain_order=True)
        },
        scores=SCORES,
        summary=summary(board),
        summary_scores=SHOWN,
        findings=findings(board),
        candidates=candidates,
        names=names,
        axes=[BY_NAME[name] for name in pareto.AXES],
        pictures=list(_pictures(board, table, candidates, evaluated)),
        samples=samples.sample_answers(evaluated),
        examples=list(_examples(evaluated)),
        stand_in=STAND_IN,
        red_flag=GAP_RED_FLAG,
        models=models(table).height,
        corpora=sorted({one.corpus for one in evaluated}),
    )


def _rows(
    part: pl.DataFrame, names: Mapping[Key, str], languages: Mapping[str | None, int]
) -> list[dict[str, Any]]:
    """Return a row per model and profile: who, and a cell per score.

    What does not depend on sampling stands in the row of the served profile. ``languages`` counts
    those of each corpus.
    """
    found: dict[Key, dict[str, Any]] = {}
    of_model: dict[Key, dict[str, Any]] = {}
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
                "languages": languages[row["corpus"]],
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
            "languages": languages[key[0]],
        }  # fmt: skip
    return list(found.values())


def _cell(row: dict[str, Any], score: str) -> dict[str, Any]:
    """Return what a cell shows: its text, its interval, of what, and why there is no value."""
    found = row["cells"].get(score)
    if found is None or found["value"] is None:
        note = (found or {}).get("note") or ""
        return {"text": "-", "interval": "", "note": note, "of": "", "flag": False}
    shown = BY_NAME[score].shown
    whole = found["low"] is not None
    # A mean over fewer languages than there are is another mean.
    fewer = found["language"] == MEAN and found["languages"] < row["languages"]
    return {
        "text": shown(found["value"]),
        "interval": f"{shown(found['low'])} to {shown(found['high'])}" if whole else "",
        "note": found["note"] or f"{found['count']:,} looked at",
        "of": f"{found['languages']} of {row['languages']} languages" if fewer else "",
        "flag": score == "gap" and found["value"] > GAP_RED_FLAG,
    }


def _untold(
    rows: Sequence[Mapping[str, Any]], scores: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """Return why values are missing, each reason with the scores it is the reason of."""
    reasons: dict[str, list[str]] = {}
    for score in scores:
        for row in rows:
            found = row["cells"].get(score)
            if found is not None and found["value"] is None and found["note"]:
                titles = reasons.setdefault(found["note"], [])
                if BY_NAME[score].title not in titles:
                    titles.append(BY_NAME[score].title)
    return list(reasons.items())


def _pictures(
    board: Board,
    table: pl.DataFrame,
    candidates: Sequence[pareto.Candidate],
    evaluated: Sequence[Evaluated],
) -> Iterator[tuple[str, str, str, str]]:
    """Yield title, caption, and the picture for a light and for a dark page."""
    drawn: tuple[tuple[str, str, Callable[[plot_style.Theme], Any]], ...] = (
        ("Diversity against repetition", "The seeds ask for high diversity, low hallucination and "
         "minimal repetition. Up and to the left is varied and not repetitive, the star is where "
         "the real lines stand, and hallucination is not in the picture. Mean over languages.",
         partial(figures.tradeoff, board)),
        ("Which checkpoint", "Lore, style and loss against regurgitation: to the left recites "
         "less. A ringed model is beaten by no other in lore, style and regurgitation at once. One "
         "that lies to the right of an earlier checkpoint at the same loss has begun to recite, "
         "and its loss does not say so.", partial(figures.choice, board, candidates)),
        ("Losses", "Training (thin) and validation loss of the trainings behind the models; the "
         "dotted line is the checkpoint that was kept.", partial(plot_style.training, evaluated)),
        ("Language by language", "Under the served profile, with 95% intervals over scenes where "
         "there are scenes enough; the line is what the real lines have.",
         partial(figures.by_language, board, table)),
    )  # fmt: skip
    for title, caption, draw in drawn:
        both = plot_style.in_both_themes(draw)
        if both is not None:
            light, dark = (base64.b64encode(picture).decode("ascii") for picture in both)
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
