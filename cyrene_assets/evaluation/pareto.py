"""The choice among models and checkpoints: what nobody beats in everything, never one number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from cyrene_assets.evaluation.answers import REAL_LINES
from cyrene_assets.evaluation.scores import MEAN, MODEL

# What a checkpoint is chosen by: it knows the story, sounds like her, and does not recite.
AXES: Mapping[str, int] = {"cloze": 1, "style": 1, "regurgitation_excess": -1}


@dataclass(frozen=True)
class Candidate:
    """A model with its place on each axis; ``best`` when no other candidate is better in all."""

    key: tuple[str | None, ...]
    values: Mapping[str, float]
    best: bool


def candidates(table: pl.DataFrame) -> list[Candidate]:
    """Return the trained models that have all of `AXES`, on the mean over languages, served.

    Models of one corpus version are compared with each other, for they were asked the same.
    """
    trained = table.filter(
        pl.col("language") == MEAN, pl.col("served"), ~pl.col("model").is_in([REAL_LINES, "base"])
    )
    points: dict[tuple[str | None, ...], dict[str, float]] = {}
    rows = trained.filter(pl.col("score").is_in(list(AXES))).drop_nulls("value")
    for row in rows.iter_rows(named=True):
        points.setdefault(tuple(row[name] for name in MODEL), {})[row["score"]] = row["value"]
    whole = {key: values for key, values in points.items() if len(values) == len(AXES)}
    return [
        Candidate(
            key,
            values,
            not any(
                other_key[0] == key[0] and dominates(other, values)
                for other_key, other in whole.items()
            ),
        )
        for key, values in whole.items()
    ]


def dominates(
    one: Mapping[str, float], other: Mapping[str, float], axes: Mapping[str, int] = AXES
) -> bool:
    """Return whether ``one`` is at least as good on every axis, and better on one."""
    ahead = [direction * (one[axis] - other[axis]) for axis, direction in axes.items()]
    return min(ahead) >= 0 and max(ahead) > 0


def front(points: Sequence[Mapping[str, float]], axes: Mapping[str, int]) -> list[bool]:
    """Say of each point whether none of the others dominates it."""
    return [not any(dominates(other, point, axes) for other in points) for point in points]
