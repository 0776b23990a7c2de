"""The difference of two models on the same scenes.

Both answered the same prompts, and some scenes are harder than others for every model. So each
replicate draws scenes once, for both models and for all languages together (they are translations
of the same scenes): the difference varies far less than the scores of either model.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from cyrene_assets.evaluation.statistics.bootstrap import (
    TOO_FEW,
    Estimate,
    from_replicates,
    scene_weights,
)
from cyrene_assets.evaluation.statistics.few_scenes import MIN_SCENES, Floats

# From a score of each model, any shape, to the compared quantity in that shape.
Statistic = Callable[..., Floats]


def difference(first: pl.DataFrame, second: pl.DataFrame) -> Estimate | None:
    """Return the first model's score less the second's, with its paired interval.

    Args:
        first: rows of `scores.SCENES_SCHEMA` of one model and score.
        second: the same of the model that it is compared with.

    Returns:
        The mean over the languages that both have; ``count`` is of scenes. None if they share no
        scene.
    """
    return _paired([first, second], np.subtract)


def distance_difference(
    first: pl.DataFrame, second: pl.DataFrame, real: pl.DataFrame
) -> Estimate | None:
    """Return how much farther from the real lines' score the first is than the second.

    As `difference`, of the absolute distances: below 0 the first is nearer.
    """
    return _paired([first, second, real], lambda a, b, r: np.abs(a - r) - np.abs(b - r))


def _paired(frames: Sequence[pl.DataFrame], statistic: Statistic) -> Estimate | None:
    common = frames[0].select("language", "scene").filter(frames[0]["bottom"] > 0)
    for frame in frames[1:]:
        common = common.join(frame.filter(pl.col("bottom") > 0), on=["language", "scene"])
        common = common.select("language", "scene")
    if common.is_empty():
        return None
    common = common.sort("language", "scene")
    scenes, row = np.unique(common["scene"].to_numpy(), return_inverse=True)
    languages, column = np.unique(common["language"].to_numpy(), return_inverse=True)
    sums = []
    for frame in frames:
        aligned = common.join(frame, on=["language", "scene"], how="left", maintain_order="left")
        for name in ("top", "bottom"):
            table = np.zeros((len(scenes), len(languages)))
            table[row, column] = aligned[name].to_numpy()
            sums.append(table)
    value = float(_mean(statistic, [table.sum(0, keepdims=True) for table in sums])[0])
    if len(scenes) < MIN_SCENES:
        return Estimate(value, count=len(scenes), note=TOO_FEW)
    drawn = scene_weights(len(scenes))
    replicates = _mean(statistic, [drawn @ table for table in sums])
    return from_replicates(value, replicates, len(scenes), _weights(sums[1::2]))


def _weights(bottoms: Sequence[Floats]) -> Floats:
    """Return what each scene counts: its mean share of a language, that of the first model."""
    shares = bottoms[0] / np.maximum(bottoms[0].sum(0), 1e-300)
    return np.asarray(shares.mean(1), np.float64)


def _mean(statistic: Statistic, sums: Sequence[Floats]) -> Floats:
    """Return the mean over languages of the statistic: (replicates, languages) to (replicates)."""
    defined = np.all([bottom > 0 for bottom in sums[1::2]], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = [top / bottom for top, bottom in zip(sums[::2], sums[1::2], strict=True)]
        compared = np.where(defined, statistic(*scores), 0.0)
        return np.asarray(compared.sum(1) / defined.sum(1), np.float64)
