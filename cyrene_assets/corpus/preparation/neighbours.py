"""Lines whose text belongs to a neighbour's place.

What a text is about is told without knowing a language: each unit has a random vector, a word's is
the sum of those of the units that it occurs in, and a text's is the sum of its words', each weighed
by how rare it is (random indexing: Kanerva, Kristoferson, Holst 2000; across translations: Sahlgren
and Karlgren 2005). Translations of a unit then lie alike, since their words occur in the same
units. What stands in a text in the same form in several languages (a number, a name, how it ends)
counts as a word of all of them. A text's own unit is taken off its words, so that where a text
stands says nothing about what it says.

A text is compared with the mean of what the other languages say at its place and at the places
before and after. How alike, and how equal in length, texts are that belong together, and texts that
are neighbours, is measured in the corpus itself.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from cyrene_assets.corpus.preparation.word_hashes import Flags, Words, begins_run

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.uint32]

DIMENSIONS = 64
# A word in a larger share of the texts says nothing of what they are about.
MAX_TEXT_SHARE = 0.1
# The logarithm of the odds, a text's and its neighbour's of the same shift together; and alone.
MIN_ODDS_TOGETHER = 3.0
MIN_ODDS_ALONE = 8.0
# Fewer tell nothing of what is usual.
MIN_TEXTS = 50
# In standard deviations: what is farther off is no worse.
MAX_DEVIATIONS = 5.5
# Places of words: 32 MB while a language's are counted.
MAX_TABLE_SIZE = 1 << 22
PLACES = ("here", "before", "after")
# Texts whose vectors are looked at together: 1 MB, which stays in a core's cache, and the memory of
# which is used again instead of fetched from the system.
BLOCK = 4096
# Texts whose words' vectors are added up together: a sum has as many rows as there are words.
LARGE_BLOCK = 1 << 16


def unit_vectors(units: Numbers, seed: int = 0) -> Floats:
    """Return a vector of 1 and -1 for each number, the same for the same number."""
    key = units.astype(np.uint64) + np.uint64(seed) * np.uint64(0x632BE59BD9B4E019)
    key = (key + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
    key ^= key >> np.uint64(31)
    bits = np.unpackbits(key.view(np.uint8).reshape(-1, 8), axis=1)
    vectors: Floats = bits.astype(np.float32)
    vectors *= 2
    vectors -= 1
    return vectors


def blocks(number: int, size: int = BLOCK) -> Iterator[slice]:
    """Yield ``number`` rows ``size`` at a time."""
    for start in range(0, number, size):
        yield slice(start, min(start + size, number))


def text_vectors(parts: Iterable[Words], units: Numbers, number_of_words: int) -> Halves:
    """Return the vector of each text, of length 1, or 0 where no word of it occurs elsewhere.

    Args:
        parts: the words of a language's texts, some texts after the others: all of a text are in
            one part.
        units: the number of each text's unit.
        number_of_words: in all parts, repetitions counted.

    Cost: 64 multiplications a word, twice; 4 bytes a word of memory, and 128 a text.
    """
    number = len(units)
    # A word's column is its place in a table that one in twenty shares with another.
    size = 1 << min(2 * number_of_words, MAX_TABLE_SIZE - 1).bit_length()
    table = _telling_words(parts, number, size)
    texts_with = np.bincount(table.indices, minlength=table.shape[1])
    of_word = np.zeros((table.shape[1], DIMENSIONS), dtype=np.float32)
    # Sums of 1 and -1 are the same in any order.
    for rows in blocks(number, LARGE_BLOCK):
        of_word += table[rows].T @ unit_vectors(units[rows])
    # A word weighs by how rare it is; a sum of random vectors grows with the root of their number.
    weight = np.log(number / texts_with) / np.sqrt(texts_with - 1)
    table.data[:] = weight[table.indices]
    vectors = np.empty((number, DIMENSIONS), dtype=np.float16)
    for rows in blocks(number):
        of_rows = table[rows]
        about = np.asarray(of_rows @ of_word)
        about -= np.asarray(of_rows.sum(axis=1)) * unit_vectors(units[rows])
        vectors[rows] = normalize_length(about)
    return vectors


def _telling_words(parts: Iterable[Words], number: int, size: int) -> csr_matrix:
    """Return a 1 for each of the words of a text that tell something, a row for each text.

    Those are the words that some texts have, and not too many. ``size`` is a power of two.
    """
    mask = np.uint64(size - 1)
    bits = np.uint64(int(mask).bit_length())
    columns = [np.zeros(0, dtype=np.int32)]
    lengths = np.zeros(number + 1, dtype=np.int64)
    for words in parts:
        key = words.text.astype(np.uint64) << bits | (words.word & mask)
        key.sort()
        key = key[begins_run(key)]
        text = (key >> bits).astype(np.int64)
        if len(text):
            of_part = np.bincount(text - text[0])
            lengths[text[0] + 1 :][: len(of_part)] += of_part
        columns.append((key & mask).astype(np.int32))
    column = np.concatenate(columns)
    columns.clear()
    texts_with = np.bincount(column, minlength=size)
    telling = (texts_with > 1) & (texts_with <= max(MAX_TEXT_SHARE * number, 2))
    kept = telling[column]
    # How many are kept before each text.
    ends = np.zeros(len(column) + 1, dtype=np.int32)
    np.cumsum(kept, out=ends[1:])
    ends = ends[np.cumsum(lengths)]
    column = column[kept]
    place = np.cumsum(telling, dtype=np.int32) - np.int32(1)
    ones = np.ones(len(column), dtype=np.float32)
    return csr_matrix((ones, place[column], ends), (number, np.count_nonzero(telling)))


def normalize_length(vectors: Floats) -> Floats:
    """Bring vectors to length 1 (or 0), in place, and return them."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.maximum(lengths, 1e-9)
    return vectors


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
