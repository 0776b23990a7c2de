"""Libraries that are preloaded into a process to make its system misbehave."""

import os
import subprocess
import sys
from pathlib import Path

from .bench import ROOT


def compiled(name: str, folder: Path) -> Path:
    """Compile one of the C files next to this one; return the library.

    Raises:
        subprocess.CalledProcessError, FileNotFoundError: there is no C compiler, or it failed.
    """
    source = Path(__file__).parent / f"{name}.c"
    library = folder / f"{source.stem}.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True
    )
    return library


def run(
    library: Path, module: str, *arguments: object, **changes: str
) -> "subprocess.CompletedProcess[str]":
    """Run a module of this package in a process with the library preloaded."""
    return subprocess.run(
        [sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments)],
        env={
            **os.environ,
            **changes,
            "LD_PRELOAD": str(library),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
