import numpy as np
import polars as pl

from cyrene_assets.corpus.preparation.word_hashes import (
    TABLE_SIZE,
    Vocabulary,
    hash_words,
    table_places,
)

CHINESE = "\u6d77\u4e0a\u7684\u706f"
THAI = "\u0e1f\u0e49\u0e32"


def test_words_are_between_blanks_and_lines() -> None:
    words = hash_words(pl.Series(["The tide.\nthe TIDE.", "", "tide"]))
    assert words.text.tolist() == [0, 0, 0, 0, 1, 2]
    assert words.word[0] == words.word[2]
    assert words.word[1] == words.word[3]
    assert words.word[1] != words.word[5]
    assert not words.characters
    assert words.shingle_words == 3


def test_characters_are_words_in_scripts_without_blanks() -> None:
    words = hash_words(pl.Series([f"{CHINESE} Bo{CHINESE[0]}", CHINESE[3]]))
    assert words.characters
    assert words.text.tolist() == [0] * 6 + [1]
    assert words.word[0] == words.word[5]
    assert words.word[3] == words.word[6]
    assert words.shingle_words == 6
    assert hash_words(pl.Series([THAI])).shingle_words == 12
    assert not hash_words(pl.Series([f"{CHINESE} is a long word in Chinese"])).characters
    assert hash_words(pl.Series(["Bo Bo"]), characters=True).text.tolist() == [0, 0]


def test_no_texts_have_no_words() -> None:
    assert not len(hash_words(pl.Series([], dtype=pl.String)).text)


def test_a_vocabulary_counts_words() -> None:
    words = hash_words(pl.Series(["a b a", "a"]))
    vocabulary = Vocabulary.of(words, ("Latin",))
    assert vocabulary.counts[table_places(words)].tolist() == [3, 1, 3, 3]
    assert len(vocabulary.counts) == TABLE_SIZE
    probability = np.exp(vocabulary.log_probability(vocabulary.counts))
    assert abs(probability.sum() - 1) < 1e-3
    assert vocabulary.log_probability(vocabulary.counts)[table_places(words)].argmin() == 1
