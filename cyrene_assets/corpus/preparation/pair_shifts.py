"""Lines whose text belongs to a neighbour's place, told by two languages at a time.

With few languages to compare with, the words that go together in the corpus tell most
(``word_pairs``), then the lengths and what kind of sentence each text ends with. How these are
where texts belong together, and where they are neighbours, is measured in the corpus itself.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.preparation.neighbours import (
    MIN_TEXTS,
    PLACES,
    Doubles,
    PlaceOdds,
    find_shifted,
    log_odds,
    log_t,
)
from cyrene_assets.corpus.preparation.word_hashes import Flags, Words
from cyrene_assets.corpus.preparation.word_pairs import WordTable, assign_parts, association_scores

STEPS = dict(zip(PLACES, (0, -1, 1), strict=True))
# The logarithm of the odds that it takes, a text's and its neighbour's together; and alone.
MIN_ODDS_TOGETHER = 5.0
MIN_ODDS_ALONE = 6.0
# Groups of texts with about as many words, and of about as many characters.
SIZES = (0.2, 0.4, 0.6, 0.8)
LENGTHS = (0.25, 0.5, 0.75)
KINDS_OF_END = 8
# Of how well texts fit by their words: few texts agree by chance.
MIN_SPREAD = 0.5


@dataclass(frozen=True)
class ShiftOdds:
    """How much likelier a language's texts are next to their place than there, as logarithms.

    Minus infinity where there is no such place.
    """

    before: Doubles
    after: Doubles

    @classmethod
    def unknown(cls, number: int) -> "ShiftOdds":
        """Return the gains of texts that nothing is known of."""
        return cls(np.full(number, -np.inf), np.full(number, -np.inf))

    def with_another(self, other: "ShiftOdds") -> "ShiftOdds":
        """Return the gains by two languages: who fits one of them at its place is there rightly."""
        return ShiftOdds(_both(self.before, other.before), _both(self.after, other.after))

    def find_shifted(self) -> Flags:
        """Say which texts belong to a neighbour's place."""
        here = np.zeros(len(self.before))
        return find_shifted(
            PlaceOdds(here, self.before, self.after), MIN_ODDS_TOGETHER, MIN_ODDS_ALONE
        )


def _both(first: Doubles, second: Doubles) -> Doubles:
    smaller, larger = np.minimum(first, second), np.maximum(first, second)
    known = np.where(smaller > 0, larger, smaller)
    return np.where(np.isinf(first), second, np.where(np.isinf(second), first, known))


@dataclass(frozen=True)
class LanguagePair:
    """What two languages say of each other: ``own`` and ``other`` gains, in the order of ``own``'s.

    ``row`` has the other language's row of each, -1 where it has none.
    """

    own: ShiftOdds
    other: ShiftOdds
    row: npt.NDArray[np.int64]


def compare_languages(
    rows: pl.DataFrame,
    own: Words,
    other: Words,
    number_of_other: int,
    scene: npt.NDArray[np.uint32],
) -> LanguagePair:
    """Say how well the texts of two languages fit next to their places.

    Args:
        rows: of each unit that the language has, in its order: ``characters`` and ``ends``
            (``agreement.classify_endings``), and of the other language ``row``,
            ``characters_other`` and ``ends_other``; null where that has none.
        own: the language's words (``WordFiles.load_telling``).
        other: the other language's.
        number_of_other: the number of its texts.
        scene: of each row.
    """
    number = len(rows)
    both_have_text = rows.select((pl.col("characters") > 0) & (pl.col("characters_other") > 0))
    known: Flags = both_have_text.to_series().fill_null(False).to_numpy()
    place = rows["row"].fill_null(-1).cast(pl.Int64).to_numpy()
    never = np.full(number, -np.inf)
    if np.count_nonzero(known) < MIN_TEXTS:
        return LanguagePair(ShiftOdds.unknown(number), ShiftOdds.unknown(number), place)
    part = assign_parts(scene)
    follows = np.zeros(number, dtype=bool)
    follows[1:] = (scene[1:] == scene[:-1]) & (part[1:] == part[:-1]) & known[1:] & known[:-1]
    precedes = np.roll(follows, -1)
    valid = {"here": known, "before": follows, "after": precedes}
    tables = WordTable.of(own, number, 1), WordTable.of(other, number_of_other, 1 << 40).at(place)
    odds = [_words(*tables, part, valid), _lengths(rows, valid), _ends(rows, valid)]
    total = {place: sum(part[place] for part in odds) for place in PLACES}
    before, after = (np.where(valid[p], total[p] - total["here"], never) for p in PLACES[1:])
    # The other language's text is to the place before as that place's text is to the one after.
    their_before = np.roll(np.where(precedes, total["after"], never), 1) - total["here"]
    their_after = np.roll(np.where(follows, total["before"], never), -1) - total["here"]
    return LanguagePair(ShiftOdds(before, after), ShiftOdds(their_before, their_after), place)


def _words(
    own: WordTable, other: WordTable, part: npt.NDArray[np.int64], valid: dict[str, Flags]
) -> dict[str, Doubles]:
    scores, words = association_scores(own, other, part, valid["here"], tuple(STEPS.values()))
    root = np.sqrt(np.maximum(words, 1))
    told = valid["here"] & (words > 0)
    if not told.any():
        return {place: np.zeros(len(words)) for place in PLACES}
    size = np.digitize(words, np.quantile(words[told], SIZES))
    groups = [told & (size == number) for number in range(len(SIZES) + 1)]
    values = {place: scores[step] / root for place, step in STEPS.items()}
    return log_odds(values, valid, groups, log_t, MIN_SPREAD)


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
