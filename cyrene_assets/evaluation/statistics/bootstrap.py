"""Estimates with intervals for other scenes of the same story.

Answers of one scene resemble each other, so scenes are resampled, never single answers. The seed is
fixed: the same answers give the same interval.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from cyrene_assets.evaluation.statistics.few_scenes import (
    LEVEL,
    MIN_SCENES,
    Floats,
    degrees_of_freedom,
    interval,
)

REPLICATES = 1000
HALF_SAMPLES = 60
TOO_FEW = f"no interval: fewer than {MIN_SCENES} scenes"
_SEED = 20260


@dataclass(frozen=True)
class SceneSums:
    """The sums of each scene of a score that is a ratio of sums: one entry per scene.

    `paired_bootstrap` compares two models that had the same prompts by them.
    """

    scenes: npt.NDArray[np.generic]
    numerators: Floats
    denominators: Floats


@dataclass(frozen=True)
class Estimate:
    """A score: its value, the ends of its 95% interval, the number of items, and a remark.

    ``note`` says why ``value`` is None. ``sums`` are those of a ratio of sums, ``freedom`` the
    degrees of freedom of the interval's width (`few_scenes.degrees_of_freedom`).
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    count: int = 0
    note: str | None = None
    sums: SceneSums | None = field(default=None, compare=False, repr=False)
    freedom: float = field(default=math.inf, compare=False, repr=False)


def no_estimate(note: str, count: int = 0) -> Estimate:
    """Return the estimate of a score without a value; ``note`` says why."""
    return Estimate(None, count=count, note=note)


def ratio(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, scenes: npt.ArrayLike
) -> Estimate:
    """Return ``sum(numerators) / sum(denominators)`` with its bootstrap interval over scenes.

    The cluster bootstrap: all scenes resampled with replacement, `REPLICATES` times; the interval
    is that of percentiles, `few_scenes.stretch`ed. A mean is the ratio whose denominators are 1; an
    item whose denominator is 0 is not counted.

    Args:
        numerators: of each item.
        denominators: of each item.
        scenes: the scene of each item, any labels.
    """
    counted = int(np.count_nonzero(np.asarray(denominators)))
    if not counted:
        return no_estimate("nothing to measure")
    value = float(np.sum(numerators) / np.sum(denominators))
    sums = scene_sums(numerators, denominators, scenes)
    estimate = from_replicates(value, _replicates(sums), counted, sums.denominators)
    return replace(estimate, sums=sums)


def scene_sums(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, scenes: npt.ArrayLike
) -> SceneSums:
    """Return the sums of each scene, in the order of its labels."""
    labels, index = np.unique(np.asarray(scenes), return_inverse=True)
    return SceneSums(
        labels, *(_sums_by(index, values, len(labels)) for values in (numerators, denominators))
    )


def _sums_by(index: npt.NDArray[np.int64], values: npt.ArrayLike, count: int) -> Floats:
    return np.bincount(index, np.asarray(values, np.float64), count).astype(np.float64)


def ratio_replicates(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, scenes: npt.ArrayLike
) -> Floats | None:
    """Return the ratio in each replicate (NaN where it drew no item); None with too few scenes."""
    return _replicates(scene_sums(numerators, denominators, scenes))


def _replicates(sums: SceneSums) -> Floats | None:
    if np.count_nonzero(sums.denominators) < MIN_SCENES:
        return None
    weights = scene_weights(len(sums.scenes))
    numerator, denominator = weights @ sums.numerators, weights @ sums.denominators
    with np.errstate(invalid="ignore"):
        return np.where(denominator > 0, numerator / np.maximum(denominator, 1e-300), np.nan)


def from_replicates(
    value: float, replicates: Floats | None, count: int, weights: npt.ArrayLike
) -> Estimate:
    """Return the estimate with the `few_scenes.interval` of the replicates.

    ``weights`` are what each scene counts; where two sets of scenes are compared, those of the
    smaller.
    """
    if replicates is None:
        return Estimate(value, count=count, note=TOO_FEW)
    low, high = interval(value, replicates, weights)
    return Estimate(value, low, high, count, freedom=degrees_of_freedom(weights))


def fewer(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.ArrayLike:
    """Return those of two sets of weights of scenes that tell less."""
    return min(first, second, key=degrees_of_freedom)


def ratio_difference(
    first: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
    second: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
) -> Estimate:
    """Return the first `ratio` less the second; each replicate draws the same scenes for both.

    ``sums`` are those of the first: between two models that are compared with the same second, the
    second cancels out.

    Args:
        first: numerators, denominators and scenes.
        second: the same of what is subtracted.
    """
    labels = np.unique(np.concatenate([np.asarray(first[2]), np.asarray(second[2])]))
    columns = []
    for numerators, denominators, scenes in (first, second):
        index = np.searchsorted(labels, np.asarray(scenes))
        columns += [_sums_by(index, values, len(labels)) for values in (numerators, denominators)]
    top, bottom, second_top, second_bottom = columns
    if not bottom.sum() or not second_bottom.sum():
        return no_estimate("nothing to measure")
    value = float(top.sum() / bottom.sum() - second_top.sum() / second_bottom.sum())
    counted = int(np.count_nonzero(np.asarray(first[1])))
    first_sums = SceneSums(labels, top, bottom)
    if np.count_nonzero((bottom > 0) & (second_bottom > 0)) < MIN_SCENES:
        return Estimate(value, count=counted, note=TOO_FEW, sums=first_sums)
    drawn = scene_weights(len(labels)) @ np.column_stack(columns)
    drawn = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
    differences = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
    low, high = interval(value, differences, fewer(bottom, second_bottom))
    if not top.any() and not second_top.any():
        high = zero_event_bound(int(np.count_nonzero(bottom)))
        low = -high
    return Estimate(value, low, high, counted, sums=first_sums)


def mean(values: npt.ArrayLike, scenes: npt.ArrayLike) -> Estimate:
    """Return the mean of the values that are not NaN, with its interval: see `ratio`."""
    array = np.asarray(values, np.float64)
    finite = np.isfinite(array)
    return ratio(np.where(finite, array, 0.0), finite, scenes)


def proportion(values: npt.ArrayLike, scenes: npt.ArrayLike) -> Estimate:
    """Return the `mean` of values between 0 and 1, with an interval in it, also if all are equal.

    Replicates of nothing but 0 (or 1) are all equal, so the far end is then the exact one of
    Clopper and Pearson (1934), each scene a trial: if at most a fraction p of the scenes is
    non-zero, the mean is at most p.
    """
    return with_exact_bound(mean(values, scenes))


def with_exact_bound(estimate: Estimate) -> Estimate:
    """Return a proportion with the exact far end if it is 0 or 1: see `proportion`."""
    if estimate.low is None or estimate.high is None or estimate.sums is None:
        return estimate
    if estimate.value not in (0.0, 1.0):
        return with_bounds(estimate)
    far = zero_event_bound(int(np.count_nonzero(estimate.sums.denominators)))
    low, high = (0.0, far) if estimate.value == 0 else (1 - far, 1.0)
    return replace(estimate, low=low, high=high)


def with_bounds(estimate: Estimate) -> Estimate:
    """Return the estimate of what lies between 0 and 1, with its interval cut there."""
    if estimate.low is None or estimate.high is None:
        return estimate
    return replace(estimate, low=max(estimate.low, 0.0), high=min(estimate.high, 1.0))


def zero_event_bound(trials: int) -> float:
    """Return the upper confidence bound of a probability after no event in ``trials`` trials."""
    return float(1 - (LEVEL[0] / 100) ** (1 / trials))


@lru_cache(maxsize=8)
def scene_weights(scenes: int) -> Floats:
    """Return how often each replicate draws each scene: (REPLICATES, scenes)."""
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(scenes, np.full(scenes, 1 / scenes), REPLICATES).astype(np.float64)


def half_samples(
    statistic: Callable[[npt.NDArray[np.bool_]], float | None], scenes: npt.ArrayLike
) -> float | None:
    """Return half the width of the interval of a score that counts distinct things.

    Drawing with replacement would make copies, which lower a count of distinct n-grams. So halves
    of the scenes are drawn without replacement: the mean varies over such halves as the mean of all
    scenes does over other scenes (half-sample replication, McCarthy 1966). Of so few halves the
    percentiles tell little; the width is Student's quantile times their standard deviation.

    Args:
        statistic: the score of the items that are kept, None if it has no value.
        scenes: the scene of each item.

    Returns:
        None with fewer than `MIN_SCENES` scenes.
    """
    labels, index = np.unique(np.asarray(scenes), return_inverse=True)
    if len(labels) < MIN_SCENES:
        return None
    rng = np.random.default_rng(_SEED)
    half = len(labels) // 2
    samples = (np.isin(index, rng.permutation(len(labels))[:half]) for _ in range(HALF_SAMPLES))
    drawn = [value for kept in samples if (value := statistic(kept)) is not None]
    if len(drawn) < HALF_SAMPLES // 2:
        return None
    # Of an odd number of scenes the smaller half varies more.
    spread = np.std(drawn, ddof=1) / np.sqrt(len(labels) / half - 1)
    freedom = degrees_of_freedom(np.bincount(index))
    return float(stats.t.ppf(LEVEL[1] / 100, freedom) * spread)


def auc(
    positive: npt.ArrayLike,
    positive_scenes: npt.ArrayLike,
    negative: npt.ArrayLike,
    negative_scenes: npt.ArrayLike,
) -> Estimate:
    """Return P[positive > negative], ties half, with its interval over the scenes of both.

    The area under the receiver operating characteristic (Mann and Whitney 1947). ``sums`` are the
    positives': the mean share of negatives that each scene's items exceed, summed, and its items.
    """
    above, below = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    if not len(above) or not len(below):
        return no_estimate("nothing to measure")
    above_labels, above_index = np.unique(np.asarray(positive_scenes), return_inverse=True)
    below_labels, below_index = np.unique(np.asarray(negative_scenes), return_inverse=True)
    # For each pair of scenes: in how many pairs of items the positive is higher, and of how many.
    wins = np.zeros((len(above_labels), len(below_labels)))
    for scene in range(len(below_labels)):
        scores = np.sort(below[below_index == scene])
        won = np.searchsorted(scores, above, "left") + np.searchsorted(scores, above, "right")
        wins[:, scene] = np.bincount(above_index, won / 2, len(above_labels))
    counts = np.bincount(above_index).astype(np.float64)
    pairs = np.outer(counts, np.bincount(below_index))
    replicates = None
    if min(wins.shape) >= MIN_SCENES:
        rows, columns = scene_weights(wins.shape[0]), scene_weights(wins.shape[1])[::-1]
        replicates = ((rows @ wins) * columns).sum(1) / ((rows @ pairs) * columns).sum(1)
    value = float(wins.sum() / pairs.sum())
    weights = fewer(counts, np.bincount(below_index))
    estimate = with_bounds(from_replicates(value, replicates, len(above), weights))
    return replace(estimate, sums=SceneSums(above_labels, wins.sum(1) / len(below), counts))
