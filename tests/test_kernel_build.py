import subprocess
from pathlib import Path

import pytest

from cyrene_assets import kernel_build, toolchains
from cyrene_assets.errors import UserError
from cyrene_assets.hardware import GIB, Gpu, Hardware
from cyrene_assets.kernels import BUILT

H200 = Gpu("NVIDIA H200", 140 * GIB, (9, 0))
RTX_3090 = Gpu("RTX 3090", 24 * GIB, (8, 6))
RTX_5090 = Gpu("RTX 5090", 32 * GIB, (12, 0))


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("gpus", "archs"),
    [((H200,), "90"), ((RTX_5090,), "120"), ((RTX_3090,), "80"), ((RTX_3090, H200, H200), "80;90")],
)
def test_the_gpus_at_hand_are_built_for(gpus: tuple[Gpu, ...], archs: str) -> None:
    found = kernel_build.build_environment(
        Hardware(gpus), Path("/cuda/bin/nvcc"), Path("/tmp/g++"), 7
    )
    assert found["FLASH_ATTN_CUDA_ARCHS"] == archs
    assert found["CUDA_HOME"] == "/cuda"
    assert found["MAX_JOBS"] == "7"
    # Nothing that somebody else has built is fetched in place of building it.
    assert found["FLASH_ATTENTION_FORCE_BUILD"] == found["CAUSAL_CONV1D_FORCE_BUILD"] == "TRUE"


def test_the_standard_is_the_compilers_last_word(tmp_path: Path) -> None:
    real = script(tmp_path / "a folder" / "c++", 'echo "$@"')
    (tmp_path / "own").mkdir()
    wrapper = kernel_build.write_wrapper(tmp_path / "own", real)
    done = subprocess.run(
        [wrapper, "-std=c++17", "a b.cpp"], check=False, capture_output=True, text=True
    )
    assert done.stdout == "-std=c++17 a b.cpp -std=c++20\n"
    # torch looks for it.
    assert wrapper.name == "g++"


def test_what_is_missing_is_told_before_anything_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    here, home = Hardware((H200,)), {"CUDA_HOME": str(tmp_path / "cuda")}
    with pytest.raises(UserError, match="no NVIDIA GPU is here"):
        kernel_build.find_compilers(home, Hardware())
    with pytest.raises(UserError, match="nvcc, is missing: install the CUDA toolkit 13"):
        kernel_build.find_compilers(home, here)
    nvcc = script(tmp_path / "cuda" / "bin" / "nvcc", "")
    with pytest.raises(UserError, match=r"g\+\+ is missing"):
        kernel_build.find_compilers(home, here)
    compiler = script(tmp_path / "bin" / "g++", "")
    assert kernel_build.find_compilers(home, here) == (nvcc, compiler)
    other = script(tmp_path / "bin" / "clang++", "")
    assert kernel_build.find_compilers(home | {"CXX": "clang++"}, here) == (nvcc, other)


def test_uv_is_told_to_build_in_the_environment_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[tuple[str, ...], dict[str, str]]] = []
    monkeypatch.setattr(
        toolchains, "uv", lambda *words, environment: seen.append((words, environment))
    )
    monkeypatch.setattr(toolchains, "versions", lambda _, names: {"python": "3.11"})
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("MAX_JOBS", "3")
    script(tmp_path / "bin" / "nvcc", "")
    said: list[str] = []
    python = tmp_path / "python"
    kernel_build.build_missing((), python, Hardware((H200,)), said.append)
    assert [words[-1] for words, _ in seen] == [f"{name}=={BUILT[name]}" for name in BUILT]
    for words, environment in seen:
        assert {"--no-build-isolation", "--no-deps", str(python)} <= set(words)
        assert environment["MAX_JOBS"] == "3"
    assert all("3 files at a time" in line for line in said)


def test_what_is_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchains, "versions", lambda _, names: {n: BUILT[n] for n in names})
    said: list[str] = []
    kernel_build.build_missing(("flash-attn",), Path("python"), Hardware(), said.append)
    assert said == [f"flash-attn=={BUILT['flash-attn']} is there already"]
