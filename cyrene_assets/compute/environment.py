"""What a toolchain's environment holds, read from outside: its CUDA, its loadable libraries."""

import shutil
import subprocess
from pathlib import Path

from cyrene_assets.compute.library_check import can_load
from cyrene_assets.compute.platform_support import cuda_of_packages
from cyrene_assets.compute.toolchains import interpreter_path, versions

# Of CUDA's runtime, under the name that it has had since 13 and before.
_RUNTIMES = ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12")
# Where torch has its own libraries, under the packages.
TORCH = "torch/lib"
_NOT_FOUND = " => not found"


def cuda_release(python: Path) -> int | None:
    """Return the CUDA release that an environment's packages are built for, None without one.

    Raises:
        BuildError: the interpreter does not run.
    """
    found = versions(python, _RUNTIMES)
    return cuda_of_packages(f"{name}=={found[name]}" for name in _RUNTIMES if name in found)


def missing_libraries(python: Path, library: str) -> list[str]:
    """Return the system's libraries that one of a package's compiled libraries cannot load.

    What torch's own folder holds is loaded with torch. The loader itself is consulted (``ldd``),
    which costs no import of torch.

    Args:
        python: the environment's interpreter.
        library: path under the environment's packages, as ``vllm/_C.abi3.so``.

    Returns:
        Names as ``libnuma.so.1``; none where the library is not there, or nothing can be told.
    """
    packages = interpreter_path(python, "platlib")
    if packages is None or not (packages / library).is_file() or shutil.which("ldd") is None:
        return []
    command = ["ldd", str(packages / library)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    absent = [
        line.strip().removesuffix(_NOT_FOUND)
        for line in result.stdout.splitlines()
        if line.endswith(_NOT_FOUND)
    ]
    system = [name for name in absent if not (packages / TORCH / name).is_file()]
    # The environment may bring a library of its own, which its interpreter loads at its start.
    return [name for name in system if not can_load(python, name)]
