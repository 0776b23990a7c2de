"""Our attention over packs, with the real torch, transformers and ms-swift."""

import json
from pathlib import Path

import pytest

from cyrene_assets.compute.hardware import Hardware
from workers.conftest import RunPython

CASES = Path(__file__).with_name("attention_cases.py")
# bfloat16 keeps 8 bits; the kernels add up in float32.
BFLOAT16, FLOAT32 = 1e-2, 1e-5


@pytest.mark.slow
def test_attention_over_a_pack_equals_each_document_alone(run_python: RunPython) -> None:
    assert_right(run_python, CUDA_VISIBLE_DEVICES="")


@pytest.mark.gpu
def test_attention_kernels_over_a_pack_equal_each_document_alone(run_python: RunPython) -> None:
    if not Hardware.detect().gpus:
        pytest.skip("needs an NVIDIA GPU")
    assert_right(run_python, CUDA_VISIBLE_DEVICES="0")


def assert_right(run_python: RunPython, **environment: str) -> None:
    found = json.loads(run_python(CASES, **environment).splitlines()[-1])
    assert found["gpu"] == (environment.get("CUDA_VISIBLE_DEVICES") != "")
    most = BFLOAT16 if found["gpu"] else FLOAT32
    assert len(found["errors"]) == 8
    for case, errors in found["errors"].items():
        assert len(errors) == 4
        assert max(errors) < most, (case, errors)
    for said in found["refusals"].values():
        padded, dropped = said
        assert "this batch is padded" in padded
        assert "`attention_dropout` must be 0" in dropped
    assert found["known"] == [True] * 4
    refused = found["swift"].pop("sdpa")
    assert "requires a flash attention implementation" in refused
    assert set(found["swift"].values()) == {"packs"}
