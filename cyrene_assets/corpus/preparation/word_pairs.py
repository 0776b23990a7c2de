"""How well texts of two languages fit each other, by the words that go together in the corpus.

Of each text its rarest words count, but for those that are too rare to tell anything. How often two
words stand in texts of one unit, against chance, says whether one translates the other; a pair
counts the less, the better other words of the text explain each of them (a symmetric step of IBM
model 1: Brown et al. 1993; Liang, Taskar, Klein 2006). What is learned from some texts is applied
to others alone (cross-fitting), so that no text is evidence for itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cyrene_assets.corpus.preparation.word_hashes import Flags, Words

Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

# Of a text so many words count, and of those in so many texts at least: words, and characters.
MAX_WORDS, MAX_CHARACTERS = 14, 24
MIN_WORDS, MIN_CHARACTERS = 4, 12
# A word in a larger share of the texts says nothing of what they are about.
MAX_TEXT_SHARE = 0.1
# Parts of the corpus, each judged by what the others say; rows in a row that are of one part.
PARTS = 4
ROWS_IN_A_PART = 512
# So many texts of the other parts tell what goes together; more tell hardly more.
MAX_LEARNED_FROM = 30_000
# Of the table of pairs, by their hash: 16 MB.
TABLE_SIZE = 1 << 22
# Texts that are looked at together: their pairs stay in a core's cache.
BLOCK = 256
# What a pair counts that was never seen, and how much evidence a word is without any.
UNSEEN = 0.2
UNSEEN_LIKELY = 0.3
MIN_EVIDENCE = 0.1
# Of what a text itself says of a pair of its words, so much is taken off while learning.
OWN = 0.9


@dataclass(frozen=True)
class WordTable:
    """Of each text some words: their numbers, and -1; ``hashed`` are the same, spread evenly."""

    word: Numbers
    hashed: npt.NDArray[np.uint32]
    distinct: int

    @classmethod
    def of(cls, words: Words, number: int, seed: int) -> "WordTable":
        """Choose the words of the first ``number`` texts."""
        max_words = MAX_CHARACTERS if words.characters else MAX_WORDS
        min_texts = MIN_CHARACTERS if words.characters else MIN_WORDS
        distinct, word = np.unique(words.word, return_inverse=True)
        pairs = np.unique(words.text.astype(np.int64) * len(distinct) + word)
        text, word = np.divmod(pairs, max(len(distinct), 1))
        texts_with = np.bincount(word, minlength=len(distinct))
        telling = (texts_with >= min_texts) & (
            texts_with <= max(MAX_TEXT_SHARE * number, min_texts)
        )
        text, word = text[telling[word]], word[telling[word]]
        order = np.lexsort((texts_with[word], text))
        text, word = text[order], word[order]
        place = np.arange(len(text)) - np.searchsorted(text, text)
        chosen = place < max_words
        table = np.full((number, max_words), -1, dtype=np.int64)
        table[text[chosen], place[chosen]] = word[chosen]
        key = (table + seed).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        return cls(
            table,
            (key >> np.uint64(40)).astype(np.uint32) & np.uint32(TABLE_SIZE - 1),
            len(distinct),
        )

    def at(self, rows: Numbers) -> "WordTable":
        """Return the table of these rows, -1 of none."""
        has_row = rows >= 0
        word = np.where(has_row[:, None], self.word[rows], -1)
        return WordTable(word, self.hashed[rows], self.distinct)

    def texts_with(self, rows: Numbers) -> Singles:
        """Return in how many of these texts each word is."""
        words = self.word[rows]
        counts = np.bincount(words[words >= 0], minlength=self.distinct)
        return counts.astype(np.float32)


@dataclass(frozen=True)
class Associations:
    """What some texts say of pairs of words: how often they go together, and each is."""

    texts: int
    together: Singles
    own: Singles
    other: Singles


def assign_parts(scene: npt.NDArray[np.uint32]) -> Numbers:
    """Return the part of the corpus that each row is of: mostly a scene's is the same."""
    rows: Numbers = np.arange(len(scene)) // ROWS_IN_A_PART
    return (rows + scene) % PARTS


def association_scores(
    own: WordTable, other: WordTable, part: Numbers, known: Flags, step: tuple[int, ...]
) -> tuple[dict[int, Singles], Numbers]:
    """Return how well each text fits the other language's, so many places on; and its words.

    Args:
        own: the words of a language's texts, in order.
        other: those of the other language's texts of the same units.
        part: of each row (``assign_parts``).
        known: whether both languages have text there.
        step: the places, 0 for the text's own.

    Cost: some microseconds a text and step.
    """
    number = len(part)
    scores = {places: np.zeros(number, dtype=np.float32) for places in step}
    words = np.zeros(number, dtype=np.int64)
    for number_of_part in range(PARTS):
        others = np.flatnonzero((part != number_of_part) & known)
        learned = _learn_associations(own, other, others[:: len(others) // MAX_LEARNED_FROM + 1])
        rows = np.flatnonzero((part == number_of_part) & known)
        for chosen in _blocks(rows):
            for places in step:
                at_place = np.clip(chosen + places, 0, number - 1)
                scores[places][chosen], count = _score(own, other, chosen, at_place, learned)
                if places == 0:
                    words[chosen] = count
    return scores, words


def _blocks(rows: Numbers) -> Iterator[Numbers]:
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK]


def _learn_associations(own: WordTable, other: WordTable, rows: Numbers) -> Associations:
    first, second = own.texts_with(rows), other.texts_with(rows)
    together = np.zeros(TABLE_SIZE, dtype=np.float32)
    for chosen in _blocks(rows):
        place, both = _pairs(own, other, chosen, chosen)
        np.add.at(together, place[both], 1)
    better = np.zeros(TABLE_SIZE, dtype=np.float32)
    for chosen in _blocks(rows):
        place, both = _pairs(own, other, chosen, chosen)
        chance = first[own.word[chosen]][:, :, None] * second[other.word[chosen]][:, None, :]
        ratio = np.where(both, np.maximum(together[place] - OWN, 1e-3) * len(rows), 0)
        ratio /= np.maximum(chance, 1)
        share = ratio / np.sqrt(
            (ratio.sum(2, keepdims=True) + 1) * (ratio.sum(1, keepdims=True) + 1)
        )
        np.add.at(better, place[both], share[both])
    return Associations(len(rows), better, first, second)


def _pairs(
    own: WordTable, other: WordTable, rows: Numbers, other_rows: Numbers
) -> tuple[npt.NDArray[np.uint32], Flags]:
    """Return where the table has each pair of words of two texts, and whether both are words."""
    place = own.hashed[rows][:, :, None] ^ other.hashed[other_rows][:, None, :]
    both: Flags = (own.word[rows] >= 0)[:, :, None] & (other.word[other_rows] >= 0)[:, None, :]
    return place, both


def _score(
    own: WordTable, other: WordTable, rows: Numbers, other_rows: Numbers, learned: Associations
) -> tuple[Singles, Numbers]:
    place, both = _pairs(own, other, rows, other_rows)
    first = np.where(own.word[rows] >= 0, learned.own[own.word[rows]], 0)
    second = np.where(other.word[other_rows] >= 0, learned.other[other.word[other_rows]], 0)
    both &= (first > 0)[:, :, None] & (second > 0)[:, None, :]
    chance = first[:, :, None] * second[:, None, :] / np.float32(max(learned.texts, 1))
    ratio = (learned.together[place] + np.float32(UNSEEN * UNSEEN_LIKELY)) / (
        chance + np.float32(UNSEEN)
    )
    ratio[~both] = 0
    total = np.zeros(len(rows), dtype=np.float32)
    for axis, seen in ((2, first > 0), (1, second > 0)):
        told = seen & both.any(axis)
        total += np.where(told, np.log(MIN_EVIDENCE + ratio.max(axis)), 0).sum(1)
    return total, (first > 0).sum(1) + (second > 0).sum(1)
