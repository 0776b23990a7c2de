"""The five best and the five worst answers by each score, for a person to read."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics import style
from cyrene_assets.evaluation.metrics.reference import Reference
from cyrene_assets.evaluation.scoring.per_answer import REAL_LINES, Answers
from cyrene_assets.evaluation.scoring.score_registry import SCORES, Score
from cyrene_assets.evaluation.scoring.scores import first_seed

COUNT = 5
# Longer texts are cut for the page.
LONGEST = 2000

SCHEMA = pl.Schema(
    [
        ("language", pl.String),
        ("model", pl.String),
        ("profile", pl.String),
        ("score", pl.String),
        ("side", pl.String),
        ("value", pl.Float64),
        ("prompt", pl.String),
        ("user", pl.String),
        ("text", pl.String),
        ("characters", pl.Int64),
        ("reference", pl.String),
        ("spans", pl.List(pl.List(pl.Int64))),
    ]
)


def choose(
    answers: Answers, prompts: pl.DataFrame, model: str, profile: str, reference: Reference
) -> pl.DataFrame:
    """Choose the best and the worst answers of one model and profile by each score.

    Best is what the score's ``better`` says; near the real lines means near their mean. Of fewer
    than twice `COUNT` answers half are best and half worst, the one in the middle neither. Where
    all are alike, none is.

    Args:
        answers: of `answers.judge`.
        prompts: ``prompt``, ``messages`` and ``reference``.
        model: whose answers.
        profile: sampled how; of several seeds the first is looked at.
        reference: of their language.

    Returns:
        `SCHEMA`: by score, the best first and within each side the most telling first.
    """
    table = answers.table.with_row_index("row").with_columns(
        number=pl.col("scene").rank("dense").cast(pl.Int64)
    )
    real = table.filter(pl.col("model") == REAL_LINES)
    chosen = first_seed(table.filter((pl.col("model") == model) & (pl.col("profile") == profile)))
    if chosen.is_empty():
        return SCHEMA.to_frame()
    chosen = _with_generated(chosen, real, answers, reference.traits)
    asked = {
        prompt: (messages[-1]["content"], real_line)
        for prompt, messages, real_line in prompts.select(
            "prompt", "messages", "reference"
        ).iter_rows()
    }
    rows = []
    for score in SCORES:
        if score.answer in chosen.columns and score.answer is not None:
            for side, row in _extremes(chosen, real, score, score.answer):
                user, real_line = asked.get(row["prompt"], ("", ""))
                rows.append(
                    {
                        "language": reference.language,
                        "model": model,
                        "profile": profile,
                        "score": score.name,
                        "side": side,
                        "value": row[score.answer],
                        "prompt": row["prompt"],
                        "user": user[-LONGEST:],
                        "text": row["text"][:LONGEST],
                        "characters": len(row["text"]),
                        "reference": real_line[:LONGEST],
                        "spans": [span for span in row["spans"] if span[0] < LONGEST],
                    }
                )
    return pl.DataFrame(rows, schema=SCHEMA)


def _extremes(
    chosen: pl.DataFrame, real: pl.DataFrame, score: Score, column: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    known = chosen.filter(pl.col(column).is_not_nan())
    if known.is_empty():
        return
    count = min(COUNT, len(known) // 2)
    values = pl.col(column)
    if score.better == "high":
        badness = -values
    elif score.better == "half":
        # The classifier's log-odds: an answer that it takes for generated is told from the real.
        badness = values
    elif score.better == "real" and column != "regurgitation":
        usual = real[column].fill_nan(None).mean() if column in real.columns else None
        badness = (values - (usual if isinstance(usual, float) else 0.0)).abs()
    else:
        badness = values
    ordered = known.with_columns(_bad=badness).sort("_bad", "row")
    # Among the worst there is none that is as good as the best, nor the other way round.
    lowest, highest = ordered["_bad"][0], ordered["_bad"][-1]
    best = ordered.head(count).filter(pl.col("_bad") < highest)
    worst = ordered.reverse().head(count).filter(pl.col("_bad") > lowest)
    for side, part in (("best", best), ("worst", worst)):
        for row in part.iter_rows(named=True):
            yield side, row


def _with_generated(
    chosen: pl.DataFrame, real: pl.DataFrame, answers: Answers, language: LanguageTraits
) -> pl.DataFrame:
    """Add ``generated``: the log-odds that the classifier takes an answer for a generated one."""
    if min(len(chosen), len(real)) < style.FEWEST_LINES:
        return chosen
    matrices = [
        style.features([answers.masked[row] for row in part["row"]], language)
        for part in (real, chosen)
    ]
    numbers = [part["number"].to_numpy() for part in (real, chosen)]
    _, odds = style.real_against_generated(matrices[0], numbers[0], matrices[1], numbers[1])
    return chosen.with_columns(generated=pl.Series(odds)) if np.isfinite(odds).all() else chosen
