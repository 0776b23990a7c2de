"""The scoreboard: every model's means, and comparisons of models on the scenes they share."""

from collections.abc import Iterable

import polars as pl

from cyrene_assets.config.model_roles import NAMES
from cyrene_assets.evaluation.scoreboard.comparison import (
    ModelComparison,
    Value,
    judge,
    unpaired_difference,
)
from cyrene_assets.evaluation.scoreboard.results import MODEL, ModelKey, SceneScores
from cyrene_assets.evaluation.scoreboard.table import list_models, model_labels
from cyrene_assets.evaluation.scoring.per_answer import REAL_LINES
from cyrene_assets.evaluation.scoring.score_registry import SCORES, Score
from cyrene_assets.evaluation.scoring.scores import MEAN
from cyrene_assets.evaluation.statistics import paired_bootstrap
from cyrene_assets.evaluation.statistics.bootstrap import Estimate

# The sampling profiles of two models that are compared; None for the served one.
Profiles = tuple[str | None, str | None]


class Scoreboard:
    """The means of a table, by model, and the scene sums to compare models by."""

    def __init__(self, table: pl.DataFrame, scenes: SceneScores) -> None:
        self.means = table.filter(pl.col("language") == MEAN)
        self.models = list_models(self.means)
        self.names = model_labels(self.means)
        self.scenes = scenes
        self._starts: dict[ModelKey, str | None] = {
            ModelKey(*row[:5]): row[5] for row in self.models.rows()
        }
        self._comparisons: dict[
            tuple[ModelKey, ModelKey, str, Profiles], ModelComparison | None
        ] = {}
        self._values: dict[tuple[ModelKey, str, str | None], Value] = {}
        for row in self.means.drop_nulls("value").iter_rows(named=True):
            key = ModelKey(*(row[name] for name in MODEL))
            value = Value(row["value"], row["low"], row["high"])
            self._values[key, row["score"], row["profile"]] = value
            if row["served"]:
                self._values[key, row["score"], None] = value

    def value(self, key: ModelKey, score: str, profile: str | None = None) -> Value | None:
        """Return a model's mean over languages, under the served profile unless one is given."""
        return self._values.get((key, score, profile))

    def real_value(self, key: ModelKey, score: str) -> Value | None:
        """Return the mean of the real lines of a model's corpus."""
        real = ModelKey(key.corpus, None, REAL_LINES, None, None)
        return self._values.get((real, score, None))

    def find_models(self, **conditions: str | None) -> list[ModelKey]:
        """Return the models whose columns have these values."""
        rows = self.models
        for name, value in conditions.items():
            rows = rows.filter(pl.col(name).eq_missing(pl.lit(value, pl.String)))
        return [ModelKey(*row[:5]) for row in rows.rows()]

    def trained(self) -> list[ModelKey]:
        """Return all models but the base ones."""
        return [key for key in self.find_models() if key.model != "base"]

    def finished(self) -> list[ModelKey]:
        """Return what would be served: the last stage of each corpus, size and recipe.

        A model from outside the project is a last stage; so is each of several digests.
        """
        last: dict[ModelKey, int] = {}
        for key in self.trained():
            run = _training_run(key)
            last[run] = max(last.get(run, 0), _stage(key))
        return [key for key in self.trained() if _stage(key) == last[_training_run(key)]]

    def served(self) -> list[ModelKey]:
        """Return the finished models that the project trained; others only if there are none."""
        finished = self.finished()
        return [key for key in finished if key.model in NAMES] or finished

    def base_of(self, key: ModelKey) -> ModelKey | None:
        """Return the base model that a model starts from."""
        bases = self.find_models(corpus=key.corpus, size=key.size, model="base")
        kind = self.starts_from(key)
        return next((base for base in bases if self.starts_from(base) == kind), None)

    def starts_from(self, key: ModelKey) -> str | None:
        """Return whether a model starts from the "base" or the "instruct" model."""
        return self._starts[key]

    def compare(
        self,
        first: ModelKey,
        second: ModelKey,
        scores: Iterable[str],
        profiles: Profiles = (None, None),
    ) -> list[ModelComparison]:
        """Compare two models, or two profiles, by those of the scores that both have."""
        comparisons = []
        for score in scores:
            query = (first, second, score, profiles)
            if query not in self._comparisons:
                self._comparisons[query] = self._compare(first, second, SCORES[score], profiles)
            comparisons.append(self._comparisons[query])
        return [comparison for comparison in comparisons if comparison is not None]

    def _compare(
        self, first: ModelKey, second: ModelKey, score: Score, profiles: Profiles
    ) -> ModelComparison | None:
        first_value = self.value(first, score.name, profiles[0])
        second_value = self.value(second, score.name, profiles[1])
        reference = self._reference(first, score)
        if first_value is None or second_value is None or score.better == "none":
            return None
        if score.better in ("real", "half") and reference is None:
            return None
        difference = self._paired(first, second, score, profiles)
        if difference is None:
            difference = unpaired_difference(first_value, second_value, reference)
        at = None if reference is None else reference.value
        return judge(score, first_value, second_value, difference, at)

    def _paired(
        self, first: ModelKey, second: ModelKey, score: Score, profiles: Profiles
    ) -> Estimate | None:
        """Return the difference on the scenes that both answered; None if they share none."""
        is_score = pl.col("score") == score.name
        first_sums = self.scenes.of(first, profiles[0]).filter(is_score)
        second_sums = self.scenes.of(second, profiles[1]).filter(is_score)
        if score.better == "real":
            real_sums = self.scenes.of_real_lines(first).filter(is_score)
            return paired_bootstrap.distance_difference(first_sums, second_sums, real_sums)
        if score.better == "half":
            return None
        return paired_bootstrap.difference(first_sums, second_sums)

    def _reference(self, key: ModelKey, score: Score) -> Value | None:
        if score.better == "half":
            return Value(0.5, 0.5, 0.5)
        return self.real_value(key, score.name) if score.better == "real" else None


def _stage(key: ModelKey) -> int:
    return NAMES.index(key.model) if key.model in NAMES else len(NAMES)


def _training_run(key: ModelKey) -> ModelKey:
    """Return what all stages of one training share."""
    return key._replace(model=None if key.model in NAMES else key.model, digest=None)
