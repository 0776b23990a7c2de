"""The scores of a quantized model and of the model it was made from, as the reports have them."""

from collections.abc import Mapping

import polars as pl

from cyrene_assets.evaluation.metrics.fidelity import FidelityMeans
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE
from cyrene_assets.evaluation.scoring.scores import SCHEMA


def score_table(fidelity: Mapping[str, FidelityMeans], language: str) -> pl.DataFrame:
    """Return one language's fidelity as rows of `scores.SCHEMA`; none if it was not measured."""
    means = fidelity.get(language)
    if means is None:
        return SCHEMA.to_frame()
    values = (
        ("merged", "dialog_perplexity", means["perplexity_reference"]),
        ("fp8", "greedy_agreement", means["greedy_agreement"]),
        ("fp8", "mean_kl", means["mean_kl"]),
        ("fp8", "dialog_perplexity", means["perplexity"]),
    )
    rows = [
        {
            "model": model,
            "profile": NO_PROFILE,
            "language": language,
            "score": score,
            "value": value,
            "count": means["tokens"],
        }
        for model, score, value in values
    ]
    return pl.DataFrame(rows, schema=SCHEMA)
