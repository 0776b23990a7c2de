from typing import Any

import pytest
from helpers import Sandbox

from cyrene_assets.cli.commands import build as command
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.diagnostics.estimate_table import Estimate, StepEstimate
from cyrene_assets.orchestration import builder
from cyrene_assets.orchestration.run_events import Event
from cyrene_assets.store.artifact_key import ArtifactKey


def estimated(seconds: float) -> Estimate:
    step = StepEstimate(
        *(ArtifactKey("cpt_checkpoint", "tiny"), "not built yet", 1_234_567, seconds, None, 400),
        low=seconds / 1.5,
        high=seconds * 1.5,
        basis="measured",
        how="2 runs of it here: 1,250 tokens/s, 10 s to start",
    )
    return Estimate((step,), up_to_date=4, free_bytes=10**12)


@pytest.mark.parametrize(("seconds", "shown"), [(300.0, False), (500.0, True)])
def test_build_of_over_ten_minutes_shows_its_plan_before_the_first_step(
    empty: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    seconds: float,
    shown: bool,
) -> None:
    def built(*arguments: Any, **_: Any) -> int:
        report = arguments[5]
        report(Event("done", "raw_dialog[en]", "the first step"))
        return 1

    monkeypatch.setattr(builder, "build", built)
    command._build(
        empty.project,
        empty.instance,
        empty.definitions,
        empty.steps("cpt_checkpoint"),
        estimated(seconds),
        "cpt_checkpoint",
        SIZES["tiny"],
        ignore_requirements=False,
    )
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("building cpt_checkpoint for tiny")
    table = [line for line in lines if line.startswith("cpt_checkpoint[tiny]")]
    assert bool(table) == shown
    if shown:
        assert table[0].split() == [
            *("cpt_checkpoint[tiny]", "not", "built", "yet", "1,234,567", "400"),
            *("8:20", "5:33", "-", "12:30", "measured"),
        ]
        note, total = lines[3:5]
        assert note.startswith("measured: 2 runs of it here: 1,250 tokens/s, 10 s to start")
        assert total.startswith("1 to build, 4 up to date; about 8:20, between 5:33 and 12:30;")
    assert "the first step" in lines[5 if shown else 1]
    assert lines[-1].startswith("cpt_checkpoint is up to date for tiny")
