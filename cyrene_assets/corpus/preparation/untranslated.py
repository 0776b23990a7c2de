"""Texts that are, in all or in half, what the original language says of the same unit.

A word is evidence where the original's text of the unit has it too, and in so far as it is likelier
in other texts of the original than in other texts of the language it stands in: names, loan words
and what related languages share are none. So a copy is found though it was altered, in any script,
and so is the half of a line that was left as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.preparation.bare_words import count_vocabulary, hash_bare_words
from cyrene_assets.corpus.preparation.word_hashes import (
    UNSPACED,
    Flags,
    Hashes,
    Vocabulary,
    Words,
    begins_run,
    sample_texts,
    table_places,
    text_starts,
)

# What a word costs that the original's text of the unit does not have.
NOT_SHARED = -2.0
# Of what a copy or a half must show in all; about e to the tenth to one.
MIN_EVIDENCE = 10.0
# Of its words, at least so many are in a copy, and in what is left of half a line.
MIN_COPIED_SHARE = 0.7
MIN_LEFT_SHARE = 0.2
# The same where the one is counted in words and the other in characters, of which there are more.
MIN_LEFT_SHARE_OF_CHARACTERS = 0.05
# Words that are looked up together: bounds memory to some MB.
WORDS_AT_ONCE = 1 << 17
# Bits of a key that the unit's number has; a word's hash has the others.
UNIT_BITS = np.uint64(32)


@dataclass(frozen=True)
class OriginalTexts:
    """The original's texts, in the order of its rows, with the units' numbers."""

    texts: pl.Series
    unit: npt.NDArray[np.uint32]
    scripts: tuple[str, ...]

    def in_words(self, *, characters: bool) -> "OriginalWords":
        """Return its words, each character one or not."""
        return self._characters if characters else self._words

    @cached_property
    def natural(self) -> Words:
        """The words of some of its texts."""
        return hash_bare_words(sample_texts(self.texts))

    @cached_property
    def _characters(self) -> "OriginalWords":
        return OriginalWords.of(self, characters=True)

    @cached_property
    def _words(self) -> "OriginalWords":
        return OriginalWords.of(self, characters=False)


@dataclass(frozen=True)
class OriginalWords:
    """Which word each unit has, as sorted keys, and in how many texts each is."""

    keys: Hashes
    vocabulary: Vocabulary

    @classmethod
    def of(cls, original: OriginalTexts, *, characters: bool) -> "OriginalWords":
        """Count the original's words."""
        words = hash_bare_words(original.texts, characters=characters)
        keys = _keys(words, original.unit)
        keys.sort()  # ten times as fast as numpy's own search for what is unique
        return cls(keys[begins_run(keys)], count_vocabulary(words, original.scripts))

    def has(self, words: Words, unit: npt.NDArray[np.uint32]) -> Flags:
        """Say of each word whether its unit has it in the original."""
        shared = np.zeros(len(words.word), dtype=bool)
        for start in range(0, len(words.word) if len(self.keys) else 0, WORDS_AT_ONCE):
            some = slice(start, start + WORDS_AT_ONCE)
            keys = _keys(replace(words, text=words.text[some], word=words.word[some]), unit)
            place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            shared[some] = self.keys[place] == keys
        return shared


def _keys(words: Words, unit: npt.NDArray[np.uint32]) -> Hashes:
    keys: Hashes = unit[words.text].astype(np.uint64) << UNIT_BITS
    return keys | (words.word >> UNIT_BITS)


@dataclass(frozen=True)
class Untranslated:
    """Which texts are nearly the original's (``copied``), and which are so in half."""

    copied: Flags
    half: Flags


def find_untranslated(
    texts: Callable[[], pl.Series],
    words: Words,
    unit: npt.NDArray[np.uint32],
    own: Vocabulary,
    original: OriginalTexts,
) -> Untranslated:
    """Say which texts of a language are the original's of the same unit, in all or in half.

    Half of a text is a part that it begins or ends with. ``words`` and ``own`` are the language's
    bare words and its vocabulary; ``texts`` returns its texts, whose characters are compared where
    one of the two languages is written in such. Cost: a binary search for each word.
    """
    nothing = np.zeros(len(unit), dtype=bool)
    natural, own_characters = original.natural, own.characters
    characters = own_characters or natural.characters
    if characters != own_characters:
        # Half of such an original's text has some of its characters.
        own_texts = texts()
        rows = own_texts.str.contains(UNSPACED).fill_null(False).arg_true()
        words = hash_bare_words(own_texts.gather(rows), characters=characters)
        words = replace(words, text=rows.to_numpy()[words.text])
        own = count_vocabulary(words, own.scripts)
    if not len(words.text):
        return Untranslated(nothing, nothing)
    original_words = original.in_words(characters=characters)
    shared = original_words.has(words, unit)
    # Hardly a text shares as many words as it takes.
    starts = text_starts(words)
    lengths = np.diff(starts, append=len(words.text))
    enough_words = np.add.reduceat(shared, starts, dtype=np.int64) >= natural.shingle_words
    if not enough_words.any():
        return Untranslated(nothing, nothing)
    chosen = np.repeat(enough_words, lengths)
    words, shared = replace(words, text=words.text[chosen], word=words.word[chosen]), shared[chosen]
    place = table_places(words)
    in_original = original_words.vocabulary.elsewhere(place)
    likelier = original_words.vocabulary.log_probability(in_original)
    likelier -= own.log_probability(own.elsewhere(place))
    evidence = np.where(shared, likelier, NOT_SHARED)
    starts = text_starts(words)
    lengths = np.diff(starts, append=len(words.text))
    of_text = words.text[starts]
    copied, half = nothing.copy(), nothing.copy()
    total = np.add.reduceat(evidence, starts)
    parts = np.add.reduceat(shared.astype(np.int64), starts)
    running = np.cumsum(evidence)
    before = np.repeat(running[starts] - evidence[starts], lengths)
    begins = np.maximum.reduceat(running - before, starts)
    ends = total - np.minimum.reduceat(running - before - evidence, starts)
    best = np.maximum(begins, ends)
    enough = best >= MIN_EVIDENCE
    nearly = enough & (parts >= MIN_COPIED_SHARE * lengths)
    copied[of_text[nearly]] = True
    min_share = (
        MIN_LEFT_SHARE if own_characters == natural.characters else MIN_LEFT_SHARE_OF_CHARACTERS
    )
    half[of_text[enough & ~nearly & (parts >= min_share * lengths)]] = True
    return Untranslated(copied, half)
