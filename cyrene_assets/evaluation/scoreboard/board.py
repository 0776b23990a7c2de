"""The scoreboard: every model's means, and comparisons of models on the scenes they share."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from statistics import fmean

import polars as pl

from cyrene_assets.config.model_roles import NAMES
from cyrene_assets.evaluation.metrics.training_losses import LossSummary, summary
from cyrene_assets.evaluation.scoreboard.comparison import (
    ModelComparison,
    Value,
    as_family,
    judge,
    unpaired_difference,
)
from cyrene_assets.evaluation.scoreboard.results import MODEL, ModelKey, SceneScores
from cyrene_assets.evaluation.scoreboard.table import list_models, model_labels
from cyrene_assets.evaluation.scoring.per_answer import REAL_LINES
from cyrene_assets.evaluation.scoring.run_tables import STAGES
from cyrene_assets.evaluation.scoring.score_registry import SCORES, Score
from cyrene_assets.evaluation.scoring.scores import MEAN
from cyrene_assets.evaluation.statistics import paired_bootstrap
from cyrene_assets.evaluation.statistics.bootstrap import Estimate
from cyrene_assets.evaluation.statistics.few_scenes import MIN_SCENES

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
        # By model, score and profile, then language; the mean is of language `MEAN`.
        self._values: dict[tuple[ModelKey, str, str | None], dict[str, Value]] = {}
        for row in table.drop_nulls("value").iter_rows(named=True):
            key = ModelKey(*(row[name] for name in MODEL))
            value = Value(row["value"], row["low"], row["high"])
            for profile in (row["profile"], None) if row["served"] else (row["profile"],):
                values = self._values.setdefault((key, row["score"], profile), {})
                values[row["language"]] = value

    def value(self, key: ModelKey, score: str, profile: str | None = None) -> Value | None:
        """Return a model's mean over languages, under the served profile unless one is given."""
        return self._values.get((key, score, profile), {}).get(MEAN)

    def values(self, key: ModelKey, score: str, profile: str | None = None) -> dict[str, Value]:
        """Return a model's value in each language that has one."""
        values = self._values.get((key, score, profile), {})
        return {language: value for language, value in values.items() if language != MEAN}

    def real_value(self, key: ModelKey, score: str) -> Value | None:
        """Return the mean of the real lines of a model's corpus."""
        return self.value(_real_lines(key), score)

    def beside_real_lines(self, key: ModelKey, score: str) -> tuple[Value | None, Value | None]:
        """Return a model's value and the real lines', over the languages that both have."""
        values, real = self.values(key, score), self.values(_real_lines(key), score)
        shared = values.keys() & real.keys()
        return (_mean(values, shared), _mean(real, shared)) if shared else (None, None)

    def silent_in(self, key: ModelKey) -> list[str]:
        """Return the languages of the prompts to which a model gave no answer, if it gave any."""
        heard = {
            language
            for score in SCORES.values()
            if score.per_profile
            for language in self.values(key, score.name)
        }
        prompted = self.values(_real_lines(key), "empty")
        return sorted(prompted.keys() - heard) if heard else []

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

    def losses(self, key: ModelKey) -> dict[str, LossSummary]:
        """Return the losses of the trainings that made a model of the project, by stage."""
        made_here = key.model in NAMES and key.model != "base"
        curves = self.scenes.curves(key) if made_here else None
        if curves is None:
            return {}
        stages = [*STAGES][:1] if key.model == "cpt" else STAGES
        return {stage: summary(curves.filter(pl.col("stage") == stage)) for stage in stages}

    def compare(
        self,
        first: ModelKey,
        second: ModelKey,
        scores: Iterable[str],
        profiles: Profiles = (None, None),
    ) -> list[ModelComparison]:
        """Compare two models, or two profiles, by those of the scores that both have.

        Values and differences are over the languages that both have. The scores are told together:
        a difference is called significant as one of them (`comparison.as_family`).
        """
        comparisons = []
        for score in scores:
            query = (first, second, score, profiles)
            if query not in self._comparisons:
                self._comparisons[query] = self._compare(first, second, SCORES[score], profiles)
            comparisons.append(self._comparisons[query])
        return as_family([one for one in comparisons if one is not None])

    def _compare(
        self, first: ModelKey, second: ModelKey, score: Score, profiles: Profiles
    ) -> ModelComparison | None:
        if score.better == "none" or not score.language_mean:
            return None
        one, other = (
            self.values(key, score.name, profile)
            for key, profile in zip((first, second), profiles, strict=True)
        )
        shared = one.keys() & other.keys()
        real = self.values(_real_lines(first), score.name) if score.better == "real" else {}
        if score.better == "real":
            shared &= real.keys()
        if not shared:
            return None
        first_value, second_value = _mean(one, shared), _mean(other, shared)
        reference = Value(0.5, 0.5, 0.5) if score.better == "half" else None
        if score.better == "real":
            reference = _mean(real, shared)
        difference = self._paired(first, second, score, profiles, shared)
        if difference is None:
            freedom = self._count_scenes(first, second, profiles) - 1
            difference = unpaired_difference(first_value, second_value, reference, freedom)
        at = None if reference is None else reference.value
        return replace(
            judge(score, first_value, second_value, difference, at),
            only_first=tuple(sorted(one.keys() - other.keys())),
            only_second=tuple(sorted(other.keys() - one.keys())),
        )

    def _paired(
        self,
        first: ModelKey,
        second: ModelKey,
        score: Score,
        profiles: Profiles,
        languages: Set[str],
    ) -> Estimate | None:
        """Return the difference on the scenes that both answered; None if they share none."""
        if score.better == "half":
            return None
        counted = (pl.col("score") == score.name) & pl.col("language").is_in(sorted(languages))
        first_sums = self.scenes.of(first, profiles[0]).filter(counted)
        second_sums = self.scenes.of(second, profiles[1]).filter(counted)
        if score.better == "real":
            real_sums = self.scenes.of_real_lines(first).filter(counted)
            return paired_bootstrap.distance_difference(first_sums, second_sums, real_sums)
        return paired_bootstrap.difference(first_sums, second_sums)

    def _count_scenes(self, first: ModelKey, second: ModelKey, profiles: Profiles) -> int:
        """Return how many scenes the one answered that has fewer; the least if none is known."""
        of_each = (
            self.scenes.of(key, profile)["scene"].n_unique()
            for key, profile in zip((first, second), profiles, strict=True)
        )
        return max(min(of_each), MIN_SCENES)


def _real_lines(key: ModelKey) -> ModelKey:
    return ModelKey(key.corpus, None, REAL_LINES, None, None)


def _mean(values: Mapping[str, Value], languages: Set[str]) -> Value:
    """Return the mean over some of the languages, as `table.scoreboard_table` does over all."""
    counted = [values[language] for language in sorted(languages)]
    ends = ([value.low for value in counted], [value.high for value in counted])
    low, high = (
        fmean(known) if len(known := [x for x in end if x is not None]) == len(end) else None
        for end in ends
    )
    return Value(fmean(value.value for value in counted), low, high)


def _stage(key: ModelKey) -> int:
    return NAMES.index(key.model) if key.model in NAMES else len(NAMES)


def _training_run(key: ModelKey) -> ModelKey:
    """Return what all stages of one training share."""
    return key._replace(model=None if key.model in NAMES else key.model, digest=None)
