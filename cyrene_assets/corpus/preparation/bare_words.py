"""Words without punctuation, and in how many texts each is."""

import numpy as np
import polars as pl

from cyrene_assets.corpus.preparation.word_hashes import (
    Hashes,
    Vocabulary,
    Words,
    between_blanks,
    places,
    words_of,
    written_in_characters,
)

# A word's first letters: how it is inflected says nothing of what it is about.
STEM = 5


def bare_words(texts: pl.Series, *, characters: bool | None = None) -> Words:
    """Return the words of texts without punctuation."""
    bare = _bare(texts)
    words = words_of(bare, characters=characters)
    if words.characters:
        return words
    there = bare.str.len_bytes().fill_null(0).to_numpy()[words.text] > 0
    return Words(words.text[there], words.word[there], words.characters, words.to_say)


def words_and_stems(texts: pl.Series) -> tuple[Words, Hashes | None]:
    """Return the bare words, and of each what is left without its ending; None of characters."""
    bare = _bare(texts)
    if written_in_characters(bare):
        return words_of(bare, characters=True), None
    text, word = between_blanks(bare)
    there = bare.str.len_bytes().fill_null(0).to_numpy()[text] > 0
    stems = word.str.slice(0, STEM).hash().to_numpy()[there]
    return Words(text[there], word.hash().to_numpy()[there], False, 3), stems


def _bare(texts: pl.Series) -> pl.Series:
    return texts.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars()


def vocabulary(words: Words, scripts: tuple[str, ...]) -> Vocabulary:
    """Return in how many texts each word is."""
    return Vocabulary.of(once_each(words), scripts)


def once_each(words: Words) -> Words:
    """Return each word of a text once, by its place in a vocabulary."""
    place = places(words).astype(np.uint64)
    key = words.text.astype(np.uint64) << np.uint64(32) | place
    key.sort()  # ten times as fast as numpy's own search for what is unique
    key = key[np.diff(key, prepend=~key[:1]) != 0]
    text = (key >> np.uint64(32)).astype(np.uint32)
    return Words(text, key & np.uint64(2**32 - 1), words.characters, words.to_say)
