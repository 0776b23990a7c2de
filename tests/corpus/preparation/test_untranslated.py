# ruff: noqa: RUF001
import numpy as np
import polars as pl
import pytest

from cyrene_assets.corpus.preparation.bare_words import (
    count_vocabulary,
    hash_bare_words,
    unique_per_text,
)
from cyrene_assets.corpus.preparation.untranslated import OriginalTexts, find_untranslated

ENGLISH = [
    "The light at the harbour burns very brightly this evening",
    "The wind is from the north today and it is cold at the harbour",
    "Nobody has seen the ship that was at the harbour this evening",
    "The sea is cold and the wind is from the north",
    "It is cold this evening, and nobody burns the light today",
]
TRANSLATIONS = {
    "de": [
        "Das Licht am Hafen brennt heute Abend sehr hell",
        "Der Wind kommt heute aus dem Norden und es ist kalt am Hafen",
        "Niemand hat das Schiff gesehen, das heute Abend am Hafen lag",
        "Das Meer ist kalt und der Wind kommt aus dem Norden",
        "Es ist kalt heute Abend, und niemand brennt heute das Licht",
    ],
    "ru": [
        "Свет в гавани горит ярко этим вечером",
        "Сегодня ветер с севера и в гавани холодно",
        "Никто не видел корабль в гавани этим вечером",
        "Море холодное, и ветер с севера",
        "Холодно этим вечером, и никто не зажёг свет",
    ],
    "jp": [
        "今夜は港の灯がとても明るく燃えている",
        "今日は北風が吹いて港は寒い",
        "今夜港にいた船を誰も見ていない",
        "海は冷たく北風が吹いている",
        "今夜は寒くて誰も灯を燃やさない",
    ],
}
REPEATED = 4


def _left(own: list[str], original: list[str] | None = None) -> tuple[list[int], list[int]]:
    """Return which texts are copies and which are so in half."""
    units = np.arange(len(own), dtype=np.uint32)
    texts, theirs = pl.Series(own), pl.Series(original or ENGLISH * REPEATED)
    words = hash_bare_words(texts)
    found = find_untranslated(
        lambda: texts,
        words,
        units,
        count_vocabulary(words, ("Latin",)),
        OriginalTexts(theirs, units, ("Latin",)),
    )
    return np.flatnonzero(found.copied).tolist(), np.flatnonzero(found.half).tolist()


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_translations_are_not_left_as_the_original(language: str) -> None:
    assert _left(TRANSLATIONS[language] * REPEATED) == ([], [])


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_an_altered_copy_is_found_in_any_script(language: str) -> None:
    texts = TRANSLATIONS[language] * REPEATED
    texts[7] = ENGLISH[2].replace("ship", "gribble") + "!!"
    assert _left(texts) == ([7], [])


@pytest.mark.parametrize("language", TRANSLATIONS)
@pytest.mark.parametrize("first", [True, False])
def test_a_half_left_untranslated_is_found_in_any_script(language: str, *, first: bool) -> None:
    texts = TRANSLATIONS[language] * REPEATED
    words, own = ENGLISH[1].split(), texts[6]
    half = (" ".join(words[:7]), own[len(own) // 2 :])
    texts[6] = " ".join(half if first else (own[: len(own) // 2], " ".join(words[7:])))
    assert _left(texts) == ([], [6])


def test_names_in_common_are_no_copy() -> None:
    original, own = list(ENGLISH * REPEATED), list(TRANSLATIONS["de"] * REPEATED)
    original[3] = own[3] = "Ovelle, Tobin, Fitch, Kittiwake, Hollowquay, Pell!"
    assert _left(own, original) == ([], [])


def test_no_words_are_left_as_nothing() -> None:
    assert _left(["", "..."], ["The sea", "is cold"]) == ([], [])
    assert _left(["The sea", "is cold"], ["", "..."]) == ([], [])


def test_a_vocabulary_counts_texts_and_no_punctuation() -> None:
    words = hash_bare_words(pl.Series(["Sea, sea! (sea)", "The sea.", "", "\u2026"]))
    assert words.text.tolist() == [0, 0, 0, 1, 1]
    assert unique_per_text(words).text.tolist() == [0, 1, 1]
    counts = count_vocabulary(words, ("Latin",)).counts
    assert sorted(counts[counts > 0].tolist()) == [1, 2]
