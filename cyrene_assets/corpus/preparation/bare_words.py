"""Words without punctuation, and in how many texts each is."""

import numpy as np
import polars as pl

from cyrene_assets.corpus.preparation.word_hashes import Vocabulary, Words, places, words_of


def bare_words(texts: pl.Series, *, characters: bool | None = None) -> Words:
    """Return the words of texts without punctuation."""
    bare = texts.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars()
    words = words_of(bare, characters=characters)
    if words.characters:
        return words
    there = bare.str.len_bytes().fill_null(0).to_numpy()[words.text] > 0
    return Words(words.text[there], words.word[there], words.characters, words.to_say)


def vocabulary(words: Words, scripts: tuple[str, ...]) -> Vocabulary:
    """Return in how many texts each word is."""
    return Vocabulary.of(once_each(words), scripts)


def once_each(words: Words) -> Words:
    """Return each word of a text once."""
    place = places(words).astype(np.uint64)
    _, first = np.unique(words.text.astype(np.uint64) << np.uint64(32) | place, return_index=True)
    first.sort()
    return Words(words.text[first], words.word[first], words.characters, words.to_say)
