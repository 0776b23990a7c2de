"""What the tests of a GPU share: the train toolchain, and a small model of real head dimensions."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.toolchains import TRAIN
from cyrene_assets.training.swift_args import swift_args

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks" / "gpu"

RunScript = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests where there is no GPU."""
    if Hardware.detect().gpus:
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


@pytest.fixture(scope="session")
def run_script(toolchain_environment: dict[str, str]) -> RunScript:
    """Return a function that runs a benchmark's script under the train toolchain."""
    python = toolchain_environment[TRAIN.variable]

    def run(name: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        return subprocess.run(
            [python, str(BENCHMARKS / name), *map(str, arguments)],
            env={
                **os.environ,
                **swift_args.OFFLINE_ENV,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def made(run_script: RunScript, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small model and rows to train it on."""
    folder = tmp_path_factory.mktemp("gpu")
    for name, arguments in (
        ("texts.py", (folder / "data", ROOT / "corpora" / "sample", "16")),
        ("random_model.py", ("small", folder / "data" / "tokenizer", folder / "models" / "small")),
    ):
        done = run_script(name, *arguments)
        assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch, toolchain_environment: dict[str, str]) -> ModuleType:
    """The benchmark of trainings, to run under the train toolchain."""
    monkeypatch.setenv(TRAIN.variable, toolchain_environment[TRAIN.variable])
    spec = importlib.util.spec_from_file_location("trainings", BENCHMARKS / "trainings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up.
    monkeypatch.setitem(sys.modules, "trainings", module)
    spec.loader.exec_module(module)
    return module
