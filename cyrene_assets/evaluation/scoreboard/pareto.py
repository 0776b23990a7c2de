"""The choice among models and checkpoints: what nobody beats in everything, never one number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cyrene_assets.evaluation.scoreboard.comparison import Board, Key, beats

# What a checkpoint is chosen by: it knows the story, sounds like her, and does not recite.
AXES = ("cloze", "style", "regurgitation_excess")


@dataclass(frozen=True)
class Candidate:
    """A model with its value on each axis, and those that beat it."""

    key: Key
    values: Mapping[str, float]
    beaten_by: tuple[Key, ...]

    @property
    def best(self) -> bool:
        """Whether no other candidate beats it."""
        return not self.beaten_by


def candidates(board: Board, keys: Sequence[Key]) -> list[Candidate]:
    """Return those of the models that have all of `AXES`, on the mean over languages, served.

    One beats another when it is ahead or level on every axis, and its lead on one can be told on
    the scenes that both answered: a lead within the noise beats nobody. Models of one corpus
    version are compared with each other, for they had the same prompts.
    """
    points: dict[Key, dict[str, float]] = {}
    for key in keys:
        values = {axis: board.value(key, axis) for axis in AXES}
        whole = {axis: value.value for axis, value in values.items() if value is not None}
        if len(whole) == len(AXES):
            points[key] = whole
    return [
        Candidate(
            key,
            values,
            tuple(
                other
                for other in points
                if other != key and other[0] == key[0] and beats(board.compare(other, key, AXES))
            ),
        )
        for key, values in points.items()
    ]
