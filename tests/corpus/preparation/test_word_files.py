from pathlib import Path

import polars as pl
import pytest

from cyrene_assets.corpus.preparation.bare_words import hash_bare_words
from cyrene_assets.corpus.preparation.word_files import WordFiles

TEXTS = {
    "words": ["Harbour, harbours! (harb)", "The harbour.", "", "\u2026"],
    "characters": ["\u6d77\u4e0a\u7684\u5149\u3002", "\u6d77\u4e0a", "", "\u2026"],
}


@pytest.mark.parametrize("kind", TEXTS)
def test_words_that_were_kept_are_the_bare_words(tmp_path: Path, kind: str) -> None:
    texts, kept = pl.Series(TEXTS[kind]), WordFiles(tmp_path)
    found = [kept.save(3, texts), kept.load(3), hash_bare_words(texts)]
    for words in found[:2]:
        assert words.text.tolist() == found[2].text.tolist()
        assert words.word.tolist() == found[2].word.tolist()
        assert (words.characters, words.shingle_words) == (
            kind == "characters",
            found[2].shingle_words,
        )


def test_inflected_words_have_one_stem(tmp_path: Path) -> None:
    kept = WordFiles(tmp_path)
    kept.save(0, pl.Series(TEXTS["words"]))
    harbour, harbours, harb, the, again = kept.load_telling(0).word.tolist()
    assert harbour == harbours == again
    assert len({harbour, harb, the}) == 3


def test_characters_tell_with_the_one_that_follows(tmp_path: Path) -> None:
    kept = WordFiles(tmp_path)
    kept.save(0, pl.Series(TEXTS["characters"]))
    telling = kept.load_telling(0)
    assert telling.text.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1]
    pairs = telling.word[6:].tolist()
    assert pairs[0] == pairs[3]
    assert len(set(telling.word.tolist())) == 4 + 3
