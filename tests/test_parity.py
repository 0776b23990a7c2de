import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cyrene_assets import kernels, parity
from cyrene_assets.artifact_build import Build
from cyrene_assets.defs import _proof
from cyrene_assets.errors import BuildError
from cyrene_assets.hardware import GIB, Gpu, Hardware
from cyrene_assets.parity import Distances, Records, Verdict, judge
from cyrene_assets.toolchains import Toolchain

H200 = Gpu("NVIDIA H200", 140 * GIB, (9, 0), "GPU-0")
RTX = Gpu("NVIDIA GeForce RTX 5090", 32 * GIB, (12, 0), "GPU-1")
VERSIONS = {"torch": "2.14.0", "triton": "3.8.0"}
GOOD = {"logits: alone from float32": [0.02, 0.06], "logits: packed from alone": [0.01, 0.04]}
LEAKY = GOOD | {"logits: packed from alone": [0.9, 0.04]}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    text = dict.fromkeys(parity._HEADS, 16)
    (tmp_path / "config.json").write_text(json.dumps({"text_config": text}), encoding="utf-8")
    return tmp_path


def wrong(alone: float, packed: float, name: str = "logits") -> list[str]:
    return [row.name for row in judge({name: Distances(alone, packed)}, layers=8).wrong]


def test_rounding_is_no_leak() -> None:
    assert wrong(0.03, 0.04) == []


def test_a_pack_twice_as_far_from_alone_as_rounding_is_a_leak() -> None:
    assert wrong(0.03, 0.061) == ["logits: packed from alone"]


def test_what_is_wrong_alone_is_found_although_the_pack_agrees() -> None:
    assert wrong(0.2, 0.0) == ["logits: alone from float32"]


def test_gradients_pass_through_more_roundings_than_logits() -> None:
    assert wrong(0.09, 0.0) == ["logits: alone from float32"]
    assert wrong(0.09, 0.0, "gradient of mlp") == []


def test_nan_never_passes() -> None:
    assert len(wrong(math.nan, math.nan)) == 2
    assert not Verdict(()).ok


def test_a_verdict_says_what_is_nearest_to_its_limit_or_wrong() -> None:
    good = Verdict.from_dict(GOOD)
    assert good.ok
    assert good.summary().startswith("all 2 distances are; nearest: logits: alone from float32")
    leaky = Verdict.from_dict(LEAKY)
    assert leaky.summary() == "logits: packed from alone 0.9000, at most 0.0400"
    assert Verdict.from_dict(leaky.as_dict()) == leaky


def test_a_verdict_holds_for_its_gpu_its_kernels_and_its_dimensions(base: Path) -> None:
    key = parity.setting(H200, VERSIONS, base)
    assert parity.setting(Gpu(H200.name, GIB, (9, 0), "GPU-7"), VERSIONS, base) == key
    assert parity.setting(RTX, VERSIONS, base) != key
    assert parity.setting(H200, VERSIONS | {"triton": "3.9.0"}, base) != key
    text = dict.fromkeys(parity._HEADS, 32)
    (base / "config.json").write_text(json.dumps({"text_config": text}), encoding="utf-8")
    assert parity.setting(H200, VERSIONS, base) != key


def test_records_are_found_by_what_they_hold_for(tmp_path: Path, base: Path) -> None:
    records = Records(tmp_path / "parity")
    key = parity.setting(H200, VERSIONS, base)
    assert records.find(key) is None
    records.write(key, Verdict.from_dict(GOOD))
    assert records.find(key) == Verdict.from_dict(GOOD)
    assert records.find(parity.setting(RTX, VERSIONS, base)) is None
    assert json.loads(records.path(key).read_text("utf-8"))["setting"]["gpu"] == "NVIDIA H200"
    assert [path.suffix for path in records.folder.iterdir()] == [".json"]


@pytest.mark.parametrize("text", ["", "[]", '{"rows": {"x": [1]}}', '{"rows": 3}'])
def test_a_record_that_cannot_be_read_counts_as_none(tmp_path: Path, base: Path, text: str) -> None:
    records, key = Records(tmp_path), parity.setting(H200, VERSIONS, base)
    records.path(key).write_text(text, encoding="utf-8")
    assert records.find(key) is None


def test_one_gpu_of_each_kind_is_looked_at() -> None:
    assert parity.kinds(Hardware((H200, RTX, H200))) == (H200, RTX)


def test_a_refusal_names_the_gpu_the_kernels_and_the_remedy() -> None:
    with pytest.raises(BuildError) as caught:
        parity.refuse(H200, Verdict.from_dict(LEAKY), VERSIONS)
    said = str(caught.value)
    assert said.startswith("NVIDIA H200: packed documents do not agree")
    assert "logits: packed from alone 0.9000, at most 0.0400" in said
    assert "torch 2.14.0, triton 3.8.0" in said
    assert "cyrene toolchain install train" in said
    parity.refuse(H200, Verdict.from_dict(GOOD), VERSIONS)


class FakeBuild(SimpleNamespace):
    """A build whose program finds what it is told, and counts how often it is asked."""

    def __init__(self, home: Path, base: Path, rows: dict[str, list[float]]) -> None:
        log = SimpleNamespace(info=lambda _: None)
        super().__init__(context=SimpleNamespace(log=log), project=SimpleNamespace(home=home))
        self.base, self.rows = base, rows
        self.devices: list[str] = []

    def input(self, _asset: str) -> SimpleNamespace:
        return SimpleNamespace(path=self.base)

    def run_program(self, program: str, extras: Any, *, environment: Any) -> dict[str, Any]:
        assert program == "parity"
        assert extras == {"base": str(self.base)}
        self.devices.append(environment["CUDA_VISIBLE_DEVICES"])
        return {"rows": self.rows}


@pytest.fixture
def prove(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_proof, "versions", lambda *_: VERSIONS)
    monkeypatch.setattr(Toolchain, "python", lambda *_: Path("python"))
    monkeypatch.setattr(kernels, "refuse", lambda *_: None)

    def run(rows: dict[str, list[float]], *gpus: Gpu) -> tuple[Any, list[str]]:
        build = FakeBuild(tmp_path, base, rows)
        return _proof.prove(cast(Build, build), Hardware(gpus)), build.devices

    return run


def test_a_gpu_is_looked_at_before_its_first_training_only(prove: Any) -> None:
    first, devices = prove(GOOD, H200)
    assert first.passed
    assert devices == ["GPU-0"]
    assert first.metadata["NVIDIA H200, logits: packed from alone"] == 0.01
    again, devices = prove(LEAKY, H200)
    assert again == first
    assert devices == []
    _, devices = prove(GOOD, H200, RTX)
    assert devices == ["GPU-1"]


def test_a_leak_stops_the_training_and_is_looked_for_again(prove: Any) -> None:
    with pytest.raises(BuildError, match="packed documents do not agree"):
        prove(LEAKY, H200)
    found, devices = prove(GOOD, H200)
    assert found.passed
    assert devices == ["GPU-0"]


def test_a_driver_that_does_not_answer_is_no_reason_to_train_on_the_cpu() -> None:
    with pytest.raises(BuildError, match="does not begin on the CPU: the driver is ill"):
        _proof.prove(cast(Build, None), Hardware(fault="the driver is ill"))


def test_a_cpu_has_nothing_to_prove(prove: Any) -> None:
    found, devices = prove(LEAKY)
    assert found.passed
    assert found.detail == "nothing is packed on a CPU"
    assert devices == []
