"""What a benchmark says of the machine, and how it runs `cyrene`."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from cyrene_assets.compute.hardware import Hardware

CYRENE = Path(sys.executable).with_name("cyrene")
ENVS = Path(os.environ.get("CYRENE_HOME") or ".cyrene").absolute() / "envs"


def machine() -> str:
    """One line: processor, cores in use, accelerator, Python."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model}, {cores} cores; {Hardware.detect().describe()}; Python {sys.version.split()[0]}"
    )


def environment(home: Path) -> dict[str, str]:
    """The environment of a project in `home` that uses the toolchains of this project."""
    return {
        "CYRENE_TRAIN_PYTHON": str(ENVS / "train" / "bin" / "python"),
        "CYRENE_SERVE_PYTHON": str(ENVS / "serve" / "bin" / "python"),
        **os.environ,
        "CYRENE_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
    }


def cyrene(home: Path, *arguments: str) -> tuple[str, float]:
    """Run `cyrene`; return what it printed and its wall time in seconds."""
    started = time.monotonic()
    done = subprocess.run(
        [str(CYRENE), *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout, time.monotonic() - started
