"""The table of all models: one row per model, profile, language and score, over every corpus."""

from collections.abc import Iterable

import polars as pl

from cyrene_assets.config.model_roles import NAMES
from cyrene_assets.evaluation.identity import DIGEST_LENGTH
from cyrene_assets.evaluation.scoreboard.results import MODEL, EvaluationResult, ModelKey
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE, REAL_LINES
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.evaluation.scoring.scores import MEAN
from cyrene_assets.evaluation.scoring.scores import SCHEMA as SCORE_SCHEMA

_KINDS = {"instruct": "(instruct)"}
SCHEMA = pl.Schema(
    [
        ("corpus", pl.String), ("size", pl.String), ("recipe", pl.String), ("digest", pl.String),
        ("starts_from", pl.String), ("served", pl.Boolean), *SCORE_SCHEMA.items(),
        ("languages", pl.Int64),
    ]
)  # fmt: skip
_MODEL_RANKS = {name: rank for rank, name in enumerate((REAL_LINES, *NAMES))}


def scoreboard_table(results: Iterable[EvaluationResult]) -> pl.DataFrame:
    """Return the scores of all reports in one table, the means over languages first.

    Returns:
        `SCHEMA`, a row per model, profile, language and score, and rows with language "(mean)":
        values averaged over the ``languages`` that have one, intervals as if the errors of all
        languages were the same (they are translations of the same scenes, so this is the cautious
        side), counts added up. Scores in units of a language have no mean. ``served`` marks the
        profile that the model is served with, and scores that do not depend on sampling. Digests
        are short. The real lines belong to no model and the base model to no recipe, so each
        appears once, however often it was measured. Sorted by corpus, size, recipe and model, real
        lines first.
    """
    table = pl.concat([SCHEMA.to_frame(), *map(_with_identity, results)]).unique(
        [*MODEL, "profile", "language", "score"], keep="first", maintain_order=True
    )
    score_ranks = {score: rank for rank, score in enumerate(SCORES)}
    return (
        pl.concat([_means(table), table])
        .with_columns(
            _each=pl.col("language") != MEAN,
            _model=pl.col("model").replace_strict(_MODEL_RANKS, default=len(_MODEL_RANKS)),
            _size=pl.col("size").str.extract(r"(\d+\.?\d*)").cast(pl.Float64).fill_null(0),
            _score=pl.col("score").replace_strict(score_ranks, default=len(SCORES)),
        )
        .sort(
            "_each", "language", "corpus", pl.col("model") != REAL_LINES, "_size", "size",
            "recipe", "_model", "model", "digest", "profile", "_score", maintain_order=True,
        )
        .select(SCHEMA.names())
    )  # fmt: skip


def list_models(table: pl.DataFrame) -> pl.DataFrame:
    """Return the models of a table, a row each: `MODEL` and ``starts_from``."""
    models = table.filter(pl.col("model") != REAL_LINES)
    return models.select(*MODEL, "starts_from").unique(MODEL, keep="first", maintain_order=True)


def model_labels(table: pl.DataFrame) -> dict[ModelKey, str]:
    """Return the shortest unambiguous name of each model: size, then recipe, corpus and digest.

    A base model has no recipe; it is named by whether it is the instruct one.
    """
    models = list_models(table)
    labels: dict[ModelKey, str] = {}
    for row in models.iter_rows(named=True):
        same_name = models.filter(pl.col("size").eq_missing(row["size"]), model=row["model"])
        parts = [row["size"], row["model"]]
        kind = "starts_from" if row["model"] == "base" else "recipe"
        for name in (kind, "corpus", "digest"):
            if len(same_name) > 1 and same_name[name].n_unique() > 1:
                same_name = same_name.filter(pl.col(name).eq_missing(pl.lit(row[name], pl.String)))
                parts.append(_KINDS.get(row[name]) if name == "starts_from" else row[name])
        labels[ModelKey(*(row[name] for name in MODEL))] = " ".join(filter(None, parts))
    return labels


def model_rows(table: pl.DataFrame, key: ModelKey) -> pl.DataFrame:
    """Return the rows of one model."""
    return table.filter(
        pl.all_horizontal(
            pl.col(name).eq_missing(pl.lit(value, pl.String))
            for name, value in key._asdict().items()
        )
    )


def _with_identity(result: EvaluationResult) -> pl.DataFrame:
    identity, is_real = result.identity, pl.col("model") == REAL_LINES
    is_untrained = is_real | (pl.col("model") == "base")
    digest = pl.col("model").replace_strict(
        dict(identity.digests), default=None, return_dtype=pl.String
    )
    return result.scores.with_columns(
        corpus=pl.lit(result.corpus),
        size=pl.when(~is_real).then(pl.lit(identity.size)),
        recipe=pl.when(~is_untrained).then(pl.lit(identity.recipe)),
        starts_from=pl.when(~is_real).then(pl.lit(identity.starts_from)),
        digest=digest.str.head(DIGEST_LENGTH),
        served=pl.col("profile").is_in([identity.profile, NO_PROFILE]),
        languages=pl.lit(1, pl.Int64),
    ).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def _means(table: pl.DataFrame) -> pl.DataFrame:
    has_value = pl.col("value").is_not_null()
    all_intervals = (pl.col("low").is_not_null() | ~has_value).all() & has_value.any()
    not_averaged = [score.name for score in SCORES.values() if not score.language_mean]
    return (
        table.filter(~pl.col("score").is_in(not_averaged))
        .group_by(*MODEL, "profile", "score", maintain_order=True)
        .agg(
            pl.col("starts_from", "served").first(),
            pl.col("value").mean(),
            pl.when(all_intervals).then(pl.col("low").mean()).alias("low"),
            pl.when(all_intervals).then(pl.col("high").mean()).alias("high"),
            pl.col("count").sum(),
            pl.col("note").drop_nulls().first(),
            has_value.sum().cast(pl.Int64).alias("languages"),
            pl.lit(MEAN).alias("language"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    )
