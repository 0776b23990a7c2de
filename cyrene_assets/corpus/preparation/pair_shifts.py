"""Lines of one of two languages whose text belongs to a neighbour's place.

With one language to compare with, the words that go together in the corpus tell most
(``word_pairs``), then the lengths and what kind of sentence each text ends with. How these are
where texts belong together, and where they are neighbours, is measured in the corpus itself.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.preparation.neighbours import (
    FEWEST_TEXTS,
    PLACES,
    Doubles,
    Fit,
    log_odds,
    log_t,
    shifted,
)
from cyrene_assets.corpus.preparation.word_pairs import Table, fits, parts_of
from cyrene_assets.corpus.words import Flags, Words

STEPS = dict(zip(PLACES, (0, -1, 1), strict=True))
# The logarithm of the odds that it takes, a text's and its neighbour's together; and alone.
TOGETHER = 5.0
ALONE = 6.0
# Groups of texts with about as many words, and of about as many characters.
SIZES = (0.2, 0.4, 0.6, 0.8)
LENGTHS = (0.25, 0.5, 0.75)
KINDS_OF_END = 8
# Of how well texts fit by their words: few texts agree by chance.
LEAST_SPREAD = 0.5


def shifted_in_pair(
    rows: pl.DataFrame, own: Words, other: Words, scene: npt.NDArray[np.uint32]
) -> Flags:
    """Say which of a language's texts belong next to their place, or a neighbour to theirs.

    Of two languages alone nothing tells which one is shifted.

    Args:
        rows: of each unit that the language has, in its order: ``characters`` and ``ends``
            (``agreement.ends_of``), and of the other language ``row``, ``characters_other`` and
            ``ends_other``; null where that has none.
        own: the language's words (``KeptWords.telling``).
        other: the other language's.
        scene: of each row.
    """
    number = len(rows)
    there = rows.select((pl.col("characters") > 0) & (pl.col("characters_other") > 0))
    known: Flags = there.to_series().fill_null(False).to_numpy()
    if np.count_nonzero(known) < FEWEST_TEXTS:
        return np.zeros(number, dtype=bool)
    part = parts_of(scene)
    follows = np.zeros(number, dtype=bool)
    follows[1:] = (scene[1:] == scene[:-1]) & (part[1:] == part[:-1]) & known[1:] & known[:-1]
    precedes = np.roll(follows, -1)
    valid = {"here": known, "before": follows, "after": precedes}
    place = rows["row"].fill_null(-1).cast(pl.Int64).to_numpy()
    tables = Table.of(own, number, 1), Table.of(other, int(place.max()) + 1, 1 << 40).at(place)
    odds = [_words(*tables, part, valid), _lengths(rows, valid), _ends(rows, valid)]
    total = {place: sum(one[place] for one in odds) for place in PLACES}
    never = np.full(number, -np.inf)
    here = np.where(known, total["here"], 0.0)
    before, after = (np.where(valid[p], total[p], never) for p in ("before", "after"))
    found = shifted(Fit(here, before, after), TOGETHER, ALONE)
    # The same, from the other language's texts: its text before is alike to this one as that is
    # to the text after.
    their_before = np.where(follows, np.roll(after, 1), never)
    their_after = np.where(precedes, np.roll(before, -1), never)
    return found | shifted(Fit(here, their_before, their_after), TOGETHER, ALONE)


def _words(
    own: Table, other: Table, part: npt.NDArray[np.int64], valid: dict[str, Flags]
) -> dict[str, Doubles]:
    found, words = fits(own, other, part, valid["here"], tuple(STEPS.values()))
    root = np.sqrt(np.maximum(words, 1))
    told = valid["here"] & (words > 0)
    if not told.any():
        return {place: np.zeros(len(words)) for place in PLACES}
    size = np.digitize(words, np.quantile(words[told], SIZES))
    groups = [told & (size == number) for number in range(len(SIZES) + 1)]
    values = {place: found[step] / root for place, step in STEPS.items()}
    return log_odds(values, valid, groups, log_t, LEAST_SPREAD)


def _lengths(rows: pl.DataFrame, valid: dict[str, Flags]) -> dict[str, Doubles]:
    own, other = (
        np.log(np.maximum(rows[side].fill_null(0).to_numpy(), 1).astype(np.float64))
        for side in ("characters", "characters_other")
    )
    size = np.digitize(own, np.quantile(own[valid["here"]], LENGTHS))
    groups = [size == number for number in range(len(LENGTHS) + 1)]
    values = {place: np.roll(other, -step) - own for place, step in STEPS.items()}
    return log_odds(values, valid, groups, log_t)


def _ends(rows: pl.DataFrame, valid: dict[str, Flags]) -> dict[str, Doubles]:
    own, other = (rows[side].fill_null(0).to_numpy() for side in ("ends", "ends_other"))
    both = {p: own.astype(np.int64) * KINDS_OF_END + np.roll(other, -s) for p, s in STEPS.items()}
    counts = {
        place: np.bincount(both[place][valid[place]], minlength=KINDS_OF_END**2) for place in PLACES
    }
    together, next_to = counts["here"] + 0.5, counts["before"] + counts["after"] + 0.5
    odds = np.log(together / together.sum()) - np.log(next_to / next_to.sum())
    return {place: np.where(valid[place], odds[both[place]], 0.0) for place in PLACES}
