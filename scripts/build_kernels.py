"""Build flash-attn 2 and causal-conv1d from source for the GPUs at hand: `build_kernels.py --help`.

Neither is needed: training packs with torch's own attention. The package index has no wheels of
them, and what their releases tell the compilers does not suit:
C++17, which the headers of torch 2.13 and later refuse (flash-attention#2863); causal-conv1d's code
for nine kinds of GPU, whatever is requested; and of flash attention forms that Qwen3.5 has no use
for, most of what there is to compile. So both compilers are called through a wrapper that says it
in other words: ``build_kernels.py --compile COMPILER ARCHS WORD...``.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click

from cyrene_assets.compute import toolchains
from cyrene_assets.compute.hardware import GIB, Hardware
from cyrene_assets.project.project import Project
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError, CyreneError, UserError

BUILT = {"flash-attn": "2.8.3", "causal-conv1d": "1.7.0"}
_STANDARD = {"-std=c++17": "-std=c++20"}
# Flash attention refuses what it is built without where it is requested.
_LEFT_OUT = [f"-DFLASHATTENTION_DISABLE_{n}" for n in ("DROPOUT", "ALIBI", "SOFTCAP", "LOCAL")]
# What compiling one of flash attention's files takes at most.
_JOB_BYTES = 4 * GIB
_REPORT_SECONDS = 15.0
# ninja's count of the files that are compiled.
_COMPILED = re.compile(rb"\[(\d+)/(\d+)\]")


def build(
    package: str, python: Path, hardware: Hardware, log: Path, report: Callable[[str], None]
) -> None:
    """Build a package of ``BUILT`` and install it into the environment of ``python``.

    ``MAX_JOBS`` and ``CXX`` in the environment are respected; a version that is there is left. What
    the compilers say goes to ``log``, how far they are to ``report``.

    Raises:
        UserError: no GPU, no compiler, no number of jobs.
        BuildError: it was not compiled; the message ends with the compiler's words.
    """
    wanted = f"{package}=={BUILT[package]}"
    if toolchains.versions(python, (package,)).get(package) == BUILT[package]:
        report(f"{wanted} is there already")
        return
    nvcc, compiler = find_compilers(os.environ, hardware)
    jobs = jobs_at_a_time(os.environ)
    report(f"{wanted}: compiling with {nvcc}, {jobs} files at a time; this takes minutes ({log})")
    with tempfile.TemporaryDirectory() as folder:
        environment = build_environment(hardware, nvcc, compiler, Path(folder), jobs)
        install(wanted, python, environment, log, report)


def install(
    wanted: str,
    python: Path,
    environment: Mapping[str, str],
    log: Path,
    report: Callable[[str], None],
) -> None:
    """Install a package from its source into an environment as it is, and say how far it is.

    uv's cache is left out: it would give what was built for another torch or another GPU.

    Raises:
        BuildError: it was not built; the message ends with the last words of the log.
    """
    from uv import find_uv_bin

    from cyrene_assets.utils.process_groups import end_group

    command = [
        *(find_uv_bin(), "pip", "install", "--verbose", "--no-cache", "--no-build-isolation"),
        *("--no-deps", "--reinstall", "--python", str(python), wanted),
    ]
    # The environment's ninja.
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    started = time.monotonic()
    with disk_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("wb")
    with output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while _runs(process):
                report(f"{wanted}: {time.monotonic() - started:.0f} s{_progress(log)}")
        finally:
            end_group(process)
    if process.returncode != 0:
        last = log.read_text(encoding="utf-8", errors="replace").strip()[-1500:]
        raise BuildError(
            f"{wanted} was not built (all that was said is in {log}; where memory ran out, "
            f"MAX_JOBS=2 compiles two files at a time): {last}"
        )


def _runs(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_REPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _progress(log: Path) -> str:
    """Return how many files ninja has compiled, as its last line says."""
    counts = _COMPILED.findall(log.read_bytes())
    return f", {int(counts[-1][0])} of {int(counts[-1][1])} files" if counts else ""


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


def jobs_at_a_time(environment: Mapping[str, str]) -> int:
    """Return how many files are compiled at a time: ``MAX_JOBS``, or a core and memory for each.

    Raises:
        UserError: ``MAX_JOBS`` is no number from 1.
    """
    if given := environment.get("MAX_JOBS"):
        if not given.isdecimal() or int(given) < 1:
            raise UserError(f"MAX_JOBS={given}: give how many files to compile at a time, from 1")
        return int(given)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, memory // _JOB_BYTES))


def architectures(hardware: Hardware) -> list[str]:
    """Return what code is made for, as compilers write it: 80, 90, 120.

    Complete generations, as flash attention names them: code for 8.0 runs on all of Ampere.
    """
    return [str(major * 10) for major in sorted({gpu.capability[0] for gpu in hardware.gpus})]


def compiler_words(words: Sequence[str], archs: Sequence[str]) -> Iterator[str]:
    """Yield what a compiler is told.

    As C++20, of the code for GPUs that for ``archs``, and without dropout, ALiBi, soft caps and
    sliding windows in attention.
    """
    wanted = {f"arch=compute_{arch},code=sm_{arch}" for arch in archs}
    rest = iter(words)
    for word in rest:
        if word == "-gencode":
            code = next(rest)
            yield from (word, code) if code in wanted else ()
        else:
            yield _STANDARD.get(word, word)
    if "-c" in words:
        yield from _LEFT_OUT


def write_wrapper(path: Path, compiler: Path, archs: Sequence[str]) -> Path:
    """Write a program that calls ``compiler`` with :func:`compiler_words`; return its path."""
    script = str(Path(__file__).resolve())
    command = shlex.join([sys.executable, script, "--compile", str(compiler), ";".join(archs)])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', "utf-8")
    path.chmod(0o755)
    return path


def build_environment(
    hardware: Hardware, nvcc: Path, compiler: Path, folder: Path, jobs: int
) -> dict[str, str]:
    """Return the variables that both packages' setup and torch's read; wrappers go to ``folder``.

    Left alone, both packages first look on another host for a file that somebody has built.
    """
    archs = architectures(hardware)
    return {
        "FLASH_ATTENTION_FORCE_BUILD": "TRUE",
        "CAUSAL_CONV1D_FORCE_BUILD": "TRUE",
        "FLASH_ATTN_CUDA_ARCHS": ";".join(archs),
        # torch knows a host's compiler by its name.
        "CXX": str(write_wrapper(folder / "g++", compiler, archs)),
        "PYTORCH_NVCC": str(write_wrapper(folder / "nvcc", nvcc, archs)),
        "CUDA_HOME": str(nvcc.parent.parent),
        "MAX_JOBS": str(jobs),
    }


def build_missing(
    packages: tuple[str, ...],
    python: Path,
    hardware: Hardware,
    logs: Path,
    report: Callable[[str], None],
) -> None:
    """Build the packages that are named, or all of ``BUILT``, one after the other."""
    for package in packages or tuple(BUILT):
        build(package, python, hardware, logs / f"{package}.log", report)


@click.command()
@click.argument("packages", nargs=-1, type=click.Choice(list(BUILT)))
def main(packages: tuple[str, ...]) -> None:
    """Build flash-attn and causal-conv1d for the GPUs here, into the train toolchain.

    With CUDA's compiler and from source; only those named, or both. flash-attn is what `attention:
    flash-attn-2` in project.yaml needs. MAX_JOBS limits how many files are compiled at a time. For
    example, with the project's environment activated:

    \b
      python scripts/build_kernels.py
      MAX_JOBS=4 python scripts/build_kernels.py flash-attn
    """
    started = time.monotonic()
    try:
        project = Project.load()
        python = toolchains.TRAIN.python(project.home)
        logs = project.logs / "kernels"
        build_missing(packages, python, Hardware.detect(), logs, click.echo)
    except CyreneError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"kernels: {python}  {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--compile"]:
        compiler, archs, *words = sys.argv[2:]
        os.execv(compiler, [compiler, *compiler_words(words, archs.split(";"))])
    main()
