import json
from pathlib import Path

import polars as pl
import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.inputs.loss_texts import formal_texts, select_texts, write_texts


def document(name: str, split: str = "validation", **other: str) -> dict[str, object]:
    return {
        "document": name, "scene": name, "kind": "dialog", "split": split,
        "text": f"text of {name}", "characters": 10, "language": "en",
    } | other  # fmt: skip


def corpus(held_out: int, training: int, **other: str) -> list[dict[str, object]]:
    return [
        *[document(f"v{number}", **other) for number in range(held_out)],
        *[document(f"t{number}", "train", **other) for number in range(training)],
    ]


def counts(texts: pl.DataFrame) -> dict[tuple[str, str], int]:
    return {
        (language, split): count
        for language, split, count in texts.group_by("language", "split").len().iter_rows()
    }


def test_there_are_as_many_training_texts_as_held_out_ones() -> None:
    rows = [*corpus(3, 9), *corpus(9, 9, language="kr"), *corpus(0, 4, language="th")]
    texts = select_texts(pl.DataFrame(rows), 5, 100)
    assert counts(texts) == {
        ("en", "validation"): 3, ("en", "train"): 3,
        ("kr", "validation"): 5, ("kr", "train"): 5,
    }  # fmt: skip
    assert texts.columns == ["text_id", "language", "split", "document", "scene", "text"]
    assert texts["split"][0] == "validation"
    assert set(texts["text_id"][:3]) == {f"en/validation/v{number}" for number in range(3)}


def test_the_choice_depends_on_neither_order_nor_language() -> None:
    rows = corpus(20, 20)
    there = select_texts(pl.DataFrame(rows), 4, 100)
    assert there.equals(select_texts(pl.DataFrame(rows[::-1]), 4, 100))
    other = select_texts(pl.DataFrame([row | {"language": "th"} for row in rows]), 4, 100)
    assert other["document"].to_list() == there["document"].to_list()
    more = select_texts(pl.DataFrame(rows), 6, 100).filter(split="validation")
    assert more["document"].to_list()[:4] == there["document"].to_list()[:4]


def test_scenes_take_turns() -> None:
    rows = [*(document(f"a{n}", scene="a") for n in range(9)), document("b"), document("c")]
    texts = select_texts(pl.DataFrame(rows), 3, 100)
    assert sorted(name[0] for name in texts["document"]) == ["a", "b", "c"]


def test_dialog_goes_before_other_kinds() -> None:
    rows = [*corpus(1, 3), *corpus(4, 4, kind="book", scene="book")]
    texts = select_texts(pl.DataFrame(rows), 5, 100)
    assert counts(texts) == {("en", "validation"): 1, ("en", "train"): 1}


def test_training_texts_are_of_the_kinds_that_are_held_out() -> None:
    rows = [*corpus(0, 9), *corpus(2, 3, kind="book", scene="book")]
    texts = select_texts(pl.DataFrame(rows), 5, 100)
    assert counts(texts) == {("en", "validation"): 2, ("en", "train"): 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", "short"),
        ("first line\nsecond", "first line"),
        ("12345678901\nsecond", "12345678901"),
        ("1234567\nsecond line", "1234567"),
        ("123456789012\nsecond", "123456789012"),
        ("A\none very long line", "A\none very l"),
        ("别急别急别急别急别急别急别急", "别急" * 6),
    ],
)
def test_long_texts_are_cut_at_a_line_end_where_there_is_one(text: str, expected: str) -> None:
    assert select_texts(pl.DataFrame([document("v", text=text)]), 1, 12)["text"][0] == expected


def test_documents_without_text_and_no_documents_give_none() -> None:
    blank = pl.DataFrame([document("v", text=" \n"), document("t", "train")])
    for frame in (blank, blank.clear()):
        texts = select_texts(frame, 5, 100)
        assert texts.is_empty()
        assert texts.columns == ["text_id", "language", "split", "document", "scene", "text"]


def test_written_texts_are_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    write_texts(select_texts(pl.DataFrame([document("v", text="é\u2028\n别")]), 1, 100), path)
    assert json.loads(path.read_bytes()) == {
        "text_id": "en/validation/v", "language": "en", "split": "validation", "document": "v",
        "scene": "v", "text": "é\u2028\n别",
    }  # fmt: skip


def test_formal_texts_are_of_the_languages_that_have_one() -> None:
    texts = formal_texts(
        {
            key: traits(key)
            for key in (
                "en",
                "xq7",
                "th",
            )
        }
    )
    assert texts.select("text_id", "split").rows() == [
        ("en/formal", "formal"),
        ("th/formal", "formal"),
    ]
    assert min(map(len, texts["text"].to_list())) > 200
    assert formal_texts({key: traits(key) for key in ("xq7",)}).schema == texts.schema
