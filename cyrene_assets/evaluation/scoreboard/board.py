"""All models side by side: one long table, whatever corpus, size or recipe they are of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from cyrene_assets.corpus.chat_tables import decode_chats
from cyrene_assets.evaluation.scoring.language_report import (
    CURVES,
    EXAMPLES,
    GENERATIONS,
    PROMPTS,
    SCENES,
)
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE, REAL_LINES
from cyrene_assets.evaluation.scoring.score_registry import NOT_AVERAGED, SCORES
from cyrene_assets.evaluation.scoring.scores import MEAN, MODEL, MODELS, SCENES_SCHEMA
from cyrene_assets.evaluation.scoring.scores import SCHEMA as SCORE_SCHEMA

DIGEST_LENGTH = 8
_KINDS = {"instruct": "(instruct)"}
SCHEMA = pl.Schema(
    [
        ("corpus", pl.String),
        ("size", pl.String),
        ("recipe", pl.String),
        ("digest", pl.String),
        ("starts_from", pl.String),
        ("served", pl.Boolean),
        *SCORE_SCHEMA.items(),
        ("languages", pl.Int64),
    ]
)
_RANKS = {name: rank for rank, name in enumerate((REAL_LINES, *MODELS))}
_SCORE_RANKS = {score.name: rank for rank, score in enumerate(SCORES)}


@dataclass(frozen=True)
class Evaluated:
    """One evaluation: who was evaluated, the scores, the answers to look at, and where the rest is.

    ``folder`` is the report's own, ``run`` that with what the models said.

    ``identity`` has ``corpus``, ``corpus_digest``, ``size``, ``recipe``, ``starts_from``,
    ``profile`` (that the model is served with) and ``digests`` (model to digest).
    """

    identity: Mapping[str, Any]
    scores: pl.DataFrame
    examples: pl.DataFrame
    folder: Path
    run: Path

    @classmethod
    def read(cls, folder: Path, run: Path, identity: Mapping[str, Any]) -> "Evaluated":
        """Read a report's tables; ``run`` is the folder with what the models said."""
        return cls(
            identity,
            pl.read_parquet(folder / "scores.parquet"),
            pl.read_parquet(folder / EXAMPLES),
            folder,
            run,
        )

    def is_of(self, key: Sequence[str | None]) -> bool:
        """Say whether a model, by the names of `scores.MODEL`, is among those evaluated here."""
        corpus, size, model, recipe, digest = key
        own = self.identity["digests"].get(str(model), "")[:DIGEST_LENGTH]
        return (corpus, size, digest) == (
            self.corpus,
            self.identity["size"],
            own or None,
        ) and recipe in (None, self.identity["recipe"])

    @property
    def corpus(self) -> str:
        """The corpus, as the scoreboard calls it: its name and version."""
        return corpus_label(self.identity)

    def prompts(self) -> pl.DataFrame:
        """Return the prompt."""
        return decode_chats(pl.read_parquet(self.run / PROMPTS))

    def answers(self, prompts: Sequence[str]) -> pl.DataFrame:
        """Return what was answered to some of the prompts under the served profile."""
        return (
            pl.scan_parquet(self.run / GENERATIONS)
            .filter(
                pl.col("prompt").is_in(list(prompts)),
                pl.col("profile") == self.identity["profile"],
            )
            .collect()
        )

    def scenes(self, model: str, profiles: Sequence[str]) -> pl.DataFrame:
        """Return what each scene gives to a model's scores (`scores.SCENES_SCHEMA`)."""
        return (
            pl.scan_parquet(self.folder / SCENES)
            .filter(pl.col("model") == model, pl.col("profile").is_in(list(profiles)))
            .collect()
        )

    def curves(self) -> pl.DataFrame | None:
        """Return the losses of the trainings (``stage``, ``step``, ...), None where not known."""
        file = self.run / CURVES
        return pl.read_parquet(file) if file.exists() else None


class Scenes:
    """What each scene gives to each model's scores, read when two models are compared."""

    def __init__(self, evaluated: Sequence[Evaluated]) -> None:
        self._evaluated = evaluated
        self._read: dict[tuple[str | None, ...], pl.DataFrame] = {}

    def of(self, key: Sequence[str | None], profile: str | None = None) -> pl.DataFrame:
        """Return a model's rows of `scores.SCENES_SCHEMA`, all languages together.

        Args:
            key: the model, by the names of `scores.MODEL`.
            profile: how it was sampled; as it is served where left out.
        """
        frames = (
            one.scenes(str(key[2]), [profile or one.identity["profile"], NO_PROFILE])
            for one in self._evaluated
            if one.is_of(key)
        )
        return self._once((*key, profile), frames)

    def of_real_lines(self, key: Sequence[str | None]) -> pl.DataFrame:
        """Return the rows of the real lines that a model is held against."""
        frames = (
            one.scenes(REAL_LINES, [NO_PROFILE]) for one in self._evaluated if one.corpus == key[0]
        )
        return self._once((key[0], REAL_LINES), frames)

    def _once(self, place: tuple[str | None, ...], frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Read frames the first time that they are asked for.

        The base model is in the report of every recipe, the real lines in every size's.
        """
        if place not in self._read:
            self._read[place] = pl.concat([SCENES_SCHEMA.to_frame(), *frames]).unique(
                ["language", "score", "scene"], keep="first", maintain_order=True
            )
        return self._read[place]


def corpus_label(identity: Mapping[str, Any]) -> str:
    """Return a corpus's name with its version."""
    return f"{identity['corpus']} {identity['corpus_digest'][:DIGEST_LENGTH]}"


def board_table(evaluated: Iterable[Evaluated]) -> pl.DataFrame:
    """Put everything that was evaluated side by side, and the mean over languages first.

    Returns:
        `SCHEMA`, a row per model, profile, language and score, and rows with language "(mean)":
        values averaged over the ``languages`` that have one, intervals as if the languages erred
        together (they are translations of the same scenes, so this is the cautious side), counts
        added up. Scores in units of a language have no mean. ``served`` says that this is the
        profile that the model is served with, or that sampling does not matter. Digests are short.
        The real lines belong to no model and the base model to no recipe, so each appears once,
        however often it was measured. Sorted by corpus, size, recipe and model, real lines first.
    """
    frames = [_identified(one) for one in evaluated]
    table = pl.concat([SCHEMA.to_frame(), *frames]).unique(
        [*MODEL, "profile", "language", "score"], keep="first", maintain_order=True
    )
    return (
        pl.concat([_means(table), table])
        .with_columns(
            _each=pl.col("language") != MEAN,
            _model=pl.col("model").replace_strict(_RANKS, default=len(_RANKS)),
            _size=pl.col("size").str.extract(r"(\d+\.?\d*)").cast(pl.Float64).fill_null(0),
            _score=pl.col("score").replace_strict(_SCORE_RANKS, default=len(_SCORE_RANKS)),
        )
        .sort(
            "_each", "language", "corpus", pl.col("model") != REAL_LINES, "_size", "size",
            "recipe", "_model", "model", "digest", "profile", "_score", maintain_order=True,
        )
        .select(SCHEMA.names())
    )  # fmt: skip


def models(table: pl.DataFrame) -> pl.DataFrame:
    """Return the models of a board, a row each: `MODEL` and ``starts_from``."""
    others = table.filter(pl.col("model") != REAL_LINES)
    return others.select(*MODEL, "starts_from").unique(MODEL, keep="first", maintain_order=True)


def labels(table: pl.DataFrame) -> dict[tuple[str | None, ...], str]:
    """Name each model as briefly as tells it apart: by size, then recipe, corpus and digest.

    A base model has no recipe; it is told by whether it is the instruct one.
    """
    names = models(table)
    found: dict[tuple[str | None, ...], str] = {}
    for row in names.iter_rows(named=True):
        alike = names.filter(pl.col("size").eq_missing(row["size"]), model=row["model"])
        parts = [row["size"], row["model"]]
        kind = "starts_from" if row["model"] == "base" else "recipe"
        for name in (kind, "corpus", "digest"):
            if len(alike) > 1 and alike[name].n_unique() > 1:
                alike = alike.filter(pl.col(name).eq_missing(pl.lit(row[name], pl.String)))
                parts.append(_KINDS.get(row[name]) if name == "starts_from" else row[name])
        found[tuple(row[name] for name in MODEL)] = " ".join(filter(None, parts))
    return found


def of_model(table: pl.DataFrame, key: Sequence[str | None]) -> pl.DataFrame:
    """Return the rows of one model."""
    return table.filter(
        pl.all_horizontal(
            pl.col(name).eq_missing(pl.lit(value, pl.String))
            for name, value in zip(MODEL, key, strict=True)
        )
    )


def _identified(one: Evaluated) -> pl.DataFrame:
    identity, real = one.identity, pl.col("model") == REAL_LINES
    untrained = real | (pl.col("model") == "base")
    digest = pl.col("model").replace_strict(
        identity["digests"], default=None, return_dtype=pl.String
    )
    return one.scores.with_columns(
        corpus=pl.lit(one.corpus),
        size=pl.when(~real).then(pl.lit(identity["size"])),
        recipe=pl.when(~untrained).then(pl.lit(identity["recipe"])),
        starts_from=pl.when(~real).then(pl.lit(identity["starts_from"])),
        digest=digest.str.head(DIGEST_LENGTH),
        served=pl.col("profile").is_in([identity["profile"], NO_PROFILE]),
        languages=pl.lit(1, pl.Int64),
    ).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def _means(table: pl.DataFrame) -> pl.DataFrame:
    known = pl.col("value").is_not_null()
    whole = (pl.col("low").is_not_null() | ~known).all() & known.any()
    return (
        table.filter(~pl.col("score").is_in(list(NOT_AVERAGED)))
        .group_by(*MODEL, "profile", "score", maintain_order=True)
        .agg(
            pl.col("starts_from", "served").first(),
            pl.col("value").mean(),
            pl.when(whole).then(pl.col("low").mean()).alias("low"),
            pl.when(whole).then(pl.col("high").mean()).alias("high"),
            pl.col("count").sum(),
            pl.col("note").drop_nulls().first(),
            known.sum().cast(pl.Int64).alias("languages"),
            pl.lit(MEAN).alias("language"),
        )
        .select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    )
