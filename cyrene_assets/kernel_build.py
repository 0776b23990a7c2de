"""Flash attention and causal-conv1d, built from source for the GPUs at hand.

The package index has no wheels of either. Their releases compile as C++17, which the headers of
torch 2.13 and later refuse (flash-attention#2863), and the last of several `-std` counts: so it is
appended, for CUDA's compiler by its own variable, for the host's by a wrapper of it.
"""

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from cyrene_assets import toolchains
from cyrene_assets.errors import UserError
from cyrene_assets.hardware import GIB, Hardware
from cyrene_assets.kernels import BUILT

_STANDARD = "-std=c++20"
# What compiling one of flash attention's files takes at most.
_JOB_BYTES = 4 * GIB


def build(package: str, python: Path, hardware: Hardware, report: Callable[[str], None]) -> None:
    """Build a package of ``kernels.BUILT`` and install it into the environment of ``python``.

    ``MAX_JOBS`` and ``CXX`` in the environment are respected; a version that is there is left.

    Raises:
        UserError: no GPU, no compiler.
        BuildError: it was not compiled; the message ends with the compiler's words.
    """
    wanted = f"{package}=={BUILT[package]}"
    if toolchains.versions(python, (package,)).get(package) == BUILT[package]:
        report(f"{wanted} is there already")
        return
    nvcc, compiler = find_compilers(os.environ, hardware)
    jobs = int(os.environ.get("MAX_JOBS", jobs_at_a_time()))
    report(f"{wanted}: compiling with {nvcc}, {jobs} files at a time; this takes minutes")
    with tempfile.TemporaryDirectory() as folder:
        environment = build_environment(hardware, nvcc, write_wrapper(Path(folder), compiler), jobs)
        toolchains.uv(
            *("pip", "install", "--python", str(python), "--no-build-isolation", "--no-deps"),
            *("--reinstall-package", package, wanted),
            environment=environment,
        )


def find_compilers(environment: Mapping[str, str], hardware: Hardware) -> tuple[Path, Path]:
    """Return CUDA's compiler and the host's.

    Raises:
        UserError: there is no GPU to build for, or one of them is missing.
    """
    if not hardware.gpus:
        raise UserError("no NVIDIA GPU is here: kernels are built on the machine that trains")
    at_home = Path(environment.get("CUDA_HOME", "/usr/local/cuda")) / "bin"
    nvcc = shutil.which("nvcc", path=str(at_home)) or shutil.which("nvcc")
    if nvcc is None:
        raise UserError(
            "CUDA's compiler, nvcc, is missing: install the CUDA toolkit 13, and set CUDA_HOME to "
            "its folder if that is not /usr/local/cuda"
        )
    compiler = shutil.which(environment.get("CXX", "g++"))
    if compiler is None:
        raise UserError("g++ is missing: install it, or set CXX to a C++ compiler")
    return Path(nvcc), Path(compiler)


def jobs_at_a_time() -> int:
    """Return how many files this machine compiles at a time: a core and some memory for each."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, memory // _JOB_BYTES))


def write_wrapper(folder: Path, compiler: Path) -> Path:
    """Write a program into ``folder`` that is ``compiler`` with the standard as its last word."""
    # torch knows a compiler by its name.
    wrapper = folder / "g++"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(str(compiler))} "$@" {_STANDARD}\n', "utf-8")
    wrapper.chmod(0o755)
    return wrapper


def build_environment(hardware: Hardware, nvcc: Path, compiler: Path, jobs: int) -> dict[str, str]:
    """Return the variables that both packages' setup, torch's and CUDA's compiler read.

    Left alone, both packages first look on another host for a file that somebody has built.
    """
    # Flash attention names whole generations, and its code for 8.0 runs on all of Ampere.
    # causal-conv1d is built for all GPUs whatever is asked.
    archs = sorted({gpu.capability[0] * 10 for gpu in hardware.gpus})
    return {
        "FLASH_ATTENTION_FORCE_BUILD": "TRUE",
        "CAUSAL_CONV1D_FORCE_BUILD": "TRUE",
        "FLASH_ATTN_CUDA_ARCHS": ";".join(map(str, archs)),
        "NVCC_APPEND_FLAGS": _STANDARD,
        "CXX": str(compiler),
        "CUDA_HOME": str(nvcc.parent.parent),
        "MAX_JOBS": str(jobs),
    }


def build_missing(
    packages: tuple[str, ...], python: Path, hardware: Hardware, report: Callable[[str], None]
) -> None:
    """Build the packages that are named, or all of ``kernels.BUILT``, one after the other."""
    for package in packages or tuple(BUILT):
        build(package, python, hardware, report)
