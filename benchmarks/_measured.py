"""What something cost: wall time, processor time and peak memory (Linux)."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SAMPLED_EVERY = 0.5


@dataclass
class Cost:
    """Seconds of wall and processor time (all threads), and the peak of memory in MB."""

    wall: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure what this process does; the peak is the kernel's own, reset at the beginning."""
    (PROC / "self" / "clear_refs").write_text("5")
    cost = Cost(time.monotonic(), time.process_time())
    yield cost
    cost.wall = time.monotonic() - cost.wall
    cost.cpu = time.process_time() - cost.cpu
    cost.peak = _field(PROC / "self" / "status", "VmHWM") / 1000


def run_measured(
    command: Sequence[str], environment: dict[str, str], cwd: Path
) -> tuple[str, Cost]:
    """Run a command; return its output and cost, that of its child processes included.

    Memory is the sum of the processes' proportional shares (PSS), twice a second.

    Raises:
        SystemExit: it fails; with its output.
    """
    started, before = time.monotonic(), os.times()
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    peaks = [0.0]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLED_EVERY):
            peaks.append(sum(_share(pid) for pid in family(process.pid)))

    sampler = threading.Thread(target=sample)
    sampler.start()
    output, _ = process.communicate()
    done.set()
    sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{output[-4000:]}")
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return output, Cost(time.monotonic() - started, cpu, max(peaks) / 1000)


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for parent in found:
        for children in (PROC / str(parent) / "task").glob("*/children"):
            try:
                found += map(int, children.read_text(encoding="ascii").split())
            except OSError:  # It has just ended.
                continue
    return found


def _share(pid: int) -> int:
    try:
        return _field(PROC / str(pid) / "smaps_rollup", "Pss")
    except OSError:  # It has just ended.
        return 0


def _field(path: Path, name: str) -> int:
    """Return a field of a file of the kernel's, in kB."""
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
