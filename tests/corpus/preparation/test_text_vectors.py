from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cyrene_assets.corpus.preparation.text_vectors import (
    DIMENSIONS,
    Floats,
    Halves,
    text_vectors,
    unit_vectors,
)
from cyrene_assets.corpus.preparation.word_files import WordFiles
from cyrene_assets.corpus.preparation.word_hashes import Words


def telling_words(texts: pl.Series) -> Words:
    with TemporaryDirectory() as folder:
        kept = WordFiles(Path(folder))
        kept.save(0, texts)
        return kept.load_telling(0)


def vectors_of(texts: pl.Series, units: npt.NDArray[np.uint32]) -> Halves:
    words = telling_words(texts)
    return text_vectors([words], units, len(words.word))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20, unique=True))
def test_a_units_vector_depends_on_its_number_alone(numbers: list[int]) -> None:
    units = np.array(numbers, dtype=np.uint32)
    vectors: Floats = unit_vectors(units)
    assert set(np.unique(vectors).tolist()) <= {-1.0, 1.0}
    assert vectors.shape == (len(numbers), DIMENSIONS)
    assert (unit_vectors(units[::-1].copy())[::-1] == vectors).all()


def test_where_a_text_stands_says_nothing_of_what_it_says() -> None:
    texts = pl.Series(["one two", "two three", "three one", "alone"])
    units = np.arange(4, dtype=np.uint32)
    vectors = vectors_of(texts, units)
    own = unit_vectors(units)
    for number in range(3):
        others = own[[n for n in range(3) if n != number]].sum(axis=0)
        assert np.allclose(vectors[number], others / np.linalg.norm(others), atol=1e-3)
    assert not vectors[3].any()
    assert not vectors_of(texts.clear(), units[:0]).size
