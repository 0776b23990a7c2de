import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cyrene_assets.compute import kernel_requirements
from cyrene_assets.compute.attention import FLASH_2, FLASH_4, ONE_BY_ONE, TORCH, Attention
from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.training import packing_parity, parity_gate
from cyrene_assets.training.packing_parity import Distances, ParityCache, Verdict, evaluate
from cyrene_assets.utils.errors import BuildError

H200 = Gpu("NVIDIA H200", 140 * GIB, (9, 0), "GPU-0")
RTX = Gpu("NVIDIA GeForce RTX 5090", 32 * GIB, (12, 0), "GPU-1")
VERSIONS = {"torch": "2.14.0", "triton": "3.8.0"}
GOOD = {"logits: alone from float32": [0.02, 0.06], "logits: packed from alone": [0.01, 0.04]}
LEAKY = GOOD | {"logits: packed from alone": [0.9, 0.04]}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    text = dict.fromkeys(packing_parity._HEADS, 16)
    (tmp_path / "config.json").write_text(json.dumps({"text_config": text}), encoding="utf-8")
    return tmp_path


def wrong(alone: float, packed: float, name: str = "logits") -> list[str]:
    return [row.name for row in evaluate({name: Distances(alone, packed)}, layers=8).wrong]


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
    key = packing_parity.cache_key(H200, VERSIONS, base, TORCH)
    assert (
        packing_parity.cache_key(Gpu(H200.name, GIB, (9, 0), "GPU-7"), VERSIONS, base, TORCH) == key
    )
    assert packing_parity.cache_key(RTX, VERSIONS, base, TORCH) != key
    assert packing_parity.cache_key(H200, VERSIONS | {"triton": "3.9.0"}, base, TORCH) != key
    text = dict.fromkeys(packing_parity._HEADS, 32)
    (base / "config.json").write_text(json.dumps({"text_config": text}), encoding="utf-8")
    assert packing_parity.cache_key(H200, VERSIONS, base, TORCH) != key


def test_records_are_found_by_what_they_hold_for(tmp_path: Path, base: Path) -> None:
    records = ParityCache(tmp_path / "parity")
    key = packing_parity.cache_key(H200, VERSIONS, base, TORCH)
    assert records.find(key) is None
    records.write(key, Verdict.from_dict(GOOD))
    assert records.find(key) == Verdict.from_dict(GOOD)
    assert records.find(packing_parity.cache_key(RTX, VERSIONS, base, TORCH)) is None
    assert json.loads(records.path(key).read_text("utf-8"))["setting"]["gpu"] == "NVIDIA H200"
    assert [path.suffix for path in records.folder.iterdir()] == [".json"]


@pytest.mark.parametrize("text", ["", "[]", '{"rows": {"x": [1]}}', '{"rows": 3}'])
def test_a_record_that_cannot_be_read_counts_as_none(tmp_path: Path, base: Path, text: str) -> None:
    records, key = ParityCache(tmp_path), packing_parity.cache_key(H200, VERSIONS, base, TORCH)
    records.path(key).write_text(text, encoding="utf-8")
    assert records.find(key) is None


def test_one_gpu_of_each_kind_is_looked_at() -> None:
    assert packing_parity.unique_gpus(Hardware((H200, RTX, H200))) == (H200, RTX)


def test_raise_on_failure_names_the_gpu_the_attention_the_kernels_and_the_remedy() -> None:
    leaky = Verdict.from_dict(LEAKY)
    with pytest.raises(BuildError) as error:
        packing_parity.raise_on_failure(H200, TORCH, leaky, VERSIONS)
    said = str(error.value)
    assert said.startswith(
        "NVIDIA H200: with torch's variable-length flash attention, packed documents do not agree"
    )
    assert "logits: packed from alone 0.9000, at most 0.0400" in said
    assert "torch 2.14.0, triton 3.8.0" in said
    assert "cyrene toolchain install train" in said
    with pytest.raises(BuildError, match=r"flash-attn 2\.8\.3"):
        packing_parity.raise_on_failure(H200, FLASH_2, leaky, VERSIONS | {"flash-attn": "2.8.3"})


Rows = dict[str, list[float]]


class FakeBuild(SimpleNamespace):
    """A build whose program finds what it is told, and counts how often it is run.

    ``rows`` are what is found by an attention's implementation; a text is what the program dies of.
    """

    def __init__(self, home: Path, base: Path, rows: dict[str, Rows | str], attention: str) -> None:
        self.warnings: list[str] = []
        settings = SimpleNamespace(attention=attention)
        super().__init__(
            log=lambda _: None,
            log_warning=self.warnings.append,
            project=SimpleNamespace(home=home, settings=settings),
        )
        self.base, self.rows = base, rows
        self.runs: list[tuple[str, str]] = []

    def input(self, _asset: str) -> SimpleNamespace:
        return SimpleNamespace(path=self.base)

    def run_program(self, program: str, extras: Any, *, environment: Any) -> dict[str, Any]:
        assert program == "parity"
        assert extras["base"] == str(self.base)
        self.runs.append((extras["attention"], environment["CUDA_VISIBLE_DEVICES"]))
        found = self.rows[extras["attention"]]
        if isinstance(found, str):
            raise BuildError(found)
        return {"rows": found}


class Proved(SimpleNamespace):
    attention: Attention
    outcome: Any
    runs: list[tuple[str, str]]
    warnings: list[str]


@pytest.fixture
def prove(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Toolchain, "python", lambda *_: Path("python"))
    monkeypatch.setattr(kernel_requirements, "require_kernels", lambda *_: None)

    def run(
        rows: dict[str, Rows | str] | Rows,
        *gpus: Gpu,
        attention: str = "auto",
        versions: dict[str, str] = VERSIONS,
    ) -> Proved:
        monkeypatch.setattr(parity_gate, "versions", lambda *_: versions)
        by_name = rows if TORCH.implementation in rows else {TORCH.implementation: rows}
        build = FakeBuild(tmp_path, base, cast(dict[str, Rows | str], by_name), attention)
        chosen, outcome = parity_gate.require_packing_parity(
            cast(ArtifactBuild, build), Hardware(gpus)
        )
        return Proved(attention=chosen, outcome=outcome, runs=build.runs, warnings=build.warnings)

    return run


def test_a_gpu_is_compared_before_its_first_training_only(prove: Any) -> None:
    first = prove(GOOD, H200)
    assert first.outcome.passed
    assert first.attention is TORCH
    assert first.outcome.detail.startswith(
        "torch's variable-length flash attention; NVIDIA H200: all"
    )
    assert first.runs == [("cyrene_varlen", "GPU-0")]
    assert first.outcome.metadata["NVIDIA H200, logits: packed from alone"] == 0.01
    again = prove(LEAKY, H200)
    assert again.outcome == first.outcome
    assert again.runs == []
    assert prove(GOOD, H200, RTX).runs == [("cyrene_varlen", "GPU-1")]


def test_a_leak_of_the_attention_that_a_person_named_stops_the_training(prove: Any) -> None:
    with pytest.raises(BuildError, match="packed documents do not agree"):
        prove(LEAKY, H200, attention="torch")
    found = prove(GOOD, H200, attention="torch")
    assert found.outcome.passed
    assert found.runs == [("cyrene_varlen", "GPU-0")]


def test_auto_takes_the_next_attention_where_one_leaks_or_dies(prove: Any) -> None:
    rows: dict[str, Rows | str] = {
        FLASH_4.implementation: "no kernel for heads of 256",
        TORCH.implementation: LEAKY,
        ONE_BY_ONE.implementation: GOOD,
    }
    versions = VERSIONS | {"flash-attn-4": "4.0"}
    found = prove(rows, H200, versions=versions)
    assert found.attention is ONE_BY_ONE
    assert [name for name, _ in found.runs] == [
        *(FLASH_4.implementation, TORCH.implementation, ONE_BY_ONE.implementation)
    ]
    assert "flash-attn 4 behind torch's call is passed over: no kernel" in found.warnings[0]
    assert "packed documents do not agree" in found.warnings[1]
    # The leak is on record and is not measured again; what died may have died of something else.
    again = prove(rows, H200, versions=versions)
    assert [name for name, _ in again.runs] == [FLASH_4.implementation]
    assert again.attention is ONE_BY_ONE


def test_auto_refuses_where_no_attention_keeps_documents_apart(prove: Any) -> None:
    rows = {TORCH.implementation: LEAKY, ONE_BY_ONE.implementation: LEAKY}
    with pytest.raises(BuildError, match="one document of a pack after the other"):
        prove(rows, H200)


def test_an_attention_must_pass_on_every_kind_of_gpu(prove: Any, monkeypatch: Any) -> None:
    prove(GOOD, H200)
    rows = {TORCH.implementation: LEAKY, ONE_BY_ONE.implementation: GOOD}
    found = prove(rows, H200, RTX)
    assert found.attention is ONE_BY_ONE
    assert found.runs[0] == ("cyrene_varlen", "GPU-1")
    assert sorted(found.runs[1:]) == [("cyrene_sdpa", "GPU-0"), ("cyrene_sdpa", "GPU-1")]


def test_a_driver_that_does_not_answer_is_no_reason_to_train_on_the_cpu() -> None:
    with pytest.raises(BuildError, match="does not start on the CPU: the driver is ill"):
        parity_gate.require_packing_parity(
            cast(ArtifactBuild, None), Hardware(fault="the driver is ill")
        )


def test_a_cpu_has_nothing_to_prove(prove: Any) -> None:
    found = prove(LEAKY)
    assert found.outcome.passed
    assert found.outcome.detail == "nothing is packed on a CPU"
    assert found.runs == []
