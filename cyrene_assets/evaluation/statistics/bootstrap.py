"""Estimates with their intervals: what a score would be on other scenes of the same story.

Answers of one scene resemble each other, so scenes are drawn, never single answers. Everything is
drawn with a fixed seed: the same answers give the same interval.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

REPLICATES = 1000
HALF_SAMPLES = 60
FEWEST_SCENES = 5
LEVEL = (2.5, 97.5)
TOO_FEW = f"no interval: fewer than {FEWEST_SCENES} scenes"
_SEED = 20260


@dataclass(frozen=True)
class SceneSums:
    """What each scene gives to a score that is a sum over a sum: one entry per scene.

    Two models that had the same prompts compare scene by scene by them: see `paired`.
    """

    scenes: npt.NDArray[np.generic]
    tops: Floats
    bottoms: Floats


@dataclass(frozen=True)
class Estimate:
    """A score: its value, the ends of its 95% interval, how many items it looks at, and a remark.

    ``value`` is None where the score cannot be told, and ``note`` says why. ``sums`` are there
    where the score, or its difference between two models, is a sum over a sum.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    count: int = 0
    note: str | None = None
    sums: SceneSums | None = field(default=None, compare=False, repr=False)


def unknown(note: str, count: int = 0) -> Estimate:
    """Return the estimate of a score that cannot be told."""
    return Estimate(None, count=count, note=note)


def ratio(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, scenes: npt.ArrayLike
) -> Estimate:
    """Return ``sum(numerators) / sum(denominators)`` with its bootstrap interval over scenes.

    The cluster bootstrap: as many scenes as there are, drawn with replacement, `REPLICATES` times;
    the interval is that of percentiles. A mean is the ratio whose denominators are 1; an item whose
    denominator is 0 is not counted.

    Args:
        numerators: of each item.
        denominators: of each item.
        scenes: the scene of each item, any labels.
    """
    counted = int(np.count_nonzero(np.asarray(denominators)))
    if not counted:
        return unknown("nothing to measure")
    value = float(np.sum(numerators) / np.sum(denominators))
    found = of_draws(value, ratio_draws(numerators, denominators, scenes), counted)
    return replace(found, sums=scene_sums(numerators, denominators, scenes))


def scene_sums(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, scenes: npt.ArrayLike
) -> SceneSums:
    """Return the sums of each scene, in the order of its labels."""
    labels, index = np.unique(np.asarray(scenes), return_inverse=True)
    return SceneSums(
        labels, *(_sums_by(index, values, len(labels)) for values in (numerators, denominators))
    )


def _sums_by(index: Integers, values: npt.ArrayLike, count: int) -> Floats:
    return np.bincount(index, np.asarray(values, np.float64), count).astype(np.float64)


def ratio_draws(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, scenes: npt.ArrayLike
) -> Floats | None:
    """Return the ratio in each replicate (NaN where it drew no item); None with too few scenes."""
    sums = scene_sums(numerators, denominators, scenes)
    if np.count_nonzero(sums.bottoms) < FEWEST_SCENES:
        return None
    weights = scene_weights(len(sums.scenes))
    below = weights @ sums.bottoms
    with np.errstate(invalid="ignore"):
        return np.where(below > 0, (weights @ sums.tops) / np.maximum(below, 1e-300), np.nan)


def of_draws(value: float, drawn: Floats | None, count: int) -> Estimate:
    """Return the estimate whose interval is that of the replicates."""
    if drawn is None:
        return Estimate(value, count=count, note=TOO_FEW)
    low, high = np.nanpercentile(drawn, LEVEL)
    return Estimate(value, float(low), float(high), count)


def ratio_difference(
    first: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
    second: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
) -> Estimate:
    """Return the first `ratio` less the second; both draw the same scenes, so that they compare.

    ``sums`` are those of the first: between two models that are held against the same second, it
    falls out.

    Args:
        first: numerators, denominators and scenes.
        second: the same of what is subtracted.
    """
    labels = np.unique(np.concatenate([np.asarray(first[2]), np.asarray(second[2])]))
    sums = []
    for top, bottom, scenes in (first, second):
        index = np.searchsorted(labels, np.asarray(scenes))
        sums += [_sums_by(index, values, len(labels)) for values in (top, bottom)]
    if not sums[1].sum() or not sums[3].sum():
        return unknown("nothing to measure")
    value = float(sums[0].sum() / sums[1].sum() - sums[2].sum() / sums[3].sum())
    counted = int(np.count_nonzero(np.asarray(first[1])))
    own = SceneSums(labels, sums[0], sums[1])
    if np.count_nonzero((sums[1] > 0) & (sums[3] > 0)) < FEWEST_SCENES:
        return Estimate(value, count=counted, note=TOO_FEW, sums=own)
    drawn = scene_weights(len(labels)) @ np.column_stack(sums)
    drawn = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3], LEVEL)
    if not sums[0].any() and not sums[2].any():
        high = never(int(np.count_nonzero(sums[1])))
        low = -high
    return Estimate(value, float(low), float(high), counted, sums=own)


def mean(values: npt.ArrayLike, scenes: npt.ArrayLike) -> Estimate:
    """Return the mean of the values that are not NaN, with its interval: see `ratio`."""
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    return ratio(np.where(known, array, 0.0), known, scenes)


def share(values: npt.ArrayLike, scenes: npt.ArrayLike) -> Estimate:
    """Return the `mean` of values between 0 and 1, with an interval also where all are alike.

    Replicates of what never happened never show it, which is no proof that it never does. So where
    every value is 0 (or 1) the far end is the exact one of Clopper and Pearson (1934), each scene a
    trial: if at most a fraction p of the scenes is non-zero, the mean is at most p.
    """
    found = mean(values, scenes)
    return bounded(found)


def bounded(found: Estimate) -> Estimate:
    """Return a share of scenes with the exact far end where it is 0 or 1: see `share`."""
    if found.low is None or found.sums is None or found.value not in (0.0, 1.0):
        return found
    far = never(int(np.count_nonzero(found.sums.bottoms)))
    low, high = (0.0, far) if found.value == 0 else (1 - far, 1.0)
    return replace(found, low=low, high=high)


def never(trials: int) -> float:
    """Return the largest probability at which nothing in so many trials is no surprise."""
    return float(1 - (LEVEL[0] / 100) ** (1 / trials))


@lru_cache(maxsize=8)
def scene_weights(scenes: int) -> Floats:
    """Return how often each replicate draws each scene: (REPLICATES, scenes)."""
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(scenes, np.full(scenes, 1 / scenes), REPLICATES).astype(np.float64)


def half_samples(
    statistic: Callable[[npt.NDArray[np.bool_]], float | None], scenes: npt.ArrayLike
) -> tuple[float, float] | None:
    """Return the interval's half-widths (below, above) of a score that counts different things.

    Drawing with replacement would make copies, and copies lower a count of different n-grams. So
    halves of the scenes are drawn without replacement: over such halves a mean spreads just as the
    mean of all scenes does over other scenes (half-sample replication, McCarthy 1966).

    Args:
        statistic: the score of the items that are kept, None where it cannot be told.
        scenes: the scene of each item.

    Returns:
        None with fewer than `FEWEST_SCENES` scenes.
    """
    labels, index = np.unique(np.asarray(scenes), return_inverse=True)
    if len(labels) < FEWEST_SCENES:
        return None
    rng = np.random.default_rng(_SEED)
    drawn = []
    for _ in range(HALF_SAMPLES):
        kept = np.zeros(len(labels), dtype=bool)
        kept[rng.permutation(len(labels))[: len(labels) // 2]] = True
        value = statistic(kept[index])
        if value is not None:
            drawn.append(value)
    if len(drawn) < HALF_SAMPLES // 2:
        return None
    low, middle, high = np.percentile(drawn, (LEVEL[0], 50, LEVEL[1]))
    return float(middle - low), float(high - middle)


def auc(
    positive: npt.ArrayLike,
    positive_scenes: npt.ArrayLike,
    negative: npt.ArrayLike,
    negative_scenes: npt.ArrayLike,
) -> Estimate:
    """Return P[positive > negative], ties half, with its interval over the scenes of both.

    The area under the receiver operating characteristic (Mann and Whitney 1947). ``sums`` are the
    positives': how many of the negatives each scene's items beat on average, and its items.
    """
    above, below = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    if not len(above) or not len(below):
        return unknown("nothing to measure")
    above_labels, above_index = np.unique(np.asarray(positive_scenes), return_inverse=True)
    below_labels, below_index = np.unique(np.asarray(negative_scenes), return_inverse=True)
    # How many pairs of scenes a, b are won by a, and how many pairs there are.
    wins = np.zeros((len(above_labels), len(below_labels)))
    for scene in range(len(below_labels)):
        own = np.sort(below[below_index == scene])
        won = np.searchsorted(own, above, "left") + np.searchsorted(own, above, "right")
        wins[:, scene] = np.bincount(above_index, won / 2, len(above_labels))
    pairs = np.outer(np.bincount(above_index), np.bincount(below_index)).astype(np.float64)
    value = float(wins.sum() / pairs.sum())
    of_positives = SceneSums(
        above_labels, wins.sum(1) / len(below), np.bincount(above_index).astype(np.float64)
    )
    if min(wins.shape) < FEWEST_SCENES:
        return Estimate(value, count=len(above), note=TOO_FEW, sums=of_positives)
    rows, columns = scene_weights(wins.shape[0]), scene_weights(wins.shape[1])[::-1]
    drawn = ((rows @ wins) * columns).sum(1) / ((rows @ pairs) * columns).sum(1)
    low, high = np.percentile(drawn, LEVEL)
    return Estimate(value, float(low), float(high), len(above), sums=of_positives)
