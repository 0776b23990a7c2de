import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.miniature import settings as corpus_settings
from cyrene_assets.corpus.chat_tables import spoken_texts
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.preparation.text_identity import (
    bare_lines,
    find_shared_lines,
    hash_lines,
    unit_lines,
)
from cyrene_assets.corpus.preparation.word_hashes import hash_words
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats

PIECES = st.sampled_from(
    [
        "Ada",
        ":",
        "\uff1a",
        "(",
        ")",
        "\uff08",
        "\uff09",
        " ",
        "\n",
        "Note",
        "who goes",
        "x" * 41,
        "谁",
    ]
)
TEXTS = st.lists(PIECES, min_size=1, max_size=8).map("".join)


def _bare(text: str) -> list[str]:
    return bare_lines(pl.DataFrame({"text": [text]}))["text"].to_list()


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Guard: Who goes there?", ["Who goes there?"]),
        ("守卫\uff1a谁在那里\uff1f", ["谁在那里\uff1f"]),
        ("(Who goes there?)\n\n ", ["Who goes there?"]),
        ("\uff08谁在那里\uff09", ["谁在那里"]),
        (f"{'x' * 40}: y", ["y"]),
        (f"{'x' * 41}: y", [f"{'x' * 41}: y"]),
    ],
)
def test_bare_lines_lose_what_rendering_adds(text: str, bare: list[str]) -> None:
    assert _bare(text) == bare


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from(["other", "player"])), min_size=1, max_size=3),
    st.sampled_from(["chs", "en"]),
)
def test_unit_lines_have_every_line_that_any_rendering_has(
    lines: list[tuple[str, str, str]], language: str
) -> None:
    rows = [(name.replace("\n", ""), role, text) for name, text, role in lines]
    rows.append(("Ada", "character", "Well."))
    people = corpus_settings()["languages"]["en"]
    corpus = Corpus.model_validate(corpus_settings(languages={language: people}))
    units = pl.DataFrame(rows, ["speaker", "role", "text"], orient="row").select(
        pl.format("s-{}", pl.int_range(pl.len())).alias("unit"),
        pl.all(),
        scene=pl.lit("s"),
        order=pl.int_range(pl.len()),
        kind=pl.lit("dialog"),
        title=pl.lit(None, pl.String),
        flags=pl.lit([], pl.List(pl.String)),
        split=pl.lit("train"),
    )
    documents = cpt_documents(units, corpus, language)
    said = spoken_texts(sft_chats(units, corpus, language)["messages"])
    known = set(unit_lines(units.select("speaker", "title", "text"))["text"])
    for text in [*documents["text"], *said]:
        assert set(_bare(text)) <= known


def _shared(*scenes: list[str]) -> tuple[list[tuple[int, int]], list[tuple[str, int, bool]]]:
    """Return which scenes share a telling line, and the lines in common."""
    rows = [(number, line) for number, lines in enumerate(scenes) for line in lines]
    lines = pl.DataFrame(rows, {"scene": pl.UInt32, "text": pl.String}, orient="row")
    alike = pl.Series(range(len(scenes)), dtype=pl.UInt32)
    found = find_shared_lines(hash_lines(lines, hash_words(lines["text"])), alike)
    names = lines.unique("text").select(name="text", text=pl.col("text").hash())
    told = found.lines.join(names, on="text").select("name", "scenes", "stock").sort("name")
    return found.pairs, told.rows()


def test_a_phrase_that_many_scenes_share_connects_none_of_them() -> None:
    phrase, long = "Welcome to my humble shop, dear traveller.", "one two three four " * 3
    pairs, told = _shared(*[[phrase, f"and number {n}", long] for n in range(5)])
    assert len(pairs) == 4
    assert told == [(phrase, 5, False), (long, 5, False)]
    pairs, told = _shared(*[[phrase, f"and number {n}"] for n in range(6)])
    assert (pairs, told) == ([], [(phrase, 6, True)])
    pairs, told = _shared(*[[long] for _ in range(50)])
    assert len(pairs) == 49
    assert told == [(long, 50, False)]


def test_scenes_that_are_alike_count_once() -> None:
    lines = pl.DataFrame({"scene": range(8), "text": ["Mind the wind, and the stairs."] * 8})
    numbers = hash_lines(lines.cast({"scene": pl.UInt32}), hash_words(lines["text"]))
    alike = pl.Series([0, 0, 0, 0, 4, 5, 6, 7], dtype=pl.UInt32)
    assert find_shared_lines(numbers, alike).lines["stock"].to_list() == [False]
    unlike = pl.Series(range(8), dtype=pl.UInt32)
    assert find_shared_lines(numbers, unlike).lines["stock"].to_list() == [True]
