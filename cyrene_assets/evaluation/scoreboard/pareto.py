"""The choice among models and checkpoints: those that no other one dominates, never one number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.comparison import ModelComparison
from cyrene_assets.evaluation.scoreboard.dominance import beaten_by
from cyrene_assets.evaluation.scoreboard.results import ModelKey

# What a checkpoint is chosen by: knowledge of the story, the character's voice, no reciting.
AXES = ("cloze", "style", "regurgitation_excess")


@dataclass(frozen=True)
class Candidate:
    """A model with its value on each axis, and the models that dominate it."""

    key: ModelKey
    values: Mapping[str, float]
    dominated_by: tuple[ModelKey, ...]

    @property
    def best(self) -> bool:
        """Whether no other candidate dominates it."""
        return not self.dominated_by


def candidates(board: Scoreboard, keys: Sequence[ModelKey]) -> list[Candidate]:
    """Return those of the models that have all of `AXES`, on the mean over languages, served.

    One dominates another when it is shown to be ahead on one axis and ahead or level on the others
    (`dominance`), on the scenes that both answered; the error is that of all pairs together. Only
    models of one corpus version are compared: they had the same prompts.
    """
    points: dict[ModelKey, dict[str, float]] = {}
    for key in keys:
        values = {axis: board.value(key, axis) for axis in AXES}
        point = {axis: value.value for axis, value in values.items() if value is not None}
        if len(point) == len(AXES):
            points[key] = point

    def compare(first: ModelKey, second: ModelKey) -> list[ModelComparison] | None:
        return board.compare(first, second, AXES) if first.corpus == second.corpus else None

    dominated_by = beaten_by(list(points), compare)
    return [Candidate(key, point, tuple(dominated_by[key])) for key, point in points.items()]
