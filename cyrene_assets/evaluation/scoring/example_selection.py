"""The five best and the five worst answers by each score, for a reader."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from cyrene_assets.evaluation.metrics import style
from cyrene_assets.evaluation.metrics.reference import Reference
from cyrene_assets.evaluation.scoring.per_answer import REAL_LINES, Answers
from cyrene_assets.evaluation.scoring.score_registry import SCORES, Score
from cyrene_assets.evaluation.scoring.scores import first_seed, numbered, real_against_generated

EXAMPLES_PER_SIDE = 5
# Longer texts are cut for the page.
MAX_CHARACTERS = 2000

SCHEMA = pl.Schema(
    [
        ("language", pl.String), ("model", pl.String), ("profile", pl.String), ("score", pl.String),
        ("side", pl.String), ("value", pl.Float64), ("prompt", pl.String), ("user", pl.String),
        ("text", pl.String), ("characters", pl.Int64), ("reference", pl.String),
        ("spans", pl.List(pl.List(pl.Int64))),
    ]
)  # fmt: skip


def select_examples(
    answers: Answers, prompts: pl.DataFrame, model: str, profile: str, reference: Reference
) -> pl.DataFrame:
    """Choose the best and the worst answers of one model and profile by each score.

    Which way is better is the score's ``better``; near the real lines means near their mean. Of
    fewer than twice `EXAMPLES_PER_SIDE` answers half are best and half worst, the one in the middle
    neither. If all values are equal, no answer is chosen.

    Args:
        answers: of `per_answer.measure_answers`.
        prompts: the prompts (`prompts.SCHEMA`).
        model: whose answers.
        profile: their sampling profile; of several seeds the first is looked at.
        reference: of their language.

    Returns:
        `SCHEMA`: by score, the best first, and the most extreme first on each side.
    """
    table = numbered(answers.table)
    real = table.filter(pl.col("model") == REAL_LINES)
    candidates = first_seed(
        table.filter((pl.col("model") == model) & (pl.col("profile") == profile))
    )
    if candidates.is_empty():
        return SCHEMA.to_frame()
    candidates = _with_generated(candidates, real, answers, reference)
    by_prompt = {
        prompt: (messages[-1]["content"], real_line)
        for prompt, messages, real_line in prompts.select(
            "prompt", "messages", "reference"
        ).iter_rows()
    }
    rows = []
    for score in SCORES.values():
        column = score.example_column
        if column is None or column not in candidates.columns:
            continue
        for side, row in _extremes(candidates, real, score, column):
            user, real_line = by_prompt.get(row["prompt"], ("", ""))
            rows.append(
                {
                    "language": reference.language,
                    "model": model,
                    "profile": profile,
                    "score": score.name,
                    "side": side,
                    "value": row[column],
                    "prompt": row["prompt"],
                    "user": user[-MAX_CHARACTERS:],
                    "text": row["text"][:MAX_CHARACTERS],
                    "characters": len(row["text"]),
                    "reference": real_line[:MAX_CHARACTERS],
                    "spans": [span for span in row["spans"] if span[0] < MAX_CHARACTERS],
                }
            )
    return pl.DataFrame(rows, schema=SCHEMA)


def _extremes(
    answers: pl.DataFrame, real: pl.DataFrame, score: Score, column: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    with_value = answers.filter(pl.col(column).is_not_nan())
    if with_value.is_empty():
        return
    count = min(EXAMPLES_PER_SIDE, len(with_value) // 2)
    # Of the classifier's log-odds (``half``), high ones are answers recognized as generated.
    badness = pl.col(column)
    if score.better == "high":
        badness = -badness
    elif score.better == "real" and column != "regurgitation":
        mean = real[column].fill_nan(None).mean() if column in real.columns else None
        badness = (badness - (mean if isinstance(mean, float) else 0.0)).abs()
    ordered = with_value.with_columns(_bad=badness).sort("_bad", "row")
    # An answer as good as the best is not among the worst, nor the other way round.
    lowest, highest = ordered["_bad"][0], ordered["_bad"][-1]
    best = ordered.head(count).filter(pl.col("_bad") < highest)
    worst = ordered.reverse().head(count).filter(pl.col("_bad") > lowest)
    for side, rows in (("best", best), ("worst", worst)):
        for row in rows.iter_rows(named=True):
            yield side, row


def _with_generated(
    candidates: pl.DataFrame, real: pl.DataFrame, answers: Answers, reference: Reference
) -> pl.DataFrame:
    """Add ``generated``: the log-odds that the classifier takes an answer for a generated one."""
    if min(len(candidates), len(real)) < style.MIN_LINES:
        return candidates
    _, odds = real_against_generated(real, candidates, answers, reference.traits)
    if not np.isfinite(odds).all():
        return candidates
    return candidates.with_columns(generated=pl.Series(odds))
