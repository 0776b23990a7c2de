from pathlib import Path

import pytest
from checkpoint_folders import Shapes, base_shapes, write_checkpoint, write_safetensors

from cyrene_assets.checkpoints.diff import (
    compare,
    compare_frozen,
    compare_trained,
    count_moved_lora,
    differences,
)

VISION = "model.visual.patch_embed.proj.weight"


def shapes() -> Shapes:
    return {**base_shapes(), VISION: ("BF16", (2, 3))}


def change(folder: Path, tensor: str) -> None:
    """Change one byte of a tensor, wherever it lies."""
    from cyrene_assets.checkpoints.safetensors import read_header

    for path in folder.glob("*.safetensors"):
        header = read_header(path)
        if tensor in header:
            data = bytearray(path.read_bytes())
            start = 8 + int.from_bytes(data[:8], "little")
            data[start + header[tensor]["data_offsets"][1] - 1] ^= 1
            path.write_bytes(data)


def test_differences_name_what_is_not_the_base_s(tmp_path: Path) -> None:
    base = write_checkpoint(tmp_path / "base")
    other = base_shapes()
    del other["mtp.fc.weight"]
    other["extra"] = ("BF16", (1,))
    other["model.language_model.layers.0.linear_attn.A_log"] = ("BF16", (2,))
    other["model.language_model.layers.1.mlp.up_proj.weight"] = ("BF16", (9, 4))
    found = differences(base, write_checkpoint(tmp_path / "other", other))
    assert found == [
        "mtp.fc.weight: missing",
        "extra: not in the base",
        "model.language_model.layers.0.linear_attn.A_log: BF16, in the base F32",
        "model.language_model.layers.1.mlp.up_proj.weight: shape (9, 4), in the base (8, 4)",
    ]
    assert differences(base, base) == []


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("tensor", [VISION, "mtp.fc.weight"])
def test_a_changed_bit_of_what_is_not_trained_is_found(
    tmp_path: Path, tensor: str, shards: int
) -> None:
    base = write_checkpoint(tmp_path / "base", shapes())
    other = write_checkpoint(tmp_path / "other", shapes(), shards=shards)
    assert compare_frozen(base, other) == (2, [])
    change(other, tensor)
    assert compare_frozen(base, other) == (2, [tensor])


def test_what_is_trained_may_change(tmp_path: Path) -> None:
    base = write_checkpoint(tmp_path / "base", shapes())
    other = write_checkpoint(tmp_path / "other", shapes())
    change(other, "model.language_model.layers.0.mlp.up_proj.weight")
    found = compare(base, other)
    assert found == {"differences": [], "untouched": 2, "altered": [], "mtp": 1}


def test_what_is_missing_or_of_another_dtype_is_altered(tmp_path: Path) -> None:
    base = write_checkpoint(tmp_path / "base", shapes())
    other = shapes()
    del other["mtp.fc.weight"]
    other[VISION] = ("F32", (2, 3))
    found = compare(base, write_checkpoint(tmp_path / "other", other))
    assert found["altered"] == ["mtp.fc.weight", VISION]
    assert found["mtp"] == 0


@pytest.mark.parametrize("shards", [1, 3])
def test_a_checkpoint_that_equals_its_start_has_no_changed_tensor(
    tmp_path: Path, shards: int
) -> None:
    base = write_checkpoint(tmp_path / "base", shapes())
    other = write_checkpoint(tmp_path / "other", shapes(), shards=shards)
    assert compare_trained(base, other) == (5, 0)
    # What training leaves alone does not count.
    change(other, VISION)
    assert compare_trained(base, other) == (5, 0)
    change(other, "model.language_model.layers.1.linear_attn.A_log")
    assert compare_trained(base, other) == (5, 1)


def test_an_adapter_of_zeros_has_moved_nowhere(tmp_path: Path) -> None:
    names = [f"base_model.model.layers.{n}.q_proj.lora_{m}.weight" for n in (0, 1) for m in "AB"]
    write_safetensors(tmp_path / "adapter_model.safetensors", dict.fromkeys(names, ("F32", (4, 2))))
    adapter = tmp_path / "adapter_model.safetensors"
    assert count_moved_lora(adapter) == (2, 0)
    # A is drawn at random and counts for nothing while B is zero.
    change(tmp_path, names[0])
    assert count_moved_lora(adapter) == (2, 0)
    change(tmp_path, names[3])
    assert count_moved_lora(adapter) == (2, 1)
