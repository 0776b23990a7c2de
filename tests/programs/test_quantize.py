import json

import pytest

from cyrene_assets.programs._checkpoint import INDEX, read_header, side_files, tensors
from cyrene_assets.programs.quantize import ERROR_BOUND

from .conftest import IGNORE, Ran, RunProgram

pytestmark = pytest.mark.slow


def test_linear_layers_are_quantized_but_for_the_ignored(fp8: Ran) -> None:
    modules = fp8.result["quantized_modules"]
    assert len(modules) == 16
    assert not any("visual" in m or "linear_attn" in m or "lm_head" in m for m in modules)
    assert fp8.result["ignored_modules"] == 22
    found = tensors(fp8.out)
    assert all(found[f"{m}.weight"].dtype == "F8_E4M3" for m in modules)


def test_other_tensors_are_the_merged_model_s_bit_for_bit(merged: Ran, fp8: Ran) -> None:
    def raw(folder: Ran, name: str) -> bytes:
        path = folder.out / tensors(folder.out)[name].file
        data = path.read_bytes()
        start, end = read_header(path)[name]["data_offsets"]
        body = 8 + int.from_bytes(data[:8], "little")
        return data[body + start : body + end]

    before, after = tensors(merged.out), tensors(fp8.out)
    kept = [name for name in before if after[name].dtype != "F8_E4M3"]
    assert any(name.startswith("mtp.") for name in kept)
    assert any(before[name].dtype == "F32" for name in kept)
    for name in kept:
        assert after[name].dtype == before[name].dtype
        assert raw(fp8, name) == raw(merged, name), name
    assert set(after) - set(before) == {
        f"{m}.weight_scale" for m in fp8.result["quantized_modules"]
    }


def test_only_the_configuration_changes_beside_the_weights(merged: Ran, fp8: Ran) -> None:
    changed = [
        p.name for p in side_files(fp8.out) if p.read_bytes() != (merged.out / p.name).read_bytes()
    ]
    assert changed == ["config.json"]
    config = json.loads((fp8.out / "config.json").read_text())
    quantization = config.pop("quantization_config")
    assert config == json.loads((merged.out / "config.json").read_text())
    assert quantization["quant_method"] == "compressed-tensors"
    assert "re:^mtp.*" in quantization["ignore"]
    index = json.loads((fp8.out / INDEX).read_text())
    assert set(index["weight_map"]) == set(tensors(fp8.out))


def test_sizes_and_error(fp8: Ran) -> None:
    assert fp8.result["bytes_after"] < fp8.result["bytes_before"]
    assert 0 < fp8.result["max_relative_error"] <= ERROR_BOUND


def test_ignoring_everything_is_an_error(merged: Ran, run_program: RunProgram) -> None:
    failed = run_program(
        *("quantize",),
        expect_error=True,
        **{"model": str(merged.out), "scheme": "FP8_BLOCK", "ignore": [*IGNORE, "re:.*"]},
    )
    assert failed.error is not None
    assert "ignore" in failed.error
