"""Words without punctuation, and in how many texts each is."""

import numpy as np
import polars as pl

from cyrene_assets.corpus.preparation.word_hashes import (
    Hashes,
    Vocabulary,
    Words,
    begins_run,
    hash_words,
    is_written_in_characters,
    split_on_blanks,
    table_places,
)

# A word's first letters: how it is inflected says nothing of what it is about.
STEM = 5


def hash_bare_words(texts: pl.Series, *, characters: bool | None = None) -> Words:
    """Return the words of texts without punctuation."""
    bare = _bare(texts)
    words = hash_words(bare, characters=characters)
    if words.characters:
        return words
    not_blank = bare.str.len_bytes().fill_null(0).to_numpy()[words.text] > 0
    return Words(
        words.text[not_blank], words.word[not_blank], words.characters, words.shingle_words
    )


def hash_words_and_stems(texts: pl.Series) -> tuple[Words, Hashes | None]:
    """Return the bare words, and of each what is left without its ending; None of characters."""
    bare = _bare(texts)
    if is_written_in_characters(bare):
        return hash_words(bare, characters=True), None
    text, word = split_on_blanks(bare)
    not_blank = bare.str.len_bytes().fill_null(0).to_numpy()[text] > 0
    stems = word.str.slice(0, STEM).hash().to_numpy()[not_blank]
    return Words(text[not_blank], word.hash().to_numpy()[not_blank], False, 3), stems


def _bare(texts: pl.Series) -> pl.Series:
    return texts.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars()


def count_vocabulary(words: Words, scripts: tuple[str, ...]) -> Vocabulary:
    """Return in how many texts each word is."""
    return Vocabulary.of(unique_per_text(words), scripts)


def unique_per_text(words: Words) -> Words:
    """Return each word of a text once, by its place in a vocabulary."""
    place = table_places(words).astype(np.uint64)
    key = words.text.astype(np.uint64) << np.uint64(32) | place
    key.sort()  # ten times as fast as numpy's own search for what is unique
    key = key[begins_run(key)]
    text = (key >> np.uint64(32)).astype(np.uint32)
    return Words(text, key & np.uint64(2**32 - 1), words.characters, words.shingle_words)
