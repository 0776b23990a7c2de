"""Lines whose text belongs to a neighbour's place.

A text is compared with the mean of what the other languages say at its place and at the places
before and after (:mod:`~cyrene_assets.corpus.preparation.text_vectors`). How alike, and how equal
in length, texts are that belong together, and texts that are neighbours, is measured in the corpus
itself.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cyrene_assets.corpus.preparation.text_vectors import (
    Floats,
    Halves,
    Numbers,
    blocks,
    normalize_length,
)
from cyrene_assets.corpus.preparation.word_hashes import Flags

Doubles = npt.NDArray[np.float64]

# The logarithm of the odds, a text's and its neighbour's of the same shift together; and alone.
MIN_ODDS_TOGETHER = 3.0
MIN_ODDS_ALONE = 8.0
# Fewer tell nothing of what is usual.
MIN_TEXTS = 50
# In standard deviations: what is farther off is no worse.
MAX_DEVIATIONS = 5.5
PLACES = ("here", "before", "after")


@dataclass(frozen=True)
class PlaceSimilarity:
    """How alike each text, and what the others say at its place and next to it, are (cosine).

    ``alike`` is 0 where there is no such place; ``told`` are the texts of which anything is known.
    """

    alike: dict[str, Floats]
    told: Flags


def compare_places(vectors: Halves, total: Floats, units: Numbers) -> PlaceSimilarity:
    """Compare each text of a language with the mean of what the other languages say.

    Args:
        vectors: of the language's texts, in order.
        total: of each unit, the sum of the vectors of all languages.
        units: of each text.

    Cost: 64 multiplications a text and place.
    """
    number = len(units)
    alike = {place: np.zeros(number, dtype=np.float32) for place in PLACES}
    told = np.zeros(number, dtype=bool)
    for rows in blocks(number):
        # With the text before and the one after.
        first, last = max(rows.start - 1, 0), min(rows.stop + 1, number)
        own = vectors[first:last].astype(np.float32)
        others = total[units[first:last]]
        others -= own
        normalize_length(others)
        inside = slice(rows.start - first, rows.stop - first)
        told[rows] = own[inside].any(axis=1) & others[inside].any(axis=1)
        for place, step in zip(PLACES, (0, 1, -1), strict=True):
            # Of the text at i the others' at i - step.
            start, stop = max(rows.start, step), min(rows.stop, number + step)
            alike[place][start:stop] = np.einsum(
                "nd,nd->n",
                own[start - first : stop - first],
                others[start - step - first : stop - step - first],
            )
    return PlaceSimilarity(alike, told)


@dataclass(frozen=True)
class PlaceOdds:
    """The logarithm of how much likelier than a neighbour's a text is at its place, and next to it.

    Minus infinity where there is no such place.
    """

    here: Doubles
    before: Doubles
    after: Doubles


def place_odds(
    similarity: PlaceSimilarity, lengths: Doubles, expected: Doubles, scene: Numbers
) -> PlaceOdds | None:
    """Say how well each text fits its place, the one before and the one after, in its scene.

    Args:
        similarity: of the language's texts, in order.
        lengths: natural logarithms of the texts' numbers of characters.
        expected: the same, by all languages; NaN where no other language has the unit.
        scene: of each text.

    Returns:
        None where there are too few texts to tell what is usual.
    """
    known = ~np.isnan(expected)
    if np.count_nonzero(known) < MIN_TEXTS:
        return None
    follows = np.zeros(len(lengths), dtype=bool)
    follows[1:] = (scene[1:] == scene[:-1]) & known[1:] & known[:-1]
    valid = {"here": known, "before": follows, "after": np.roll(follows, -1)}
    longer = {
        place: lengths - np.roll(expected, step)
        for place, step in zip(PLACES, (0, 1, -1), strict=True)
    }
    size = np.digitize(np.nan_to_num(expected), np.nanquantile(expected, [0.25, 0.5, 0.75]))
    about = log_odds(similarity.alike, valid, [similarity.told], log_normal)
    long = log_odds(longer, valid, [known & (size == number) for number in range(4)], log_t)
    odds = [
        np.where(valid[place], about[place] + long[place], -np.inf if place != "here" else 0.0)
        for place in PLACES
    ]
    return PlaceOdds(*odds)


def log_odds(
    values: Mapping[str, Floats | Doubles],
    valid: Mapping[str, Flags],
    groups: list[Flags],
    log_density: Callable[[Doubles, float], Doubles],
    min_spread: float = 1e-3,
) -> dict[str, Doubles]:
    """Return how much likelier each value is of a text in its place than of a neighbour's.

    Both are measured, in each group of texts; a standard deviation is ``min_spread`` at least.
    """
    result = {place: np.zeros(len(value)) for place, value in values.items()}
    for members in groups:
        belong = values["here"][members & valid["here"]]
        adjacent = np.concatenate([values[p][members & valid[p]] for p in ("before", "after")])
        if min(len(belong), len(adjacent)) < MIN_TEXTS // 4:
            continue
        samples = [_middle_and_spread(sample, min_spread) for sample in (belong, adjacent)]
        for place, value in values.items():
            chosen = members & valid[place]
            own = value[chosen].astype(np.float64)
            of_own, of_adjacent = (
                log_density((own - middle) / spread, spread) for middle, spread in samples
            )
            result[place][chosen] = of_own - of_adjacent
    return result


def _middle_and_spread(sample: Floats | Doubles, min_spread: float) -> tuple[float, float]:
    """Return the sample's median, and one standard deviation."""
    middle = float(np.median(sample))
    # The median of the absolute values of a normal variable is 0.6745 standard deviations.
    return middle, max(float(np.median(np.abs(sample - middle))) / 0.6745, min_spread)


def log_normal(deviations: Doubles, spread: float) -> Doubles:
    """Return the logarithm of a normal density, but for a constant; what is far is as bad."""
    return -np.minimum(deviations**2, MAX_DEVIATIONS**2) / 2 - math.log(spread)


def log_t(deviations: Doubles, spread: float) -> Doubles:
    """Return the logarithm of Student's density with 4 degrees of freedom, but for a constant."""
    return -2.5 * np.log1p(deviations**2 / 4) - math.log(spread)


def find_shifted(
    odds: PlaceOdds, together: float = MIN_ODDS_TOGETHER, alone: float = MIN_ODDS_ALONE
) -> Flags:
    """Say which texts belong to a neighbour's place.

    A text counts as shifted with a neighbour that is shifted too, as in two that changed places or
    in a row of them, or alone where the odds are high; ``together`` and ``alone`` are how high.
    """
    up, down = odds.before - odds.here, odds.after - odds.here
    result = np.zeros(len(up), dtype=bool)
    for own, back, step in ((up, down, 1), (down, up, -1)):
        # In a row of shifted texts each neighbour is; of two that changed places, the other one.
        support = np.maximum(np.roll(back, step), np.maximum(np.roll(own, 1), np.roll(own, -1)))
        result |= (own > 1) & (support > 1) & (own + support > together)
        result |= own > alone
    return result
