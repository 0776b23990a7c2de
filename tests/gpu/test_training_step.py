import json
from pathlib import Path
from types import ModuleType

import pytest

from cyrene_assets.hardware import Hardware


@pytest.mark.gpu
def test_a_step_through_the_projects_program(
    made: Path, tmp_path: Path, trainings: ModuleType
) -> None:
    hardware = Hardware(Hardware.detect().gpus[:1])
    chosen = trainings.Training("small", batch=2, steps=2, program=True)
    trainings.run("small", chosen, hardware, made / "models", made / "data", tmp_path)
    found = json.loads((tmp_path / "small.json").read_text("utf-8"))
    assert len(found["seconds"]) == 2
    losses = [row for row in found["losses"] if row[2] is not None]
    assert losses[-1][2] < losses[0][2]
