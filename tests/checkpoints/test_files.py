import json
from pathlib import Path

import pytest
from checkpoint_folders import base_shapes, write_checkpoint, write_safetensors

from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.checkpoints.files import (
    INDEX,
    copy_side_files,
    read_json,
    reject_unsafe_files,
    side_files,
    tensors,
)
from cyrene_assets.checkpoints.safetensors import read_header
from cyrene_assets.utils.errors import BuildError


def test_header_has_dtypes_and_shapes(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a.safetensors", {"x": ("BF16", (2, 3))})
    entry = read_header(tmp_path / "a.safetensors")["x"]
    assert (entry["dtype"], entry["shape"]) == ("BF16", [2, 3])


@pytest.mark.parametrize("damage", ["short", "long", "text", "empty", "length"])
def test_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"x": ("BF16", (2, 3))})
    data = path.read_bytes()
    path.write_bytes(
        {
            "short": data[:-1],
            "long": data + b"0",
            "text": data[:8] + b"x" * (len(data) - 8),
            "empty": b"",
            "length": b"\xff" * 8 + data[8:],
        }[damage]
    )
    with pytest.raises(BuildError, match=r"a\.safetensors"):
        read_header(path)


@pytest.mark.parametrize(
    "header",
    [
        {"x": {"dtype": "BF16", "shape": [5], "data_offsets": [0, 8]}},
        {"x": {"dtype": "BF16", "shape": [2], "data_offsets": [4, 8]}},
        {
            "x": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
            "y": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
        },
        {"x": {"dtype": "BF16", "shape": [4]}},
        {"x": {"dtype": "BF16", "shape": ["4"], "data_offsets": [0, 8]}},
        {"x": [0, 8]},
        [1, 2],
    ],
    ids=["shape", "gap", "overlap", "no offsets", "text", "no entry", "no object"],
)
def test_read_header_that_contradicts_itself_is_an_error(tmp_path: Path, header: object) -> None:
    text = json.dumps(header).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(CheckpointError, match=r"a\.safetensors: unreadable safetensors header"):
        read_header(path)


@pytest.mark.parametrize("shards", [1, 3])
def test_tensors_of_one_file_or_several(tmp_path: Path, shards: int) -> None:
    found = tensors(write_checkpoint(tmp_path, shards=shards))
    assert {name: (t.dtype, t.shape) for name, t in found.items()} == base_shapes()
    assert found["mtp.fc.weight"].elements == 32


def test_missing_shard_is_an_error(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=3)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(BuildError, match="does not agree"):
        tensors(tmp_path)


def test_tensor_that_the_index_does_not_name_is_an_error(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=2)
    index = json.loads((tmp_path / INDEX).read_text())
    del index["weight_map"]["mtp.fc.weight"]
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(BuildError, match=r"mtp\.fc\.weight"):
        tensors(tmp_path)


def test_several_files_need_an_index(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=2)
    (tmp_path / INDEX).unlink()
    with pytest.raises(BuildError, match=INDEX):
        tensors(tmp_path)


def test_the_same_tensor_twice_is_an_error(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    write_safetensors(tmp_path / "other.safetensors", {"mtp.fc.weight": ("BF16", (1,))})
    with pytest.raises(BuildError, match=r"mtp\.fc\.weight is also in"):
        tensors(tmp_path)


def test_no_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no \*\.safetensors"):
        tensors(tmp_path)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "optimizer.pt", "modeling_x.py", "a.pkl", "sub/b.pth", "c.PT"]
)
def test_code_and_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(BuildError, match=name.rpartition("/")[2]):
        reject_unsafe_files(tmp_path)


def test_links_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    (tmp_path / "elsewhere.json").write_text("{}")
    (folder / "extra.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(BuildError, match=r"extra\.json: a link"):
        reject_unsafe_files(folder)


@pytest.mark.parametrize(
    "config", [{"auto_map": {}}, {"deep": [{"auto_map": {"AutoModel": "m.M"}}]}]
)
def test_configuration_that_names_code_is_refused(tmp_path: Path, config: object) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(BuildError, match=r"tokenizer_config\.json.*auto_map"):
        reject_unsafe_files(tmp_path)


def test_the_word_auto_map_in_a_text_is_not_code(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"vocab": ["auto_map"]}))
    reject_unsafe_files(tmp_path)


def test_side_files_are_copied_byte_for_byte_without_index_and_weights(tmp_path: Path) -> None:
    base, out = write_checkpoint(tmp_path / "base", shards=2), tmp_path / "out"
    out.mkdir()
    copy_side_files(base, out)
    names = ["chat_template.jinja", "config.json", "preprocessor_config.json"]
    names += ["tokenizer.json", "tokenizer_config.json"]
    assert [path.name for path in side_files(base)] == names
    assert sorted(path.name for path in out.iterdir()) == names
    assert all((out / name).read_bytes() == (base / name).read_bytes() for name in names)


@pytest.mark.parametrize("content", [None, "[1]", "{"])
def test_unreadable_json_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(BuildError, match=r"config\.json"):
        read_json(tmp_path / "config.json")
