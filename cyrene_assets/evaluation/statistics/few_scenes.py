"""How far an interval reaches where the scenes are few or of unequal size.

Percentiles of a bootstrap over scenes are too near to each other then: 6 equal scenes cover 84%
instead of 95%. Two things are missing. The spread of residuals is smaller than that of errors, by
the leverage of each scene (MacKinnon and White 1985); and it is itself estimated, from so few
values that Student's quantile belongs in the place of the normal one. Unequal scenes count as fewer
(Kish 1965): the degrees of freedom lie in the middle between both counts.
`benchmarks/intervals.py` simulates it, next to what was considered instead.
"""

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

# Below it no interval is given: not even scenes that all agree would be significant at 5% in an
# exact test of signs (two in 2^5 are 6.25%).
MIN_SCENES = 6
LEVEL = (2.5, 97.5)


def degrees_of_freedom(weights: npt.ArrayLike) -> float:
    """Return the degrees of freedom of a weighted mean over scenes.

    Args:
        weights: (scenes,) what each scene counts, such as its answers; those of 0 are left out.
    """
    shares = _shares(weights)
    return float((len(shares) + 1 / (shares**2).sum()) / 2 - 1)


def stretch(weights: npt.ArrayLike) -> float:
    """Return by what the ends of a bootstrap's interval are moved away from the value.

    Args:
        weights: as of `degrees_of_freedom`; more than one scene.
    """
    shares = _shares(weights)
    leverage = np.sqrt((shares**2 / (1 - shares)).sum() / (shares**2).sum())
    end = LEVEL[1] / 100
    return float(leverage * stats.t.ppf(end, degrees_of_freedom(weights)) / stats.norm.ppf(end))


def interval(value: float, replicates: Floats, weights: npt.ArrayLike) -> tuple[float, float]:
    """Return the ends of the 95% interval: the replicates' percentiles, stretched about the value.

    Args:
        value: the estimate itself.
        replicates: of the bootstrap, NaN where one has no value.
        weights: as of `stretch`.
    """
    low, high = np.nanpercentile(replicates, LEVEL)
    factor = stretch(weights)
    return float(value - factor * (value - low)), float(value + factor * (high - value))


def _shares(weights: npt.ArrayLike) -> Floats:
    counted = np.asarray(weights, np.float64)
    counted = counted[counted > 0]
    return np.asarray(counted / counted.sum(), np.float64)
