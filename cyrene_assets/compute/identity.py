"""The name of a machine: two machines that are as fast as each other have the same."""

import os

from cyrene_assets.compute import cpu
from cyrene_assets.compute.hardware import Hardware


def machine_name(hardware: Hardware) -> str:
    """Return the processor, the cores that this process may use, and the GPUs, in one line.

    What was measured on a machine of this name holds on it. A home that moves to another machine,
    or a run that hides GPUs, has another name.
    """
    there = hardware.gpus
    counts = {gpu.name: sum(other.name == gpu.name for other in there) for gpu in there}
    gpus = [f"{number} x {name}" for name, number in counts.items()]
    return ", ".join([f"{cpu.detect_cpu().describe()}, {cores()} cores", *gpus])


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
