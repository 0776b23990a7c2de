import numpy as np
import polars as pl
import pytest

from corpus.preparation.test_text_vectors import vectors_of
from cyrene_assets.corpus.preparation.neighbours import (
    PLACES,
    PlaceOdds,
    compare_places,
    find_shifted,
    place_odds,
)
from cyrene_assets.corpus.preparation.text_vectors import (
    BLOCK,
    DIMENSIONS,
    Floats,
)

SUBJECTS = 40
SCENE = 20
LINES = 400
# Letters of a language: its words share none with another's.
ALPHABETS = ("abcdefgh", "ijklmnop", "\u0430\u0431\u0432\u0433\u0434\u0435\u0436\u0437", "qrstuvwx")


def _word(subject: int, alphabet: str) -> str:
    return "".join(alphabet[(subject >> shift) & 7] for shift in (0, 3, 6)) + alphabet[0]


def _lines(seed: int = 3) -> list[list[int]]:
    """Return the subjects that each line is about, its length included."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, SUBJECTS, rng.integers(2, 12)).tolist() for _ in range(LINES)]


def _texts(alphabet: str, lines: list[list[int]]) -> list[str]:
    return [" ".join(_word(subject, alphabet) for subject in line) for line in lines]


def _shifted(languages: list[list[str]], language: int) -> list[int]:
    units = np.arange(LINES, dtype=np.uint32)
    vectors = [vectors_of(pl.Series(texts), units) for texts in languages]
    lengths = [np.log([len(text) for text in texts]) for texts in languages]
    total: Floats = np.stack(vectors).sum(axis=0, dtype=np.float32)
    expected = np.median([one for k, one in enumerate(lengths) if k != language], axis=0)
    found = place_odds(
        compare_places(vectors[language], total, units), lengths[language], expected, units // SCENE
    )
    assert found is not None
    return np.flatnonzero(find_shifted(found)).tolist()


def _languages() -> list[list[str]]:
    return [_texts(alphabet, _lines()) for alphabet in ALPHABETS]


@pytest.mark.parametrize("language", range(len(ALPHABETS)))
def test_clean_lines_are_not_shifted(language: int) -> None:
    assert len(_shifted(_languages(), language)) <= 2


@pytest.mark.parametrize("language", [0, 2])
def test_lines_that_changed_places_or_slipped_by_one_are_found(language: int) -> None:
    languages = _languages()
    texts = languages[language]
    planted = []
    for start in range(3, LINES - SCENE, 2 * SCENE):
        texts[start], texts[start + 1] = texts[start + 1], texts[start]
        slipped = start + 6
        texts[slipped : slipped + 4] = [texts[slipped + 3], *texts[slipped : slipped + 3]]
        planted += [start, start + 1, *range(slipped, slipped + 4)]
    found = set(_shifted(languages, language))
    assert len(found & set(planted)) >= 0.6 * len(planted)
    assert len(found - set(planted)) <= 3


def test_a_line_of_another_scene_is_no_neighbour() -> None:
    languages = _languages()
    texts = languages[1]
    last = SCENE - 1
    texts[last], texts[last + 1] = texts[last + 1], texts[last]
    assert not {last, last + 1} & set(_shifted(languages, 1))


def test_too_few_lines_tell_nothing() -> None:
    def odds(number: int, expected: float) -> PlaceOdds | None:
        units = np.zeros(number, dtype=np.uint32)
        vectors = np.zeros((number, DIMENSIONS), dtype=np.float16)
        similarity = compare_places(vectors, vectors[:1].astype(np.float32), units)
        return place_odds(similarity, np.zeros(number), np.full(number, expected), units)

    assert odds(10, 0.0) is None
    assert odds(200, np.nan) is None


@pytest.mark.parametrize("number", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 1])
def test_places_are_compared_across_blocks(number: int) -> None:
    rng = np.random.default_rng(number)
    vectors = rng.normal(size=(number, DIMENSIONS)).astype(np.float16)
    total = rng.normal(size=(number, DIMENSIONS)).astype(np.float32)
    vectors[number // 2] = 0
    similarity = compare_places(vectors, total, np.arange(number, dtype=np.uint32))
    others = total - vectors
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    for place, step in zip(PLACES, (0, 1, -1), strict=True):
        expected = (vectors * np.roll(others, step, axis=0)).sum(axis=1)
        if step:
            expected[0 if step > 0 else -1] = 0
        assert np.allclose(similarity.alike[place], expected, atol=1e-3)
    assert np.flatnonzero(~similarity.told).tolist() == [number // 2]


def test_support_of_a_neighbour_lowers_what_is_needed() -> None:
    here, low = np.zeros(6), np.full(6, -9.0)
    up, down = low.copy(), low.copy()
    down[1], up[2] = 2.0, 2.0  # they fit each other's places
    up[4] = 4.0  # alone
    assert find_shifted(PlaceOdds(here, up, down)).tolist() == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    up[4] = 9.0
    assert find_shifted(PlaceOdds(here, up, down))[4]
