import io
import subprocess
import sys
import tarfile
from pathlib import Path

import build_kernels
import pytest
from build_kernels import BUILT
from click.testing import CliRunner
from uv import find_uv_bin

from cyrene_assets.compute import toolchains
from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.utils.errors import BuildError, UserError

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
    found = build_kernels.build_environment(
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
    wrapper = build_kernels.write_wrapper(tmp_path / "nvcc", real, ["80", "90"])
    given = [
        *("-std=c++17", "a b.cu", "-gencode", "arch=compute_75,code=sm_75", "-O3"),
        *("-gencode", "arch=compute_90,code=sm_90", "-gencode", "arch=compute_120,code=sm_120"),
    ]
    told = subprocess.check_output([wrapper, *given], text=True).splitlines()
    assert told == ["-std=c++20", "a b.cu", "-O3", "-gencode", "arch=compute_90,code=sm_90"]
    # A question, such as torch's for the version, is passed on as it is; a file is compiled without
    # what Qwen3.5's attention has not.
    assert list(build_kernels.compiler_words(["-v"], ["90"])) == ["-v"]
    compiled = list(build_kernels.compiler_words(["-c", "a.cu"], ["90"]))
    assert compiled[:2] == ["-c", "a.cu"]
    assert "-DFLASHATTENTION_DISABLE_DROPOUT" in compiled


def test_what_is_missing_is_told_before_anything_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    here, home = Hardware((H200,)), {"CUDA_HOME": str(tmp_path / "cuda")}
    with pytest.raises(UserError, match="no NVIDIA GPU is here"):
        build_kernels.find_compilers(home, Hardware())
    with pytest.raises(UserError, match="nvcc, is missing: install the CUDA toolkit 13"):
        build_kernels.find_compilers(home, here)
    nvcc = script(tmp_path / "cuda" / "bin" / "nvcc", "")
    with pytest.raises(UserError, match=r"g\+\+ is missing"):
        build_kernels.find_compilers(home, here)
    compiler = script(tmp_path / "bin" / "g++", "")
    assert build_kernels.find_compilers(home, here) == (nvcc, compiler)
    other = script(tmp_path / "bin" / "clang++", "")
    assert build_kernels.find_compilers(home | {"CXX": "clang++"}, here) == (nvcc, other)


# A source distribution whose build says what a compiler would, and keeps what it was told.
BACKEND = """
import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    for file in (1, 2):
        print(f"[{file}/2] nvcc", flush=True)
    if os.environ["FLASH_ATTN_CUDA_ARCHS"] == "0":
        raise SystemExit("nvcc fatal: unsupported architecture")
    told = " ".join(os.environ[name] for name in ("FLASH_ATTN_CUDA_ARCHS", "MAX_JOBS"))
    name, info = "flash_attn-2.8.3-py3-none-any.whl", "flash_attn-2.8.3.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("told.txt", told)
        about = "Metadata-Version: 2.1\\nName: flash-attn\\nVersion: 2.8.3\\n"
        wheel.writestr(info + "/METADATA", about)
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "flash-attn"
version = "2.8.3"
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The interpreter of an empty environment; its index has such a source, its machine nvcc."""
    index = tmp_path / "index"
    index.mkdir()
    with tarfile.open(index / "flash_attn-2.8.3.tar.gz", "w:gz") as archive:
        for name, text in {
            "backend.py": BACKEND,
            "pyproject.toml": PROJECT,
            "PKG-INFO": "Metadata-Version: 2.2\nName: flash-attn\nVersion: 2.8.3\n",
        }.items():
            member = tarfile.TarInfo(f"flash_attn-2.8.3/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(index))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    monkeypatch.setenv("CXX", str(script(tmp_path / "bin" / "g++", "")))
    monkeypatch.setenv("MAX_JOBS", "3")
    script(tmp_path / "cuda" / "bin" / "nvcc", "")
    subprocess.run([find_uv_bin(), "venv", "-q", str(tmp_path / "env")], check=True)
    return tmp_path / "env" / "bin" / "python"


def test_a_kernel_is_built_into_the_environment(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_kernels, "_REPORT_SECONDS", 0.01)
    said: list[str] = []
    logs = tmp_path / "logs"
    build_kernels.build_missing(("flash-attn",), environment, Hardware((H200,)), logs, said.append)
    (told,) = environment.parents[1].rglob("told.txt")
    assert told.read_text() == "90 3"
    assert "[2/2] nvcc" in (logs / "flash-attn.log").read_text()
    assert "3 files at a time" in said[0]
    assert said[1].startswith("flash-attn==2.8.3: 0 s")
    # For another GPU it is compiled again, not taken from a cache.
    wanted, settings = "flash-attn==2.8.3", {"FLASH_ATTN_CUDA_ARCHS": "120"}
    build_kernels.install(wanted, environment, settings, logs / "again.log", said.append)
    assert told.read_text() == "120 3"


def test_a_kernel_that_is_not_built_names_the_log(environment: Path, tmp_path: Path) -> None:
    log, wanted = tmp_path / "log", "flash-attn==2.8.3"
    with pytest.raises(BuildError, match="was not built") as caught:
        build_kernels.install(wanted, environment, {"FLASH_ATTN_CUDA_ARCHS": "0"}, log, print)
    assert str(log) in str(caught.value)
    assert "unsupported architecture" in str(caught.value)


def test_progress_is_ninjas(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"[1/73] nvcc\nwords\n[12/73] nvcc\n")
    assert build_kernels._progress(log) == ", 12 of 73 files"


@pytest.mark.parametrize("given", ["many", "0", "-1"])
def test_a_number_of_jobs_that_is_none(given: str) -> None:
    with pytest.raises(UserError, match=f"MAX_JOBS={given}: give how many"):
        build_kernels.jobs_at_a_time({"MAX_JOBS": given})
    assert build_kernels.jobs_at_a_time({}) >= 1


def test_what_is_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchains, "versions", lambda _, names: {n: BUILT[n] for n in names})
    said: list[str] = []
    build_kernels.build_missing(
        ("flash-attn",), Path("python"), Hardware(), Path("logs"), said.append
    )
    assert said == [f"flash-attn=={BUILT['flash-attn']} is there already"]


def test_the_script_says_what_it_takes() -> None:
    script = Path(build_kernels.__file__)
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=True
    )
    assert "[flash-attn|causal-conv1d]" in done.stdout
    refused = subprocess.run(
        [sys.executable, str(script), "flash-attn-3"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "'flash-attn-3' is not one of" in refused.stderr


def test_main_without_a_toolchain_or_a_gpu_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYRENE_HOME", str(tmp_path))
    monkeypatch.delenv("CYRENE_TRAIN_PYTHON", raising=False)
    done = CliRunner().invoke(build_kernels.main, ["flash-attn"])
    assert done.exit_code == 1
    assert "the 'train' toolchain is not installed" in done.output
    monkeypatch.setenv("CYRENE_TRAIN_PYTHON", sys.executable)
    monkeypatch.setattr(Hardware, "detect", Hardware)
    done = CliRunner().invoke(build_kernels.main, ["flash-attn"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: no NVIDIA GPU is here")
