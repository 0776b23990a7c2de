"""Two models side by side, score by score: which is better, by how much, and how sure that is."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from cyrene_assets.evaluation.scoreboard.board import Scenes, labels, models
from cyrene_assets.evaluation.scoring.per_answer import REAL_LINES
from cyrene_assets.evaluation.scoring.score_registry import BY_NAME, Score
from cyrene_assets.evaluation.scoring.scores import MEAN, MODEL, MODELS
from cyrene_assets.evaluation.statistics import paired_bootstrap
from cyrene_assets.evaluation.statistics.bootstrap import TOO_FEW, Estimate

Key = tuple[str | None, ...]
Verdict = Literal["better", "worse", "same", "unknown"]

_DIRECTIONS: Mapping[str, int] = {"high": 1, "low": -1, "real": -1, "half": -1}
_SAME = "no difference that can be told"


@dataclass(frozen=True)
class Value:
    """A score's mean over languages."""

    value: float
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half of its interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Comparison:
    """One score of two models, or of one model sampled in two ways.

    ``apart`` is the first less the second; of a score that is better near a reference (the real
    lines, or one half) it is how much farther from it the first is, and ``reference`` says where
    that is.
    """

    score: Score
    first: Value
    second: Value
    apart: Estimate
    verdict: Verdict
    reference: float | None = None

    def words(self) -> str:
        """Return it as one line, with numbers."""
        shown, apart = self.score.shown, self.score.apart
        line = f"{_name(self.score)} {shown(self.first.value)} against {shown(self.second.value)}"
        if self.reference is not None:
            what = "real lines" if self.score.better == "real" else "ideal"
            line += f" ({what} {shown(self.reference)})"
        line += f", {self.by()}"
        if self.apart.low is not None and self.apart.high is not None:
            line += f" [{apart(self.apart.low)}, {apart(self.apart.high)}]"
        said = {"same": _SAME, "unknown": f"{self.apart.note}, so who is ahead cannot be told"}
        return f"{line}: {said.get(self.verdict, self.verdict)}"

    def by(self) -> str:
        """Return the difference in words."""
        value = self.apart.value or 0.0
        apart = self.score.apart(value) + (" points" if self.score.unit == "share" else "")
        if self.reference is None:
            return apart
        return f"{apart[1:]} farther" if value > 0 else f"{apart[1:]} nearer"


def judged(
    score: Score, first: Value, second: Value, apart: Estimate, reference: float | None = None
) -> Comparison:
    """Say which is better: the interval of the difference decides, and without one nobody does."""
    if apart.value is None or apart.low is None or apart.high is None:
        verdict: Verdict = "unknown"
    elif apart.low <= 0 <= apart.high:
        verdict = "same"
    else:
        verdict = "better" if _DIRECTIONS[score.better] * apart.value > 0 else "worse"
    return Comparison(score, first, second, apart, verdict, reference)


def headline(
    comparisons: Iterable[Comparison], leads: tuple[str, str, str] = ("Yes", "No", "In part")
) -> str:
    """Sum up comparisons in words, and hide none of them: there is no total.

    ``leads`` begin what is only better, only worse, and both.
    """
    named: dict[Verdict, list[str]] = {}
    for one in comparisons:
        told = f" ({one.by()})" if one.verdict != "same" else ""
        named.setdefault(one.verdict, []).append(_name(one.score) + told)
    said: tuple[tuple[Verdict, str], ...] = (
        ("better", "better in"), ("worse", "worse in"), ("same", f"{_SAME} in"),
        ("unknown", "too little to tell in"),
    )  # fmt: skip
    parts = [f"{words} {', '.join(named[verdict])}" for verdict, words in said if verdict in named]
    if {"better", "worse"} <= named.keys():
        short = leads[2]
    elif "better" in named:
        short = leads[0]
    elif "worse" in named:
        short = leads[1]
    else:
        short = "It cannot be told" if "unknown" in named else "Neither way"
    return f"{short}: {'; '.join(parts)}"


def beats(comparisons: Sequence[Comparison]) -> bool:
    """Say whether the first is ahead or level in every score, and one lead can be told."""
    ahead = [_DIRECTIONS[one.score.better] * (one.apart.value or 0.0) >= 0 for one in comparisons]
    return all(ahead) and any(one.verdict == "better" for one in comparisons)


class Board:
    """The means of a board, by model, and its scenes, to compare models on."""

    def __init__(self, table: pl.DataFrame, scenes: Scenes) -> None:
        self.means = table.filter(pl.col("language") == MEAN)
        self.models = models(self.means)
        self.names = labels(self.means)
        self.scenes = scenes
        self._starts: dict[Key, str | None] = {row[:5]: row[5] for row in self.models.rows()}
        self._asked: dict[tuple[Any, ...], Comparison | None] = {}
        self._values: dict[tuple[Key, str, str | None], Value] = {}
        for row in self.means.drop_nulls("value").iter_rows(named=True):
            key = tuple(row[name] for name in MODEL)
            value = Value(row["value"], row["low"], row["high"])
            self._values[key, row["score"], row["profile"]] = value
            if row["served"]:
                self._values[key, row["score"], None] = value

    def value(self, key: Key, score: str, profile: str | None = None) -> Value | None:
        """Return a model's mean over languages, as served where no profile is given."""
        return self._values.get((key, score, profile))

    def real(self, key: Key, score: str) -> Value | None:
        """Return what the real lines of a model's corpus have."""
        return self._values.get(((key[0], None, REAL_LINES, None, None), score, None))

    def keys_of(self, **conditions: str | None) -> list[Key]:
        """Return the models that meet the conditions."""
        found = self.models
        for name, value in conditions.items():
            found = found.filter(pl.col(name).eq_missing(pl.lit(value, pl.String)))
        return [tuple(row[:5]) for row in found.rows()]

    def trained(self) -> list[Key]:
        """Return all models but the base ones."""
        return [key for key in self.keys_of() if key[2] != "base"]

    def finished(self) -> list[Key]:
        """Return what would be served: the last stage of each corpus, size and recipe.

        A model of somebody's own is a last stage; so is each of several digests.
        """
        last: dict[Key, int] = {}
        for key in self.trained():
            place = _place(key)
            last[place] = max(last.get(place, 0), _stage(key))
        return [key for key in self.trained() if _stage(key) == last[_place(key)]]

    def served(self) -> list[Key]:
        """Return the finished models that the project trained; of other people's, where none is."""
        finished = self.finished()
        return [key for key in finished if key[2] in MODELS] or finished

    def base_of(self, key: Key) -> Key | None:
        """Return the base model that a model starts from."""
        bases = self.keys_of(corpus=key[0], size=key[1], model="base")
        own = self.starts_from(key)
        return next((base for base in bases if self.starts_from(base) == own), None)

    def starts_from(self, key: Key) -> str | None:
        """Say whether a model starts from the base or the instruct model."""
        return self._starts[key]

    def compare(
        self,
        first: Key,
        second: Key,
        scores: Iterable[str],
        profiles: tuple[str | None, str | None] = (None, None),
    ) -> list[Comparison]:
        """Compare two models, or two profiles, by those of the scores that both have."""
        found = (self._compared(first, second, BY_NAME[name], profiles) for name in scores)
        return [one for one in found if one is not None]

    def _compared(
        self, first: Key, second: Key, score: Score, profiles: tuple[str | None, str | None]
    ) -> Comparison | None:
        """Compare by one score, once: several questions need the same."""
        asked = (first, second, score.name, profiles)
        if asked not in self._asked:
            self._asked[asked] = self._compare(first, second, score, profiles)
        return self._asked[asked]

    def _compare(
        self, first: Key, second: Key, score: Score, profiles: tuple[str | None, str | None]
    ) -> Comparison | None:
        one = self.value(first, score.name, profiles[0])
        other = self.value(second, score.name, profiles[1])
        reference = self._reference(first, score)
        if one is None or other is None or score.better == "none":
            return None
        if score.better in ("real", "half") and reference is None:
            return None
        apart = self._paired(first, second, score, profiles)
        if apart is None:
            apart = _unpaired(one, other, reference)
        return judged(score, one, other, apart, None if reference is None else reference.value)

    def _paired(
        self, first: Key, second: Key, score: Score, profiles: tuple[str | None, str | None]
    ) -> Estimate | None:
        """Return the difference on the scenes that both answered; None where there are none."""
        of_score = pl.col("score") == score.name
        one = self.scenes.of(first, profiles[0]).filter(of_score)
        other = self.scenes.of(second, profiles[1]).filter(of_score)
        if score.better == "real":
            return paired_bootstrap.nearness(
                one, other, self.scenes.of_real_lines(first).filter(of_score)
            )
        return None if score.better == "half" else paired_bootstrap.difference(one, other)

    def _reference(self, key: Key, score: Score) -> Value | None:
        if score.better == "half":
            return Value(0.5, 0.5, 0.5)
        return self.real(key, score.name) if score.better == "real" else None


def _unpaired(first: Value, second: Value, reference: Value | None) -> Estimate:
    """Return a difference of two values whose scenes are not at hand.

    Its half-width is the root of the sum of squares of both: as if the two erred apart, which is
    the cautious side, for they answered the same prompts.
    """
    ends = (first, second)
    value = first.value - second.value
    if reference is not None:
        value = abs(first.value - reference.value) - abs(second.value - reference.value)
    widths = [end.half_width for end in ends if end.half_width is not None]
    if len(widths) < len(ends):
        return Estimate(value, note=TOO_FEW)
    return Estimate(value, value - math.hypot(*widths), value + math.hypot(*widths))


def _name(score: Score) -> str:
    return score.title if score.title.isupper() else score.title[0].lower() + score.title[1:]


def _stage(key: Key) -> int:
    return MODELS.index(key[2]) if key[2] in MODELS else len(MODELS)


def _place(key: Key) -> Key:
    return (key[0], key[1], key[3], None if key[2] in MODELS else key[2])
