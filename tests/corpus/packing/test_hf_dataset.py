import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cyrene_assets.corpus.packing import hf_dataset
from cyrene_assets.corpus.packing.hf_dataset import write_cached_dataset

MESSAGES = [
    [{"role": "assistant", "content": 'Rain,\nthe \\"old\\" kind \u2028 \u96e8'}],
    [{"role": "user", "content": ""}, {"role": "assistant", "content": "Yes."}],
]
ROWS = pl.DataFrame(
    {
        "messages": MESSAGES,
        "language": ["en", "th"],
        "tokens": pl.Series([7, 12], dtype=pl.Int32),
        "document": ["a", "b"],
    }
)


def _read(folder: Path) -> pl.DataFrame:
    state = json.loads((folder / "state.json").read_text())
    files = [folder / file["filename"] for file in state["_data_files"]]
    assert sorted(files) == sorted(folder.glob("*.arrow"))
    return pl.concat([pl.read_ipc_stream(path) for path in files])


def test_rows_are_written_as_they_were(tmp_path: Path) -> None:
    write_cached_dataset(ROWS, tmp_path / "set")
    rows = _read(tmp_path / "set")
    assert rows["messages"].to_list() == MESSAGES
    assert rows["lengths"].to_list() == [[7], [12]]
    assert rows["dataset"].to_list() == ["en", "th"]
    features = json.loads((tmp_path / "set" / "dataset_info.json").read_text())["features"]
    assert list(features) == rows.columns


def test_rows_repeat_in_the_order_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_dataset, "ROWS_PER_FILE", 2)
    write_cached_dataset(ROWS, tmp_path / "set", np.array([1, 0, 1, 1, 0]))
    assert _read(tmp_path / "set")["lengths"].to_list() == [[12], [7], [12], [12], [7]]
    assert len(list((tmp_path / "set").glob("*.arrow"))) == 3


def test_equal_rows_give_equal_bytes_and_others_another_fingerprint(tmp_path: Path) -> None:
    orders = {"a": [0, 1], "b": [0, 1], "c": [1, 0]}
    for name, order in orders.items():
        write_cached_dataset(ROWS, tmp_path / name, np.array(order))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert all(
        (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        for name in names
    )
    fingerprints = [
        json.loads((tmp_path / name / "state.json").read_text())["_fingerprint"] for name in "ac"
    ]
    assert len(set(fingerprints)) == 2


def test_no_rows(tmp_path: Path) -> None:
    write_cached_dataset(ROWS.clear(), tmp_path / "set")
    assert _read(tmp_path / "set").is_empty()
