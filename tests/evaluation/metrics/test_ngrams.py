import numpy as np
import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics.ngrams import encode, tokenize

EN = traits("en")


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Hello, (World)! -- OK", "en", ["hello", "world", "--", "ok"]),
        ("别 急。\n啊", "chs", ["别", "急", "。", "啊"]),
        ("Vel oru", "xq7", ["vel", "oru"]),
        ("cafe\u0301", "fr", ["café"]),
        (" \n", "en", []),
        ("", "th", []),
    ],
)
def test_units_are_words_or_characters(text: str, language: str, expected: list[str]) -> None:
    assert tokenize([text], traits(language)).to_list() == [expected]


def test_texts_are_numbered_together() -> None:
    units = encode(["a b a", "", "b c"], EN)
    assert units.starts.tolist() == [0, 3, 3, 5]
    assert units.vocabulary is not None
    assert units.vocabulary[units.ids].tolist() == ["a", "b", "a", "b", "c"]
    assert units.lengths.tolist() == [3, 0, 2]


def test_no_gram_runs_over_two_texts() -> None:
    grams, owner = encode(["a b a b", "a b", "b"], EN).grams(2)
    assert owner.tolist() == [0, 0, 0, 1]
    assert grams[0] == grams[2] == grams[3] != grams[1]


def test_the_order_in_a_gram_counts() -> None:
    grams, _ = encode(["a b", "b a", "a a", "b b"], EN).grams(2)
    assert len(np.unique(grams)) == 4


def test_taking_cuts_and_reorders() -> None:
    units = encode(["a b c", "d", "e f"], EN).take(np.array([2, 0]), 2)
    assert units.vocabulary is not None
    assert units.vocabulary[units.ids].tolist() == ["e", "f", "a", "b"]
    assert units.starts.tolist() == [0, 2, 4]


def test_nothing_has_no_grams() -> None:
    assert len(encode([], EN).grams(1)[0]) == 0
    assert len(encode(["a"], EN).grams(2)[0]) == 0
