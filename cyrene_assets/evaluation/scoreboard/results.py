"""What was evaluated: one report with its tables, and the scene sums of all reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from cyrene_assets.corpus.chat_tables import decode_chats
from cyrene_assets.evaluation.identity import ReportIdentity
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE, REAL_LINES
from cyrene_assets.evaluation.scoring.run_tables import CURVES, GENERATIONS, PROMPTS
from cyrene_assets.evaluation.scoring.scores import EXAMPLES, SCENES, SCENES_SCHEMA


class ModelKey(NamedTuple):
    """The identity of a model on the scoreboard; its fields are columns of the table.

    ``corpus`` is the corpus's name with its version. The real lines have a corpus alone, a base
    model has no recipe.
    """

    corpus: str | None
    size: str | None
    model: str | None
    recipe: str | None
    digest: str | None


MODEL = ModelKey._fields


@dataclass(frozen=True)
class EvaluationResult:
    """One report: its identity, scores (`scores.SCHEMA`) and examples, and where the rest lies.

    ``folder`` is the report's own, ``run`` the folder with the prompts and answers.
    """

    identity: ReportIdentity
    scores: pl.DataFrame
    examples: pl.DataFrame
    folder: Path
    run: Path

    @classmethod
    def read(cls, folder: Path, run: Path, identity: ReportIdentity) -> "EvaluationResult":
        """Read a report's tables; ``run`` is the folder with the prompts and answers."""
        return cls(
            identity,
            pl.read_parquet(folder / "scores.parquet"),
            pl.read_parquet(folder / EXAMPLES),
            folder,
            run,
        )

    def covers(self, key: ModelKey) -> bool:
        """Return whether a model is among those evaluated here."""
        digest = self.identity.short_digest(str(key.model)) or None
        mine = (self.corpus, self.identity.size, digest)
        return (key.corpus, key.size, key.digest) == mine and key.recipe in (
            None,
            self.identity.recipe,
        )

    @property
    def corpus(self) -> str:
        """The corpus's name with its version."""
        return self.identity.corpus_label

    def prompts(self) -> pl.DataFrame:
        """Return the prompts (`prompts.SCHEMA`)."""
        return decode_chats(pl.read_parquet(self.run / PROMPTS))

    def answers(self, prompts: Sequence[str]) -> pl.DataFrame:
        """Return the answers to some of the prompts under the served profile."""
        return (
            pl.scan_parquet(self.run / GENERATIONS)
            .filter(
                pl.col("prompt").is_in(list(prompts)), pl.col("profile") == self.identity.profile
            )
            .collect()
        )

    def scenes(self, model: str, profiles: Sequence[str]) -> pl.DataFrame:
        """Return the scene sums of a model's scores (`scores.SCENES_SCHEMA`)."""
        return (
            pl.scan_parquet(self.folder / SCENES)
            .filter(pl.col("model") == model, pl.col("profile").is_in(list(profiles)))
            .collect()
        )

    def curves(self) -> pl.DataFrame | None:
        """Return the losses of the trainings (`run_tables.CURVES_SCHEMA`), None if unknown."""
        file = self.run / CURVES
        return pl.read_parquet(file) if file.exists() else None


class SceneScores:
    """The scene sums of every model, read when two models are compared."""

    def __init__(self, results: Sequence[EvaluationResult]) -> None:
        self._results = results
        self._cache: dict[tuple[str | None, ...], pl.DataFrame] = {}

    def of(self, key: ModelKey, profile: str | None = None) -> pl.DataFrame:
        """Return a model's rows of `scores.SCENES_SCHEMA` in all languages.

        Args:
            key: the model.
            profile: the sampling profile; None for the one that the model is served with.
        """
        frames = (
            result.scenes(str(key.model), [profile or result.identity.profile, NO_PROFILE])
            for result in self._results
            if result.covers(key)
        )
        return self._cached((*key, profile), frames)

    def of_real_lines(self, key: ModelKey) -> pl.DataFrame:
        """Return the rows of the real lines of a model's corpus."""
        frames = (
            result.scenes(REAL_LINES, [NO_PROFILE])
            for result in self._results
            if result.corpus == key.corpus
        )
        return self._cached((key.corpus, REAL_LINES), frames)

    def curves(self, key: ModelKey) -> pl.DataFrame | None:
        """Return the losses of the trainings behind a model: `EvaluationResult.curves`."""
        found = (result.curves() for result in self._results if result.covers(key))
        return next((curves for curves in found if curves is not None), None)

    def _cached(self, name: tuple[str | None, ...], frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Return the frames' rows without duplicates, read once.

        The base model is in the report of every recipe, the real lines in every size's.
        """
        if name not in self._cache:
            self._cache[name] = pl.concat([SCENES_SCHEMA.to_frame(), *frames]).unique(
                ["language", "score", "scene"], keep="first", maintain_order=True
            )
        return self._cache[name]
