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


@pytest.mark.parametrize("kind", TEXTS)
def test_words_in_parts_are_all_words_of_some_texts_after_the_others(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = WordFiles(tmp_path)
    kept.save(0, pl.Series(TEXTS[kind] * 3))
    every = kept.load_telling(0)
    monkeypatch.setattr("cyrene_assets.corpus.preparation.word_files.TEXTS_AT_ONCE", 3)
    parts = list(kept.telling_parts(0))
    assert len(parts) == 4
    assert kept.count_telling(0) == len(every.word) == sum(len(part.word) for part in parts)
    for number, part in enumerate(parts):
        inside = every.text // 3 == number
        assert part.text.tolist() == every.text[inside].tolist()
        assert part.word.tolist() == every.word[inside].tolist()
        assert part.characters == every.characters
