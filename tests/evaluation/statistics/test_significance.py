import math

import numpy as np
import pytest

from cyrene_assets.evaluation.statistics.bootstrap import Estimate, ratio
from cyrene_assets.evaluation.statistics.significance import holm, p_above, p_differs


def test_p_value_is_5_percent_where_the_interval_ends_at_zero() -> None:
    assert p_differs(Estimate(1.0, 0.0, 2.0, freedom=7)) == pytest.approx(0.05)
    assert p_differs(Estimate(-1.0, -2.0, 0.0, freedom=7)) == pytest.approx(0.05)
    assert p_above(Estimate(1.0, 0.5, 1.5), 0.5) == pytest.approx(0.025)
    # The longer half of a skewed interval faces zero, then the shorter one.
    assert p_differs(Estimate(5.0, 0.0, 6.0, freedom=7)) == pytest.approx(0.05)
    assert p_differs(Estimate(1.0, 0.0, 5.0, freedom=7)) > 0.05


def test_p_value_is_student_s() -> None:
    """Of tables: t = 3.365 at 5 degrees of freedom is 1% one-sided, t(.975) is 2.571."""
    above = Estimate(3.365, 3.365 - 2.571, 3.365 + 2.571, freedom=5)
    assert p_above(above) == pytest.approx(0.01, rel=0.01)
    below = Estimate(-3.365, -3.365 - 2.571, -3.365 + 2.571, freedom=5)
    assert p_above(below) == pytest.approx(0.99, rel=0.01)


def test_p_value_without_doubt_or_without_interval() -> None:
    assert p_differs(Estimate(1.0, 1.0, 1.0)) == 0
    assert p_differs(Estimate(0.0, 0.0, 0.0)) == 1
    assert p_above(Estimate(-1.0, -1.0, -1.0)) == 1
    assert p_differs(Estimate(1.0)) == p_above(Estimate(None)) == 1


def test_interval_of_a_ratio_carries_its_degrees_of_freedom() -> None:
    assert ratio(np.arange(10), np.ones(10), np.arange(10)).freedom == pytest.approx(9)
    assert ratio(np.arange(3), np.ones(3), np.arange(3)).freedom == math.inf


def test_holm_is_the_textbook_s() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
