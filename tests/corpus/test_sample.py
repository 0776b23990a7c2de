"""What the shipped sample corpus promises (see its README), planted imperfections included."""

import re
from pathlib import Path

import polars as pl
import pytest

from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.lint.linter import Report, lint
from cyrene_assets.corpus.preparation.leakage import find_split_leakage
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus
from cyrene_assets.corpus.rendering.rendering import sft_chats

from .miniature import all_units, of_language, read_parallel

SAMPLE = Path(__file__).parents[2] / "corpora" / "sample"
LANGUAGES = {"chs", "cht", "de", "en", "es", "fr", "id", "jp", "kr", "pt", "ru", "th", "vi"}


@pytest.fixture(scope="module")
def report() -> Report:
    return lint(SAMPLE)


@pytest.fixture(scope="module")
def sample() -> tuple[Corpus, ParallelCorpus]:
    return read_parallel(SAMPLE)


def test_size(report: Report) -> None:
    assert report.errors == []
    assert set(report.languages) == LANGUAGES
    for counts in report.languages.values():
        assert counts.scenes >= 15
        assert counts.lines >= 120
        assert counts.documents >= 10


def test_cast_and_kinds(sample: tuple[Corpus, ParallelCorpus]) -> None:
    corpus, parallel = sample
    for code in corpus.languages:
        units = of_language(parallel, code)
        speakers = units.group_by("role").agg(pl.col("speaker").drop_nulls().n_unique())
        roles = dict(speakers.rows())
        assert roles["character"] == 2
        assert roles["other"] >= 4
        assert roles["player"] == 1
        assert "narration" in roles
        assert units.filter(pl.col("kind") != "dialog")["kind"].n_unique() >= 4
    vendor = all_units(parallel).filter(pl.col("kind") == "vendor")
    assert vendor["language"].to_list() == ["chs"]


def test_the_linter_finds_the_planted_imperfections_and_no_others(report: Report) -> None:
    found = {
        (re.split(r"[:{]", w.message)[0], w.file.split("/")[1], *re.findall(r"s\d\d\S*", w.message))
        for w in report.warnings
    }
    assert found == {
        ("missing translation", "en.jsonl", "s07-003"),
        ("untranslated copy", "vi.jsonl", "s09-004"),
        ("untranslated copy", "pt.jsonl", "s12-002"),
        ("duplicate", "en.jsonl", "s19", "s05"),
        ("unknown placeholder ", "en.jsonl", "s11-005"),
    }
    [unknown] = [w.message for w in report.warnings if w.message.startswith("unknown")]
    assert unknown == "unknown placeholder {AETHER#7} in s11-005 of en, de"
    [missing] = [w.message for w in report.warnings if w.message.startswith("missing")]
    assert missing.endswith("not in id")
    assert all(w.line for w in report.warnings)
    [duplicate] = [w.message for w in report.warnings if w.message.startswith("duplicate")]
    assert all(code in duplicate for code in LANGUAGES)


def test_the_split_is_clean_and_holds_out_a_chat_in_every_language(
    sample: tuple[Corpus, ParallelCorpus],
) -> None:
    corpus, parallel = sample
    proof = find_split_leakage(
        parallel.languages, parallel.units, parallel.duplicates, parallel.stock
    )
    assert proof.messages() == []
    assert proof.lines > 100
    splits = all_units(parallel).group_by("scene").agg(pl.col("split").n_unique())
    assert splits["split"].max() == 1
    for code in corpus.languages:
        chats = sft_chats(of_language(parallel, code), corpus, code)
        assert chats.filter(split="validation").height >= 1
        assert chats.filter(split="train").height >= 10
        assert "s19" not in set(chats["scene"])


def test_no_markup_is_left(sample: tuple[Corpus, ParallelCorpus]) -> None:
    marked = all_units(sample[1]).filter(pl.col("text").str.contains(r"[{}<>]"))
    assert set(marked["unit"]) == {"s11-005"}
