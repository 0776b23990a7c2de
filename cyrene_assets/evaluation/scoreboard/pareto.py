"""The choice among models and checkpoints: those that no other one dominates, never one number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.comparison import dominates
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

    One dominates another when it is ahead or level on every axis, and significantly ahead on one,
    on the scenes that both answered. Only models of one corpus version are compared: they had the
    same prompts.
    """
    points: dict[ModelKey, dict[str, float]] = {}
    for key in keys:
        values = {axis: board.value(key, axis) for axis in AXES}
        point = {axis: value.value for axis, value in values.items() if value is not None}
        if len(point) == len(AXES):
            points[key] = point
    return [
        Candidate(
            key,
            point,
            tuple(
                rival
                for rival in points
                if rival != key
                and rival.corpus == key.corpus
                and dominates(board.compare(rival, key, AXES))
            ),
        )
        for key, point in points.items()
    ]
