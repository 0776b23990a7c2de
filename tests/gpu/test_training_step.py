import json
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from cyrene_assets.compute.hardware import Hardware


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


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["masters", "sft"])
def test_a_step_with_other_dtypes(
    name: str, made: Path, tmp_path: Path, trainings: ModuleType
) -> None:
    """Weights in float32 under autocast, and an adapter in float32 on bfloat16 weights."""
    hardware = Hardware(Hardware.detect().gpus[:1])
    chosen = replace(trainings.TRAININGS[name], model="small", batch=1, steps=3)
    trainings.run(name, chosen, hardware, made / "models", made / "data", tmp_path)
    losses = [
        row[1] for row in json.loads((tmp_path / f"{name}.json").read_text("utf-8"))["losses"]
    ]
    # Random weights say little more than that every token is as likely as any other.
    assert losses == pytest.approx([math.log(8320)] * 3, abs=1)
