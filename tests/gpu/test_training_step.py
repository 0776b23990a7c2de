import importlib.util
import json
import sys
from pathlib import Path

import pytest

from cyrene_assets.hardware import Hardware
from cyrene_assets.project import Project
from cyrene_assets.toolchains import TRAIN

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "trainings.py"


@pytest.mark.gpu
def test_a_step_through_the_projects_program(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYRENE_TRAIN_PYTHON", str(TRAIN.python(Project.load().home)))
    spec = importlib.util.spec_from_file_location("trainings", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    trainings = importlib.util.module_from_spec(spec)
    # Data classes look their module up.
    monkeypatch.setitem(sys.modules, "trainings", trainings)
    spec.loader.exec_module(trainings)
    chosen = trainings.Training("small", batch=2, steps=2, program=True)
    hardware = Hardware.detect()
    trainings.run("small", chosen, hardware, made / "models", made / "data", tmp_path)
    found = json.loads((tmp_path / "small.json").read_text("utf-8"))
    assert len(found["seconds"]) == 2
    losses = [row for row in found["losses"] if row[2] is not None]
    assert losses[-1][2] < losses[0][2]
