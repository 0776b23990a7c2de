"""Scores of one model family in one language, beside those of the real held-out lines.

What the models lose on texts is told by `text_losses.language_losses`, which joins by ``model``.
"""

from collections.abc import Sequence
from statistics import fmean

import polars as pl

from cyrene_assets.evaluation import metrics

REAL_LINES = "real lines"
MODELS = ("base", "merged", "fp8")
# What tells two models of the scoreboard apart; and in place of a language, which cannot have this
# code, in its rows of means.
MODEL = ("size", "model", "recipe", "digest")
MEAN = "(mean)"

SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "profile": pl.String,
        "language": pl.String,
        "answers": pl.Int64,
        "empty": pl.Int64,
        "too_short": pl.Int64,
        "mean_length": pl.Float64,
        "length_ratio": pl.Float64,
        "rep4": pl.Float64,
        "loop_rate": pl.Float64,
        "limit_rate": pl.Float64,
        "distinct_1": pl.Float64,
        "distinct_2": pl.Float64,
        "adjusted_1": pl.Float64,
        "adjusted_2": pl.Float64,
        "think_leaks": pl.Float64,
    }
)


def score_language(generations: pl.DataFrame, language: str) -> pl.DataFrame:
    """Score every model and sampling profile in one language, and the real lines the same way.

    Args:
        generations: columns ``model``, ``language``, ``profile``, ``seed``, ``prompt``, ``text``,
            ``finish_reason`` ("stop" or "length") and ``reference``.
        language: the language to score; rows of other languages are ignored.

    Returns:
        The real lines first (model "real lines", profile "-"), then a row per model and profile:
        ``answers``, ``empty`` (answers without text), ``too_short`` (answers without a 4-gram),
        ``mean_length`` (units of `metrics`), ``length_ratio`` (to the real lines), ``rep4``,
        ``loop_rate``, ``limit_rate``, ``distinct_1`` and ``distinct_2``, the same
        expectation-adjusted as ``adjusted_1`` and ``adjusted_2``, and ``think_leaks`` (share of
        answers). The distinct scores are computed per seed and averaged, so that each looks at one
        answer per prompt, as many as there are real lines. What cannot be computed is null; a
        language without answers gives no rows.
    """
    answers = generations.filter(pl.col("language") == language)
    if answers.is_empty():
        return SCHEMA.to_frame()
    prompts = answers.unique("prompt", keep="first", maintain_order=True)
    real = prompts["reference"].fill_null("").to_list()
    real_length = metrics.length(real, language)
    rows = [
        _scores(
            REAL_LINES, "-", language, seeds=[real], finish_reasons=None, real_length=real_length
        )
    ]
    # The order of the models, then that of the profiles, is the order of the generations' rows.
    for (model, profile), group in answers.group_by("model", "profile", maintain_order=True):
        seeds = [
            part["text"].fill_null("").to_list()
            for part in group.partition_by("seed", maintain_order=True)
        ]
        reasons = group["finish_reason"].to_list()
        rows.append(
            _scores(
                str(model),
                str(profile),
                language,
                seeds=seeds,
                finish_reasons=reasons,
                real_length=real_length,
            )
        )
    return pl.DataFrame(rows, schema=SCHEMA)


def _scores(
    model: str,
    profile: str,
    language: str,
    *,
    seeds: Sequence[Sequence[str]],
    finish_reasons: Sequence[str] | None,
    real_length: float | None,
) -> dict[str, object]:
    texts = [text for seed in seeds for text in seed]
    mean_length = metrics.length(texts, language)
    repetition = metrics.repetition(texts, language)
    return {
        "model": model,
        "profile": profile,
        "language": language,
        "answers": len(texts),
        "empty": metrics.empty_answers(texts),
        "too_short": repetition.too_short,
        "mean_length": mean_length,
        "length_ratio": mean_length / real_length if mean_length and real_length else None,
        "rep4": repetition.rep4,
        "loop_rate": metrics.loop_rate(texts, language),
        "limit_rate": metrics.hit_limit_rate(finish_reasons) if finish_reasons else None,
        "distinct_1": _mean([metrics.distinct_n(seed, language, 1) for seed in seeds]),
        "distinct_2": _mean([metrics.distinct_n(seed, language, 2) for seed in seeds]),
        "adjusted_1": _mean([metrics.adjusted_distinct_n(seed, language, 1) for seed in seeds]),
        "adjusted_2": _mean([metrics.adjusted_distinct_n(seed, language, 2) for seed in seeds]),
        "think_leaks": metrics.think_leak_rate(texts),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
