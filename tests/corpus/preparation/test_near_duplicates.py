from dataclasses import replace

import numpy as np
import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cyrene_assets.corpus.preparation import near_duplicates as similar
from cyrene_assets.corpus.preparation.near_duplicates import (
    MIN_SHINGLES,
    SIMILARITY,
    near_duplicates,
)
from cyrene_assets.corpus.preparation.tables import SIMILAR_PAIRS
from cyrene_assets.corpus.preparation.word_hashes import hash_words

SENTENCE = "the tide goes out before dawn and the lamps along the harbour wall burn low"


def _pairs(texts: list[str], **options: object) -> dict[tuple[int, int], float]:
    found = near_duplicates(hash_words(pl.Series(texts, dtype=pl.String)), **options)  # type: ignore[arg-type]
    return {(first, second): value for first, second, value in found.rows()}


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split(" ")
    return {tuple(words[n : n + 3]) for n in range(len(words) - 2)}


def _jaccard(one: str, other: str) -> float:
    a, b = _shingles(one), _shingles(other)
    return len(a & b) / len(a | b)


def test_a_changed_word_leaves_a_text_alike() -> None:
    changed = SENTENCE.replace("harbour", "garden")
    other = "nobody in the village had seen a ship with sails of that colour before today"
    assert _pairs([SENTENCE, other, changed]) == {(0, 2): _jaccard(SENTENCE, changed)}


def test_the_same_text_is_paired_with_the_first_of_its_kind() -> None:
    other = "nobody in the village had seen a ship with sails of that colour before today"
    assert _pairs([SENTENCE, other, SENTENCE.upper(), SENTENCE]) == {(0, 2): 1.0, (0, 3): 1.0}


def test_short_texts_are_nobodys_duplicates() -> None:
    words = SENTENCE.split(" ")
    enough = " ".join(words[: MIN_SHINGLES + 2])
    assert _pairs([enough, enough]) == {(0, 1): 1.0}
    short = " ".join(words[: MIN_SHINGLES + 1])
    assert _pairs([short, short]) == {}
    assert _pairs([]) == {}
    assert _pairs([""]) == {}


def test_characters_are_words_where_blanks_separate_none() -> None:
    one = "\u6d77\u4e0a\u7684\u706f\u706b\u4e00\u76cf\u76cf\u4eae\u8d77\u6765\u4e86"
    other = "\u5c71\u91cc\u7684\u82b1\u5f00\u4e86\u53c8\u8c22\u6ca1\u6709\u4eba\u770b"
    found = _pairs([one * 2, other * 2, one * 2 + other[:3]])
    assert list(found) == [(0, 2)]


def test_only_pairs_across_the_sides_are_looked_for() -> None:
    texts = [SENTENCE, f"{SENTENCE} again", f"{SENTENCE} once more", "x " * 30]
    side = np.array([False, False, True, True])
    assert (0, 1) in _pairs(texts)
    assert all(side[one] != side[other] for one, other in _pairs(texts, side=side))
    assert {other for _, other in _pairs(texts, side=side)} == {2}
    assert _pairs(texts, side=np.array([False, False, False, True])) == {}


def test_many_texts_of_one_template_stay_connected_at_bounded_cost() -> None:
    names = [f"{chr(97 + a)}{chr(97 + b)}" for a in range(20) for b in range(20)]
    found = _pairs([f"{SENTENCE} said {name}" for name in names])
    assert _connected(len(names), found) == [set(range(len(names)))]
    assert len(found) < 2 * len(names)


def test_others_of_the_template_do_not_hide_what_is_alike() -> None:
    letters = [f"{a}{b}" for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghij"]
    template, more = " ".join(letters[:22]), " ".join(letters[30:230])
    one, other = f"{template} p q r s t u", f"{template} k l m n o y"
    between = [f"{template} {more} {name}{name}" for name in letters[:40]]
    assert (0, 41) in _pairs([one, *between, other])
    side = np.array([False] * 41 + [True])
    assert list(_pairs([one, *between, other], side=side)) == [(0, 41)]


def _quoting(name: str, phrases: list[list[str]]) -> str:
    """Four phrases, each followed by a word of its own; a phrase left out is words of its own."""
    parts = [
        [*(phrase or [f"{name}{n}{m}" for m in range(12)]), f"{name}{n}"]
        for n, phrase in enumerate(phrases)
    ]
    return " ".join(word for part in parts for word in part)


def test_what_hundreds_quote_does_not_hide_what_is_alike() -> None:
    phrases = [[f"phrase{n}{m}" for m in range(12)] for n in range(4)]
    one, other = _quoting("one", phrases), _quoting("other", phrases)
    assert _jaccard(one, other) > SIMILARITY
    number = similar.MAX_NEIGHBORS + 10
    between = [
        _quoting(f"x{n}.{m}", [phrases[n] if n == k else [] for k in range(4)])
        for n in range(4)
        for m in range(number)
    ]
    assert list(_pairs([one, *between, other])) == [(0, 4 * number + 1)]


def _connected(number: int, pairs: dict[tuple[int, int], float]) -> list[set[int]]:
    groups = [{one} for one in range(number)]
    for one, other in pairs:
        a, b = (next(g for g in groups if x in g) for x in (one, other))
        if a is not b:
            a |= b
            groups.remove(b)
    return sorted(groups, key=min)


# Texts of which fewer are compared by a shingle than have it.
FURTHER_BACK = (
    "bghdaccegfghehfdbg", "hbadhdaccegfgfdgb", "aceahdaccegfgdehhg", "cabaahdaccegfgcdgedea",
    "dhdaccegfgcbbg", "aggecdhdaccegfgc", "afbfgafgadhdaccegfg", "eahdaccegfgehabcf",
)  # fmt: skip
WORDS = st.lists(st.sampled_from("abcdefg"), min_size=10, max_size=25).map(" ".join)


@settings(max_examples=200)
@given(st.lists(WORDS, max_size=12), st.integers(0, 2**12 - 1))
@example([" ".join(letters) for letters in FURTHER_BACK], 0b1010)
def test_nothing_is_missed_and_nothing_made_up(texts: list[str], sides: int) -> None:
    alike = {
        (one, other): _jaccard(texts[one], texts[other])
        for other in range(len(texts))
        for one in range(other)
        if min(len(texts[one].split(" ")), len(texts[other].split(" "))) >= MIN_SHINGLES + 2
        and _jaccard(texts[one], texts[other]) >= SIMILARITY
    }
    found = _pairs(texts)
    for pair, value in found.items():
        assert abs(value - alike[pair]) < 1e-9
    assert _connected(len(texts), found) == _connected(len(texts), alike)

    side = np.array([bool(sides >> n & 1) for n in range(len(texts))], dtype=bool)
    across = {pair for pair in alike if side[pair[0]] != side[pair[1]]}
    found = _pairs(texts, side=side)
    assert found.keys() <= across
    assert {text for pair in found for text in pair} == {text for pair in across for text in pair}


def test_collisions_of_indices_do_not_matter() -> None:
    words = hash_words(pl.Series([SENTENCE, f"{SENTENCE} again"]))
    far = replace(words, text=words.text * np.uint32(100_000))
    assert near_duplicates(far).rows() == [
        (0, 100_000, _jaccard(SENTENCE, f"{SENTENCE} again")),
    ]
    assert dict(near_duplicates(far).schema) == SIMILAR_PAIRS
