import math

import pytest

from cyrene_assets.evaluation.metrics.metrics import perplexity_gap


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [(1.8, 2.0, 0.1), (2.0, 2.0, 0.0), (2.2, 2.0, -0.1), (None, 2.0, None), (1.0, None, None),
     (1.0, 0.0, None), (math.nan, 1.0, None), (1.0, math.inf, None)],
)  # fmt: skip
def test_the_gap(train: float | None, validation: float | None, expected: float | None) -> None:
    gap = perplexity_gap(train, validation)
    assert gap == (None if expected is None else pytest.approx(expected))
