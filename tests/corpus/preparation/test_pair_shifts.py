from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cyrene_assets.corpus.preparation.agreement import classify_endings
from cyrene_assets.corpus.preparation.pair_shifts import ShiftOdds, compare_languages
from cyrene_assets.corpus.preparation.word_files import WordFiles
from cyrene_assets.corpus.preparation.word_hashes import Words
from cyrene_assets.corpus.preparation.word_pairs import (
    MAX_WORDS,
    WordTable,
    assign_parts,
    association_scores,
)

SUBJECTS = 300
SCENE = 20
LINES = 1600
ALPHABETS = ("abcdefgh", "\u0430\u0431\u0432\u0433\u0434\u0435\u0436\u0437")


def _word(subject: int, alphabet: str) -> str:
    return "".join(alphabet[(subject >> shift) & 7] for shift in (0, 3, 6)) + alphabet[0]


def _texts(alphabet: str, seed: int = 5) -> list[str]:
    """Return a language's lines: what they are about is the same in each, the order is not."""
    rng = np.random.default_rng(seed)
    order = np.random.default_rng(len(alphabet.encode()))
    lines = []
    for _ in range(LINES):
        about = order.permutation(rng.integers(0, SUBJECTS, rng.integers(3, 12)))
        lines.append(" ".join(_word(int(subject), alphabet) for subject in about) + ".")
    return lines


def _words(folder: Path, number: int, texts: list[str]) -> Words:
    kept = WordFiles(folder)
    kept.save(number, pl.Series(texts))
    return kept.load_telling(number)


def _shifted(
    folder: Path,
    own: list[str],
    other: list[str],
    lacking: int = 0,
    further: Sequence[str] = (),
) -> set[int]:
    """Return what is flagged; the other lacks the first ``lacking`` lines, and has further ones."""
    texts, theirs = pl.Series(own), pl.Series(other)
    row = pl.int_range(len(own), dtype=pl.UInt32, eager=True)
    rows = pl.DataFrame(
        {
            "characters": texts.str.len_chars(),
            "ends": classify_endings(texts),
            "row": row,
            "characters_other": theirs.str.len_chars(),
            "ends_other": classify_endings(theirs),
        }
    ).with_columns(
        pl.when(row >= lacking).then(pl.col(name)).alias(name)
        for name in ("row", "characters_other", "ends_other")
    )
    scene = (np.arange(len(own)) // SCENE).astype(np.uint32)
    words = [_words(folder, number, said) for number, said in enumerate((own, [*other, *further]))]
    found = compare_languages(rows, words[0], words[1], len(other) + len(further), scene)
    return set(np.flatnonzero(found.own.find_shifted() | found.other.find_shifted()).tolist())


def test_clean_lines_of_two_languages_are_not_shifted(tmp_path: Path) -> None:
    assert len(_shifted(tmp_path, _texts(ALPHABETS[0]), _texts(ALPHABETS[1]))) <= LINES / 400


@pytest.mark.parametrize("moved", [0, 1])
def test_lines_that_slipped_in_either_language_are_found(tmp_path: Path, moved: int) -> None:
    languages = [_texts(alphabet) for alphabet in ALPHABETS]
    texts, planted = languages[moved], set()
    for start in range(3, LINES - SCENE, 8 * SCENE):
        texts[start], texts[start + 1] = texts[start + 1], texts[start]
        slipped = start + 6
        texts[slipped : slipped + 4] = [texts[slipped + 3], *texts[slipped : slipped + 3]]
        planted |= {start, start + 1, *range(slipped, slipped + 4)}
    found = _shifted(tmp_path, languages[0], languages[1])
    assert len(found & planted) >= 0.8 * len(planted)
    assert len(found - planted) <= LINES / 400


def test_lines_that_the_other_language_lacks_are_not_judged(tmp_path: Path) -> None:
    own, other = map(_texts, ALPHABETS)
    own[3], own[4] = own[4], own[3]
    assert _shifted(tmp_path, own, other) >= {3, 4}
    assert not _shifted(tmp_path, own, other, lacking=10) & set(range(10))
    assert _shifted(tmp_path, own, other, lacking=LINES - 10) == set()
    # Of a unit that the other language alone has, nothing is said.
    assert _shifted(tmp_path, own[:-40], other[:-40], further=other[-40:]) >= {3, 4}


def test_what_is_learned_of_a_text_is_no_evidence_for_it(tmp_path: Path) -> None:
    # Words that go together in one text alone fit nothing.
    own, other = map(_texts, ALPHABETS)
    rng = np.random.default_rng(1)
    unrelated = [other[place] for place in rng.permutation(LINES)]
    tables = [
        WordTable.of(_words(tmp_path, number, texts), LINES, seed)
        for number, (texts, seed) in enumerate(((own, 1), (other, 9), (unrelated, 9)))
    ]
    part = assign_parts((np.arange(LINES) // SCENE).astype(np.uint32))
    known = np.ones(LINES, dtype=bool)
    (related, _), (chance, words) = (
        association_scores(tables[0], table, part, known, (0, 1)) for table in tables[1:]
    )
    assert np.median(related[0]) > np.median(related[1]) + 5
    assert abs(np.median(chance[0]) - np.median(chance[1])) < 1
    assert words.max() <= 2 * MAX_WORDS


def test_a_text_that_fits_one_language_at_its_place_is_there_rightly() -> None:
    never = -np.inf
    one = ShiftOdds(np.array([9.0, 9.0, 9.0, never]), np.full(4, never))
    other = ShiftOdds(np.array([10.0, -2.0, never, never]), np.full(4, never))
    for both in (one.with_another(other), other.with_another(one)):
        assert both.before.tolist() == [10.0, -2.0, 9.0, never]
        assert both.find_shifted().tolist() == [True, False, True, False]
