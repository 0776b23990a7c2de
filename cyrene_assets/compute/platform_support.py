"""What the pinned toolchains can run on: system, processor, NVIDIA driver.

Pure functions of what was found, next to the few that look. Each returns None, or one line that
names what is wrong, the value and the remedy. ``cyrene toolchain install``, ``cyrene build`` and
``cyrene doctor`` say the same lines.
"""

import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from cyrene_assets.compute.cpu import Cpu, detect_cpu, quantized_path
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.nvidia_driver import MIN_DRIVER

_MACHINES = frozenset({"x86_64", "aarch64"})
_NAMES = {"darwin": "macOS", "win32": "Windows"}
_RUNTIME = re.compile(r"nvidia-cuda-runtime(?:-cu(\d+))?==(\d+)")


def platform_problem(system: str | None = None, machine: str | None = None) -> str | None:
    """Return why the train and serve toolchains cannot be had on this system.

    Args:
        system: as ``sys.platform`` has it; this system's where left out.
        machine: as ``platform.machine`` has it; this machine's where left out.
    """
    system, machine = system or sys.platform, machine or platform.machine()
    name = _NAMES.get(system, system)
    if system != "linux":
        return (
            f"vLLM has no wheels for {name} ({machine}), so the train and serve toolchains are for "
            "Linux: run them in the container (docs/container.md)"
            f"{' or in WSL 2' if system == 'win32' else ''}; here the corpus assets, the planner "
            "and the UI work (`cyrene corpus check`, `cyrene build --to cpt_documents`, `make ui`)"
        )
    if machine not in _MACHINES:
        return (
            f"torch and vLLM have no wheels for Linux on {machine}: use a machine with an x86-64 "
            "or aarch64 processor"
        )
    return None


def cpu_problem(cpu: Cpu | None = None) -> str | None:
    """Return why vLLM does not run on a processor at all; this machine's where left out."""
    path = quantized_path("FP8_BLOCK", cpu or detect_cpu(), {})
    return path.reason if path.kind == "refused" else None


def cuda_of_packages(lines: Iterable[str]) -> int | None:
    """Return the CUDA release (13) that packages are built for; None where they bring no CUDA.

    Args:
        lines: of a lock file, or of what is installed: ``name==version``.
    """
    for line in lines:
        found = _RUNTIME.match(line.strip())
        if found:
            return int(found[1] or found[2])
    return None


def cuda_of_lock(lock: Path) -> int | None:
    """Return the CUDA release that a lock file's packages are built for."""
    return cuda_of_packages(lock.read_text(encoding="utf-8").splitlines())


def driver_problem(hardware: Hardware, needed: int | None) -> str | None:
    """Return why this machine's driver cannot run packages that are built for a CUDA release.

    Of one release every version runs on every driver for it. None where no GPU is used.

    Args:
        hardware: with the driver's version and the CUDA release that it goes up to.
        needed: the packages' CUDA release (:func:`cuda_of_lock`); None where they bring none.
    """
    if not hardware.gpus or needed is None:
        return None
    if hardware.cuda is None or hardware.cuda[0] >= needed:
        return None
    oldest = MIN_DRIVER.get(needed)
    which = f"driver {oldest} or later" if oldest else "a later driver"
    goes_up_to = ".".join(map(str, hardware.cuda))
    return (
        f"the NVIDIA driver {hardware.driver} is too old: it goes up to CUDA {goes_up_to} and the "
        f"toolchains are built for CUDA {needed}: install {which} and restart"
    )
