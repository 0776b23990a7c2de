"""What `cyrene serve` and `cyrene chat` look at before they start a server on a CPU."""

import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.compute.cpu import Cpu
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.config.quantization_schemes import SCHEMES
from cyrene_assets.project.project import Project
from cyrene_assets.serving import served_character
from cyrene_assets.serving.character import ServedArtifact
from cyrene_assets.serving.gpu_budget import ServingFootprint
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import UserError
from cyrene_assets.workers.serve.vllm_engine import IN_PROCESS_ENV
from serving.test_gpu_budget import CONFIG

AVX2 = Cpu("x86_64", frozenset({"fma", "avx2"}))
AVX512_BF16 = Cpu(
    "x86_64",
    AVX2.flags | {"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512_bf16"},
)
SSE = Cpu("x86_64", frozenset({"sse4_2"}), "Intel Xeon X5675")
TENSORS = {
    "model.language_model.a.weight": ("F8_E4M3", (256, 128)),
    "model.language_model.a.weight_scale": ("BF16", (2, 1)),
    "model.language_model.norm.weight": ("BF16", (128,)),
    "model.visual.b.weight": ("BF16", (64, 64)),
    "mtp.c.weight": ("BF16", (64, 64)),
}
BYTES = {"F8_E4M3": 1, "BF16": 2}


def write_checkpoint(folder: Path) -> None:
    header: dict[str, Any] = {}
    end = 0
    for name, (dtype, shape) in TENSORS.items():
        start, end = end, end + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    config = {
        **CONFIG,
        "quantization_config": {
            "config_groups": {"group_0": {"weights": SCHEMES["FP8_BLOCK"].config_entry}}
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.fixture
def character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServedArtifact:
    monkeypatch.setattr(Hardware, "detect", Hardware)
    project = Project(tmp_path / "home", Project.load().settings)
    with project.store.stage("fp8_model") as folder:
        write_checkpoint(folder)
        about: dict[str, Any] = {"inputs": {}, "params": {}}
        artifact = project.store.publish(folder, ArtifactKey("fp8_model", "tiny"), about)
    return ServedArtifact(project, SIZES["tiny"], artifact)


def start(character: ServedArtifact) -> None:
    with served_character.serve_character(
        character,
        language="en",
        profile=character.profile(None),
        host="127.0.0.1",
        port=1,
    ):
        pass


def test_memory_of_dequantized_weights_is_bfloat16_s(character: ServedArtifact) -> None:
    assert character.scheme == "FP8_BLOCK"
    assert character.footprint.weights == 256 * 128 + 2 * 2 + 2 * 128
    assert character.dequantized_footprint.weights == 2 * 256 * 128 + 2 * 128


def test_hosted_on_a_cpu_without_avx2_starts_nothing(
    character: ServedArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_character, "detect_cpu", lambda: SSE)
    with pytest.raises(UserError, match=r"vLLM does not start: .* Intel Xeon X5675 lacks"):
        start(character)


@pytest.mark.parametrize(
    ("cpu", "counted"), [(AVX2, "dequantized_footprint"), (AVX512_BF16, "footprint")]
)
def test_hosted_on_a_cpu_counts_the_weights_as_they_are_once_loaded(
    character: ServedArtifact, monkeypatch: pytest.MonkeyPatch, cpu: Cpu, counted: str
) -> None:
    monkeypatch.setattr(served_character, "detect_cpu", lambda: cpu)
    asked: list[ServingFootprint] = []

    def refuse(_hardware: Hardware, model: ServingFootprint, _wanted: int) -> None:
        asked.append(model)
        raise UserError("too large")

    monkeypatch.setattr(served_character, "chat_engine", refuse)
    with pytest.raises(UserError, match="too large"):
        start(character)
    assert asked == [getattr(character, counted)]


@pytest.mark.parametrize(("limit", "forked"), [(1 << 20, True), (1, False)])
def test_server_of_a_small_model_on_a_cpu_has_its_engine_in_a_fork(
    character: ServedArtifact, monkeypatch: pytest.MonkeyPatch, limit: int, forked: bool
) -> None:
    environments: list[Mapping[str, str]] = []

    def run_server(*_: Any, environment: Mapping[str, str], **__: Any) -> nullcontext[None]:
        environments.append(environment)
        return nullcontext()

    monkeypatch.setattr(served_character, "detect_cpu", lambda: AVX512_BF16)
    monkeypatch.setattr(served_character, "own_template", lambda _folder: "")
    monkeypatch.setattr(served_character, "character_template", lambda *_: "")
    monkeypatch.setattr(served_character, "run_server", run_server)
    monkeypatch.setattr(served_character, "SMALL_MODEL", limit)
    start(character)
    (environment,) = environments
    assert (IN_PROCESS_ENV.items() <= environment.items()) == forked
    assert environment["TORCHDYNAMO_DISABLE"] == "1"
