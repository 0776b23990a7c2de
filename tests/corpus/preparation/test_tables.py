"""The tables that leave the package have the columns that it names."""

from pathlib import Path

import polars as pl

from corpus.miniature import read_parallel, settings, write_corpus
from cyrene_assets.corpus.preparation.leakage import find_dataset_leakage, find_split_leakage
from cyrene_assets.corpus.preparation.near_duplicates import near_duplicates
from cyrene_assets.corpus.preparation.tables import (
    COPIES,
    COVERAGE,
    DUPLICATES,
    LEAKAGE,
    SHARED_LINES,
    SIMILAR_PAIRS,
    UNITS,
    UNKNOWN_TOKENS,
)
from cyrene_assets.corpus.preparation.word_hashes import hash_words

TEXT = "the lamp is lit when the wind comes up from the sea in the evening"


def test_parallel_corpus_of_the_miniature_has_the_named_schemas(tmp_path: Path) -> None:
    _, parallel = read_parallel(write_corpus(tmp_path, settings(markup=[])))
    parallel.write()
    for _, units in parallel.each():
        assert dict(units.schema).items() >= dict(UNITS).items()
    assert parallel.coverage.schema == COVERAGE
    assert parallel.duplicates.schema == DUPLICATES
    assert parallel.copies.schema == COPIES
    assert parallel.shared_lines.schema == SHARED_LINES
    assert parallel.unknown.tokens.schema == UNKNOWN_TOKENS
    for name, schema in (("coverage", COVERAGE), ("shared_lines", SHARED_LINES)):
        assert pl.read_parquet_schema(parallel.folder / f"{name}.parquet") == schema


def test_near_duplicates_with_and_without_pairs_have_the_named_schema() -> None:
    for texts, pairs in (([TEXT, TEXT, f"{TEXT} again"], 2), (["a"], 0), ([], 0)):
        found = near_duplicates(hash_words(pl.Series(texts, dtype=pl.String)))
        assert found.schema == SIMILAR_PAIRS
        assert len(found) == pairs


def test_leakage_with_and_without_leaks_has_the_named_schema(tmp_path: Path) -> None:
    _, parallel = read_parallel(write_corpus(tmp_path))
    clean = find_split_leakage(
        parallel.languages, parallel.units, parallel.duplicates, parallel.stock
    )
    assert clean.leaks.schema == LEAKAGE
    assert clean.leaks.is_empty()
    rows = [("a", "s", "train", TEXT), ("b", "t", "validation", TEXT)]
    sets = {"en": pl.DataFrame(rows, ["name", "scene", "split", "text"], orient="row")}
    leaking = find_dataset_leakage(sets, parallel.stock)
    assert leaking.leaks.schema == LEAKAGE
    assert set(leaking.leaks["reason"]) == {"line", "similar"}
