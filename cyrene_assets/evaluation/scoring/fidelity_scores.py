"""The scores of a quantized model next to its origin, as the reports have them."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE
from cyrene_assets.evaluation.scoring.scores import SCHEMA


def score_table(fidelity: Mapping[str, Mapping[str, Any]], language: str) -> pl.DataFrame:
    """Return one language's scores as the reports have them: of the quantized model and its origin.

    Rows of `scores.SCHEMA`; none where nothing was compared in this language.
    """
    found = fidelity.get(language)
    if found is None:
        return SCHEMA.to_frame()
    values = [
        ("merged", "dialog_perplexity", found["perplexity_reference"]),
        ("fp8", "greedy_agreement", found["greedy_agreement"]),
        ("fp8", "mean_kl", found["mean_kl"]),
        ("fp8", "dialog_perplexity", found["perplexity"]),
    ]
    rows = [
        {
            "model": model,
            "profile": NO_PROFILE,
            "language": language,
            "score": score,
            "value": value,
            "count": found["tokens"],
        }
        for model, score, value in values
    ]
    return pl.DataFrame(rows, schema=SCHEMA)
