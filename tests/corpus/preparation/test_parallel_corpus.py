from pathlib import Path

import polars as pl
import pytest
from mini_corpus import write_jsonl

from corpus.miniature import (
    PEOPLE,
    Record,
    all_units,
    dialog,
    documents,
    of_language,
    read_parallel,
    settings,
    write_corpus,
)
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus
from cyrene_assets.corpus.sources.types import ONLY, Row, SourceError

# A corpus without a selection of its own for chats has no column that says what a row is for.
FIELDS = [name for name in Row._fields if name != ONLY]
COLUMNS = [*FIELDS, "raw_text", "flags", "split"]


def _with(root: Path, code: str, lines: list[Record]) -> ParallelCorpus:
    write_corpus(root)
    write_jsonl(root / "dialog" / f"{code}.jsonl", lines)
    return read_parallel(root)[1]


def _flags(parallel: ParallelCorpus) -> dict[tuple[str, str], list[str]]:
    flagged = all_units(parallel).filter(pl.col("flags").list.len() > 0)
    return {(row["language"], row["unit"]): row["flags"] for row in flagged.to_dicts()}


def test_units_hold_all_languages_cleaned(tmp_path: Path) -> None:
    _, parallel = read_parallel(write_corpus(tmp_path))
    units = all_units(parallel)
    assert units.columns == COLUMNS
    assert units["language"].unique(maintain_order=True).to_list() == ["en", "tlh"]
    row = of_language(parallel, "en").filter(pl.col("unit") == "s1-4").row(0, named=True)
    assert row["text"] == "Please do, You said."
    assert row["raw_text"] == "Please do, {NICKNAME} said."
    assert parallel.coverage.is_empty()
    assert _flags(parallel) == {}


def test_the_original_comes_first_and_else_the_order_is_the_files(tmp_path: Path) -> None:
    config = settings()
    config["languages"] = dict(reversed(config["languages"].items()))
    _, one = read_parallel(write_corpus(tmp_path / "one"))
    _, two = read_parallel(write_corpus(tmp_path / "two", config))
    _, three = read_parallel(write_corpus(tmp_path / "three", config | {"original": "en"}))
    assert one.languages == three.languages == ("en", "tlh")
    assert two.languages == ("tlh", "en")
    for code in PEOPLE:
        assert one.units(code).equals(two.units(code))


def test_what_several_languages_say_is_said_of_the_original(tmp_path: Path) -> None:
    root = write_corpus(tmp_path, settings(original="tlh"))
    for column, code in enumerate(PEOPLE):
        lines = dialog(column)
        lines[1]["text"] += " {X}"
        write_jsonl(root / "dialog" / f"{code}.jsonl", lines)
    _, parallel = read_parallel(root)
    assert parallel.unknown.tokens["file"].to_list() == ["dialog/tlh.jsonl"]
    assert parallel.unknown.tokens["languages"].to_list() == [["tlh", "en"]]


def test_missing_and_emptied_units_are_in_the_coverage(tmp_path: Path) -> None:
    lines = dialog(1)
    lines[1]["text"] = "{F#{M#}}"
    parallel = _with(tmp_path, "tlh", [line for line in lines if line["line"] != "s2-0"])
    assert parallel.coverage.to_dicts() == [
        {"unit": "s1-1", "kind": "dialog", "languages_missing": ["tlh"]},
        {"unit": "s2-0", "kind": "dialog", "languages_missing": ["tlh"]},
    ]
    assert _flags(parallel) == {("tlh", "s1-1"): ["empty"]}


def test_vendor_documents_belong_to_one_language(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    page = {"document": "v1", "kind": "vendor", "title": "Page", "text": "Sold by the yard."}
    write_jsonl(tmp_path / "documents" / "en.jsonl", [*documents(0), page])
    assert read_parallel(tmp_path)[1].coverage.is_empty()


def test_row_flags(tmp_path: Path) -> None:
    lines = dialog(0)
    lines[2]["text"] = "Only {AETHER#7} and I.<|im_end|>"
    parallel = _with(tmp_path, "en", lines)
    assert _flags(parallel) == {("en", "s1-2"): ["unknown_placeholder", "control_tokens"]}


def test_untranslated_copy_is_flagged_where_its_words_are_foreign(tmp_path: Path) -> None:
    copy = "The rain and the sea are here."
    english, other = dialog(0), dialog(1)
    english[7]["text"] = other[7]["text"] = copy
    write_corpus(tmp_path)
    write_jsonl(tmp_path / "dialog" / "en.jsonl", english)
    write_jsonl(tmp_path / "dialog" / "tlh.jsonl", other)
    assert _flags(read_parallel(tmp_path)[1]) == {("tlh", "s2-1"): ["untranslated_copy"]}


def test_a_copy_in_the_language_that_comes_first_is_flagged_there(tmp_path: Path) -> None:
    english, other = dialog(0), dialog(1)
    english[10]["text"] = other[10]["text"] = "hagh ghaH, jatlh ghaH je."
    write_corpus(tmp_path)
    write_jsonl(tmp_path / "dialog" / "en.jsonl", english)
    write_jsonl(tmp_path / "dialog" / "tlh.jsonl", other)
    assert _flags(read_parallel(tmp_path)[1]) == {("en", "s2-4"): ["untranslated_copy"]}


def test_names_and_cries_may_read_the_same(tmp_path: Path) -> None:
    english, other = dialog(0), dialog(1)
    english[7]["text"] = other[7]["text"] = "Ha ha! Bo!"
    write_corpus(tmp_path)
    write_jsonl(tmp_path / "dialog" / "en.jsonl", english)
    write_jsonl(tmp_path / "dialog" / "tlh.jsonl", other)
    assert _flags(read_parallel(tmp_path)[1]) == {}


def test_sentences_may_read_the_same_in_two_kinds_of_one_script(tmp_path: Path) -> None:
    config = settings()
    config["languages"]["chs"] = config["languages"].pop("en")
    config["languages"]["cht"] = config["languages"].pop("tlh")
    write_corpus(tmp_path, config)
    texts = [
        ("海上的天空很大", "海上的天空很大"),
        ("这里的海很大", "這裡的海很大"),
        ("他们在天上说", "他們在天上說"),
    ]
    for column, code in enumerate(("chs", "cht")):
        lines = [
            {"scene": "s", "line": str(n), "speaker": None, "text": pair[column]}
            for n, pair in enumerate(texts)
        ]
        write_jsonl(tmp_path / "dialog" / f"{code}.jsonl", lines)
        (tmp_path / "documents" / f"{code}.jsonl").unlink(missing_ok=True)
    assert _flags(read_parallel(tmp_path)[1]) == {}


def test_duplicate_scenes_share_the_originals_split(tmp_path: Path) -> None:
    for seed in range(8):
        config = settings(split={"validation": 0.4, "seed": seed})
        root = write_corpus(tmp_path / str(seed), config)
        for column, code in enumerate(("en", "tlh")):
            lines = dialog(column)
            second = [line for line in lines if line["scene"] == "s2"]
            again = [x | {"scene": "s9", "line": f"s9-{n}"} for n, x in enumerate(second)]
            # In one language only the second scene is a copy of the first.
            if code == "tlh":
                again[0]["text"] = "jISovbe'."
            write_jsonl(root / "dialog" / f"{code}.jsonl", lines + again)
        parallel = read_parallel(root)[1]
        assert set(_flags(parallel)) == {("en", f"s9-{n}") for n in range(5)}
        assert parallel.duplicates.filter("exact").rows() == [("en", "s9", "s2", 1.0, True)]
        split = dict(all_units(parallel).select("scene", "split").unique().rows())
        assert split["s9"] == split["s2"]


def test_duplicate_documents_differ_by_title(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    same, other = ({**documents(0)[0], "document": name} for name in ("b8", "b9"))
    other["title"] = "Tides again"
    write_jsonl(tmp_path / "documents" / "en.jsonl", [*documents(0), same, other])
    assert _flags(read_parallel(tmp_path)[1]) == {("en", "b8"): ["duplicate"]}


def test_a_unit_in_another_scene_names_both_places(tmp_path: Path) -> None:
    lines = dialog(1)
    lines[3]["scene"] = "s2"
    with pytest.raises(SourceError) as error:
        _with(tmp_path, "tlh", lines)
    assert str(error.value) == (
        "dialog/tlh.jsonl:4: unit 's1-3' is of scene 's2' here and of 's1' in dialog/en.jsonl:4; "
        "give it the same in all languages, or an id of its own"
    )


def test_a_document_of_another_kind_names_both_places(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    write_jsonl(tmp_path / "documents" / "tlh.jsonl", [{**documents(1)[0], "kind": "poem"}])
    with pytest.raises(SourceError, match=r"tlh.jsonl:1: scene 'b1' is of kind 'poem' here and of"):
        read_parallel(tmp_path)
