import numpy as np
import pytest

from cyrene_assets.evaluation.statistics import bootstrap


def test_a_ratio_is_sum_over_sum_and_nothing_is_named() -> None:
    found = bootstrap.ratio([1, 2, 3], [2, 2, 4], ["a", "b", "c"])
    assert found.value == 0.75
    assert (found.low, found.note) == (None, bootstrap.TOO_FEW)
    nothing = bootstrap.ratio([0.0], [0], ["a"])
    assert (nothing.value, nothing.note) == (None, "nothing to measure")


def test_the_interval_of_a_mean_is_the_textbook_s() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(3, 1, 400)
    found = bootstrap.mean(values, np.arange(400))
    assert found.low is not None
    assert found.high is not None
    half = 1.96 * values.std() / 20
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)
    assert found.low < values.mean() < found.high


def test_scenes_are_drawn_and_not_answers() -> None:
    """Ten copies of each answer tell no more than one."""
    values = np.random.default_rng(2).normal(size=30)
    once = bootstrap.mean(values, np.arange(30))
    often = bootstrap.mean(np.repeat(values, 10), np.repeat(np.arange(30), 10))
    assert (once.low, once.high) == pytest.approx((often.low, often.high))


def test_a_difference_draws_the_same_scenes_for_both() -> None:
    values = np.random.default_rng(3).normal(size=50)
    ones, scenes = np.ones(50), np.arange(50)
    found = bootstrap.ratio_difference((values + 1, ones, scenes), (values, ones, scenes))
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_halves_spread_as_wide_as_the_bootstrap() -> None:
    values = np.random.default_rng(4).normal(size=200)
    scenes = np.arange(200)
    width = bootstrap.half_samples(lambda kept: float(values[kept].mean()), scenes)
    boot = bootstrap.mean(values, scenes)
    assert width is not None
    assert boot.high is not None
    assert boot.low is not None
    assert 2 * width == pytest.approx(boot.high - boot.low, rel=0.35)
    assert bootstrap.half_samples(lambda _: 1.0, [1, 2, 3]) is None


def test_auc_counts_pairs() -> None:
    found = bootstrap.auc([1.0, 3.0], [0, 1], [2.0, 1.0], [0, 1])
    assert found.value == (0.5 + 2) / 4
    assert found.low is None
    rng = np.random.default_rng(5)
    whole = bootstrap.auc(
        rng.normal(1, 1, 100), np.arange(100), rng.normal(0, 1, 80), np.arange(80)
    )
    assert whole.low is not None
    assert whole.high is not None
    assert whole.value == pytest.approx(0.76, abs=0.07)
    assert whole.low < 0.76 < whole.high
    assert bootstrap.auc([], [], [1.0], [0]).value is None


def test_what_never_happened_in_few_scenes_may_happen_yet() -> None:
    """No event in n trials: the upper end p of the interval is where (1 - p)^n is 2.5%."""
    never = bootstrap.proportion(np.zeros(60), np.repeat(np.arange(30), 2))
    assert (never.value, never.low) == (0, 0)
    assert never.high is not None
    assert (1 - never.high) ** 30 == pytest.approx(0.025)
    always = bootstrap.proportion(np.ones(30), np.arange(30))
    assert (always.low, always.high) == pytest.approx((1 - never.high, 1))
    assert bootstrap.proportion(np.zeros(3), np.arange(3)).low is None
    mixed = np.arange(30) % 2
    assert bootstrap.proportion(mixed, np.arange(30)) == bootstrap.mean(mixed, np.arange(30))
    rare = np.eye(6)[0]
    assert bootstrap.mean(rare, np.arange(6)).low < 0  # type: ignore[operator]
    assert bootstrap.proportion(rare, np.arange(6)).low == 0


def test_a_difference_of_nothing_and_nothing_is_not_sure_either() -> None:
    nothing = (np.zeros(30), np.ones(30), np.arange(30))
    found = bootstrap.ratio_difference(nothing, nothing)
    assert (found.value, found.low, found.high) == (
        0, -bootstrap.zero_event_bound(30), bootstrap.zero_event_bound(30)
    )  # fmt: skip
