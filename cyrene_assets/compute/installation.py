"""What ``cyrene toolchain install`` looks at: before it downloads anything, and afterwards."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cyrene_assets.compute import cpu, numa
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.library_check import can_load, packages_of, unloadable
from cyrene_assets.compute.platform_support import (
    cpu_problem,
    cuda_of_lock,
    driver_problem,
    platform_problem,
)
from cyrene_assets.compute.toolchains import (
    LOCKS,
    PYTHON_VERSION,
    SERVE,
    TRAIN,
    Toolchain,
    is_current,
    python_header,
    run_uv,
)
from cyrene_assets.compute.wheels import triton_problem, wheel_problem
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError

# What a toolchain imports first, and of that what fails in ways of its own: torchvision where it
# was built for another torch.
_MODULES = {
    TRAIN.name: ("torch", "torchvision", "tokenizers", "safetensors", "pyarrow.parquet"),
    SERVE.name: ("torch", "torchvision", "tokenizers", "safetensors"),
}
# Written when everything has loaded. The environment's folder is emptied when it is made again.
_LOADED = "cyrene.loaded"


def early_problems(chosen: Sequence[Toolchain], home: Path, hardware: Hardware) -> list[str]:
    """Return why toolchains cannot be installed or used here, a line each with its remedy.

    Nothing is downloaded; what is installed already is not looked at.

    Raises:
        BuildError: the package index cannot be consulted.
    """
    unsupported = platform_problem()
    if unsupported:
        return [unsupported]
    found: list[str | None] = []
    header = python_header(Path(sys.executable))
    for toolchain in chosen:
        if is_current(toolchain, home):
            continue
        lock = toolchain.lock()
        # CUDA's gigabytes are of no use until the GPU can be had, and vLLM's for CPUs may be meant.
        found.append(hardware.fault)
        if hardware.gpus:
            found += [driver_problem(hardware, cuda_of_lock(lock)), triton_problem(header)]
        elif _on_cpus(toolchain):
            found.append(cpu_problem())
        # Looking wheels up is wasted where there is a reason already.
        if not any(found):
            found.append(wheel_problem(lock, run_uv, PYTHON_VERSION, header))
    return list(dict.fromkeys(line for line in found if line))


def load_all(
    toolchain: Toolchain, python: Path, home: Path, report: Callable[[str], None]
) -> list[str]:
    """Load what was installed; return what does not load, a line each with its remedy.

    libnuma comes from a wheel where the system has none. The rest is not looked at again once it
    has loaded.

    Raises:
        BuildError: the interpreter does not run.
    """
    folder = toolchain.folder(home)
    loaded = folder / _LOADED
    on_cpus = _on_cpus(toolchain)
    has_numa = not on_cpus or can_load(python, numa.LIBRARY)
    if loaded.is_file() and has_numa:
        return []
    if not has_numa:
        _bring_numa(toolchain, folder, python, report)
    library = cpu.vllm_library(cpu.detect_cpu()) if on_cpus else None
    files = [f"vllm/{library}.abi3.so"] if library else []
    found = unloadable(python, _MODULES[toolchain.name], files)
    if not found:
        with disk_errors(home):
            loaded.touch()
    return found


def _bring_numa(
    toolchain: Toolchain, folder: Path, python: Path, report: Callable[[str], None]
) -> None:
    try:
        numa.install_libnuma(folder, packages_of(python), run_uv)
    except BuildError as error:
        # What is said of the library afterwards names the system's package.
        report(f"{toolchain.name}: {numa.LIBRARY} does not come with the environment ({error})")
    else:
        report(f"{toolchain.name}: this system has no {numa.LIBRARY}: taken from {numa.CARRIER}")


def _on_cpus(toolchain: Toolchain) -> bool:
    return toolchain is SERVE and toolchain.lock() == LOCKS / toolchain.lock_on_cpu
