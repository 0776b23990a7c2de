"""How certain a difference is, alone and as one of a family.

A page with many comparisons names some by chance, if each may be wrong in 5% of cases. So the error
is that of a family, the comparisons that one sentence speaks of: it is at most 5% that the sentence
names any difference that is not there. Holm's procedure (1979) holds that whatever the comparisons
have in common; `benchmarks/comparisons.py` simulates it, next to a bootstrap of the largest one.
"""

import math
from collections.abc import Sequence

from scipy import special

from cyrene_assets.evaluation.statistics.bootstrap import Estimate
from cyrene_assets.evaluation.statistics.few_scenes import LEVEL

# The share of sentences that may name a difference which is not there.
ERROR = 0.05


def p_above(estimate: Estimate, bound: float = 0.0) -> float:
    """Return the one-sided p-value of the truth being at most ``bound``; 1 without an interval.

    Student's, from the half of the interval that faces the bound, or from its half-width where that
    is more: with few scenes the shorter half is too short. So what is significant has an interval
    that excludes the bound, and of a symmetric one the opposite is true as well.
    """
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return 1.0
    beyond = estimate.value - bound
    facing = estimate.value - estimate.low if beyond > 0 else estimate.high - estimate.value
    reach = max(facing, (estimate.high - estimate.low) / 2)
    if reach == 0:
        return 0.5 if beyond == 0 else float(beyond < 0)
    ends_at = special.stdtrit(estimate.freedom, LEVEL[1] / 100)
    return float(special.stdtr(estimate.freedom, -beyond / reach * ends_at))


def p_differs(estimate: Estimate) -> float:
    """Return the two-sided p-value of a difference being 0; 1 without an interval."""
    above = p_above(estimate)
    return min(1.0, 2 * min(above, 1 - above)) if estimate.low is not None else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values, each adjusted for all of them.

    Those below `ERROR` hold together: that any of them is wrong has at most that probability.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
