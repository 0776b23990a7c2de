import os
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
def test_the_gpus_at_hand_are_built_for(gpus: tuple[Gpu, ...], archs: str, tmp_path: Path) -> None:
    found = kernel_build.build_environment(
        Hardware(gpus), Path("/cuda/bin/nvcc"), Path("/usr/bin/c++"), tmp_path, 7
    )
    assert found["FLASH_ATTN_CUDA_ARCHS"] == archs
    assert found["CUDA_HOME"] == "/cuda"
    assert found["MAX_JOBS"] == "7"
    # Nothing that somebody else has built is fetched in place of building it.
    assert found["FLASH_ATTENTION_FORCE_BUILD"] == found["CAUSAL_CONV1D_FORCE_BUILD"] == "TRUE"
    # torch looks for this name.
    assert found["CXX"].endswith("/g++")


def test_a_compiler_is_told_the_standard_and_the_gpus_and_the_rest_as_it_is(
    tmp_path: Path,
) -> None:
    real = script(tmp_path / "a folder" / "nvcc", 'printf "%s\\n" "$@"')
    wrapper = kernel_build.write_wrapper(tmp_path / "nvcc", real, ["80", "90"])
    given = [
        *("-std=c++17", "a b.cu", "-gencode", "arch=compute_75,code=sm_75", "-O3"),
        *("-gencode", "arch=compute_90,code=sm_90", "-gencode", "arch=compute_120,code=sm_120"),
    ]
    told = subprocess.check_output([wrapper, *given], text=True).splitlines()
    assert told == ["-std=c++20", "a b.cu", "-O3", "-gencode", "arch=compute_90,code=sm_90"]
    # A question, such as torch's for the version, is passed on as it is; a file is compiled without
    # what Qwen3.5's attention has not.
    assert list(kernel_build.compiler_words(["-v"], ["90"])) == ["-v"]
    compiled = list(kernel_build.compiler_words(["-c", "a.cu"], ["90"]))
    assert compiled[:2] == ["-c", "a.cu"]
    assert "-DFLASHATTENTION_DISABLE_DROPOUT" in compiled


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


def test_files_at_a_time_are_as_asked_or_as_the_machine_allows() -> None:
    assert kernel_build.jobs_at_a_time({"MAX_JOBS": "3"}) == 3
    assert 1 <= kernel_build.jobs_at_a_time({}) <= (os.cpu_count() or 1)
    for given in ("four", "0", "-1"):
        with pytest.raises(UserError, match=f"MAX_JOBS={given}: "):
            kernel_build.jobs_at_a_time({"MAX_JOBS": given})


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
        assert {"--no-build-isolation", "--no-deps", "--no-cache", str(python)} <= set(words)
        assert environment["MAX_JOBS"] == "3"
    assert all("3 files at a time" in line for line in said)


def test_what_is_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchains, "versions", lambda _, names: {n: BUILT[n] for n in names})
    said: list[str] = []
    kernel_build.build_missing(("flash-attn",), Path("python"), Hardware(), said.append)
    assert said == [f"flash-attn=={BUILT['flash-attn']} is there already"]
