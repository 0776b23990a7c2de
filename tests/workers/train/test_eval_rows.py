import json
from pathlib import Path

import pytest

from cyrene_assets.workers.train import eval_rows
from cyrene_assets.workers.train.eval_rows import batches, read_languages


def write(folder: Path, language: str, count: int) -> None:
    lines = [
        json.dumps({"messages": [{"role": "assistant", "content": f"{n}"}]}) for n in range(count)
    ]
    (folder / f"{language}.jsonl").write_text("".join(line + "\n" for line in lines))


def test_languages_are_their_files_and_an_empty_one_is_none(tmp_path: Path) -> None:
    write(tmp_path, "xq7", 2)
    write(tmp_path, "en", 3)
    write(tmp_path, "kr", 0)
    found = read_languages(tmp_path)
    assert {language: len(rows) for language, rows in found.items()} == {"en": 3, "xq7": 2}
    assert found["en"][2]["messages"][0]["content"] == "2"


def test_a_line_separator_within_a_text_ends_no_row(tmp_path: Path) -> None:
    row = {"messages": [{"role": "assistant", "content": "a\u2028b\x85c"}]}
    (tmp_path / "en.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n")
    assert read_languages(tmp_path) == {"en": [row]}


def test_of_too_many_rows_some_are_taken_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "en", 100)
    size = (tmp_path / "en.jsonl").stat().st_size
    monkeypatch.setattr(eval_rows, "TOKENS_PER_LANGUAGE", size // 4 // 4)
    numbers = [int(row["messages"][0]["content"]) for row in read_languages(tmp_path)["en"]]
    assert numbers == list(range(0, 100, 5))


def encoded(*lengths: int) -> list[dict[str, list[int]]]:
    return [{"input_ids": [0] * length} for length in lengths]


def lengths(batch: list[dict[str, list[int]]]) -> list[int]:
    return [len(row["input_ids"]) for row in batch]


def test_rows_are_packed_up_to_the_length_of_a_pack() -> None:
    found = [lengths(batch) for batch in batches(encoded(4, 5, 1, 10, 3, 3, 3, 3), 10, 1)]
    assert found == [[4, 5, 1], [10], [3, 3, 3], [3]]
    assert list(batches([], 10, 1)) == []


def test_rows_that_are_not_packed_are_alike_in_length() -> None:
    found = [lengths(batch) for batch in batches(encoded(9, 1, 8, 2, 7), None, 2)]
    assert found == [[1, 2], [7, 8], [9]]
