import numpy as np
import polars as pl
import pytest

from cyrene_assets.evaluation.statistics import paired_bootstrap


def sums(values: np.ndarray, language: str = "en") -> pl.DataFrame:
    """Return two answers of each scene, whose mean is its value."""
    return pl.DataFrame(
        {
            "language": [language] * len(values),
            "scene": [f"s{n:03}" for n in range(len(values))],
            "top": 2 * values,
            "bottom": np.full(len(values), 2.0),
        }
    )


def hard_and_easy(scenes: int = 60) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, scenes)


def test_a_small_lead_is_told_where_scenes_differ_more_than_models() -> None:
    scenes = hard_and_easy()
    noise = np.random.default_rng(2).normal(0, 0.05, len(scenes))
    found = paired_bootstrap.difference(sums(scenes + 0.1 + noise), sums(scenes))
    assert found is not None
    assert found.value == pytest.approx(0.1 + noise.mean())
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < 0.1 < found.high < 0.2
    assert found.count == 60


def test_equal_models_are_not_told_apart_and_the_sign_follows_the_order() -> None:
    one, other = sums(hard_and_easy()), sums(hard_and_easy() - 1)
    same = paired_bootstrap.difference(one, one)
    assert same is not None
    assert (same.value, same.low, same.high) == (0, 0, 0)
    ahead, behind = paired_bootstrap.difference(one, other), paired_bootstrap.difference(other, one)
    assert ahead is not None
    assert behind is not None
    assert ahead.value == pytest.approx(1)
    assert behind.value == pytest.approx(-1)


def test_translations_of_a_scene_are_drawn_together() -> None:
    """Thirteen languages that err alike tell no more than one; apart they would tell more."""
    one, other = hard_and_easy(), np.zeros(60)
    alone = paired_bootstrap.difference(sums(one), sums(other))
    many = [pl.concat([sums(values, f"l{n}") for n in range(13)]) for values in (one, other)]
    together = paired_bootstrap.difference(*many)
    assert alone is not None
    assert together is not None
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))


def test_only_scenes_and_languages_that_both_answered_count() -> None:
    one = pl.concat([sums(np.full(8, 3.0)), sums(np.full(8, 100.0), "th")])
    silent = sums(np.full(9, 1.0)).with_columns(
        bottom=pl.when(pl.col("scene") == "s000").then(0.0).otherwise("bottom")
    )
    found = paired_bootstrap.difference(one, silent)
    assert found is not None
    assert found.value == 2
    assert found.count == 7
    assert paired_bootstrap.difference(one, sums(np.ones(3), "kr")) is None


def test_few_scenes_have_no_interval() -> None:
    found = paired_bootstrap.difference(sums(np.ones(4)), sums(np.zeros(4)))
    assert found is not None
    assert (found.value, found.low, found.note) == (1, None, "no interval: fewer than 6 scenes")


def test_nearer_the_real_lines_is_below_zero_on_either_side() -> None:
    real = sums(np.full(20, 0.5))
    for other, expected in ((0.9, -0.3), (0.1, -0.3), (0.5, 0.1), (0.6, 0.0)):
        found = paired_bootstrap.distance_difference(
            sums(np.full(20, 0.6)), sums(np.full(20, other)), real
        )
        assert found is not None
        assert found.value == pytest.approx(expected)
