"""Vectors of what texts are about, told without knowing a language.

Each unit has a random vector, a word's is the sum of those of the units that it occurs in, and a
text's is the sum of its words', each weighed by how rare it is (random indexing: Kanerva,
Kristoferson, Holst 2000; across translations: Sahlgren and Karlgren 2005). Translations of a unit
then lie alike, since their words occur in the same units. What stands in a text in the same form in
several languages (a number, a name, how it ends) counts as a word of all of them. A text's own unit
is taken off its words, so that where a text stands says nothing about what it says.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from cyrene_assets.corpus.preparation.word_hashes import Words, begins_run

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Numbers = npt.NDArray[np.uint32]

DIMENSIONS = 64
# A word in a larger share of the texts says nothing of what they are about.
MAX_TEXT_SHARE = 0.1
# Places of words: 32 MB while a language's are counted.
MAX_TABLE_SIZE = 1 << 22
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
