"""What intervals promise, by simulation: data whose truth is known, few scenes, unequal ones."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from cyrene_assets.evaluation.statistics import bootstrap, few_scenes, paired_bootstrap

RUNS = 300
# Four standard errors of a share of RUNS about 95%, and what unequal scenes are on the safe side.
COVERAGE = (0.905, 0.99)
EQUAL = (30,) * 6
UNEQUAL = (200, 100, 67, 50, 40, 33, 29, 25)


def scene_sums(sizes: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return each scene's sum of items around 0 that resemble each other within a scene."""
    items = np.array(sizes)
    return np.asarray(items * rng.normal(0, 0.5, len(items)) + rng.normal(0, np.sqrt(items)))


@pytest.mark.parametrize("sizes", [EQUAL, UNEQUAL, (30,) * 30], ids=["6", "8 unequal", "30"])
def test_95_percent_of_the_intervals_of_a_mean_hold_the_truth(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    scenes = np.arange(len(sizes))
    held = 0
    for _ in range(RUNS):
        found = bootstrap.ratio(scene_sums(sizes, rng), sizes, scenes)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
    assert COVERAGE[0] <= held / RUNS <= COVERAGE[1]


@pytest.mark.parametrize("sizes", [EQUAL, UNEQUAL], ids=["6", "8 unequal"])
def test_equal_models_are_seldom_told_apart(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(RUNS):
        hard = scene_sums(sizes, rng)
        one, other = (frame(hard + scene_sums(sizes, rng), sizes) for _ in range(2))
        found = paired_bootstrap.difference(one, other)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        false += not found.low <= 0 <= found.high
    assert false / RUNS <= 1 - COVERAGE[0]


def test_intervals_of_diversity_hold_the_truth_with_six_scenes() -> None:
    """The score is a mean here, whose truth is known; halves are drawn as for diversity."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(RUNS):
        values = np.repeat(rng.normal(0, 1, 6), 5) + rng.normal(0, 1, 30)
        width = bootstrap.half_samples(
            lambda kept, values=values: float(values[kept].mean()),  # type: ignore[misc]
            np.repeat(np.arange(6), 5),
        )
        assert width is not None
        held += abs(values.mean()) <= width
    assert COVERAGE[0] <= held / RUNS <= COVERAGE[1]


def test_what_no_exact_test_could_say_is_not_said() -> None:
    """Five differences of one sign are 6.25% in an exact test of signs, so nothing is claimed."""
    leads = np.array([0.01, 0.01, 0.03, 0.01, 0.02])
    found = paired_bootstrap.difference(frame(leads, (1,) * 5), frame(np.zeros(5), (1,) * 5))
    assert found is not None
    assert (found.low, found.note) == (None, bootstrap.TOO_FEW)


def test_equal_scenes_are_stretched_as_a_t_test_s() -> None:
    for scenes in (6, 10, 100):
        expected = stats.t.ppf(0.975, scenes - 1) / stats.norm.ppf(0.975)
        expected *= np.sqrt(scenes / (scenes - 1))
        assert few_scenes.stretch(np.full(scenes, 7)) == pytest.approx(expected)
    assert few_scenes.stretch([1, 1, 0, 1, 1, 1, 1, 0]) == few_scenes.stretch(np.ones(6))


def test_unequal_scenes_are_stretched_further_than_equal_ones() -> None:
    assert few_scenes.stretch(UNEQUAL) > few_scenes.stretch(np.ones(len(UNEQUAL)))
    assert few_scenes.degrees_of_freedom(np.ones(8)) == pytest.approx(7)
    assert few_scenes.degrees_of_freedom([1e9, *[1] * 7]) == pytest.approx(3.5)


def frame(tops: np.ndarray, sizes: tuple[int, ...]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "language": "en",
            "scene": [f"s{n:03}" for n in range(len(sizes))],
            "top": tops,
            "bottom": np.array(sizes, np.float64),
        }
    )
