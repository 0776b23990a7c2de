from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cyrene_assets.config.trackers import report_keys
from cyrene_assets.evaluation.metrics.training_losses import SCHEMA, LossSummary, summary
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import ProjectFile
from cyrene_assets.training import checks
from cyrene_assets.utils.errors import UserError


def outcomes(evaluations: list[float], train: float = 1.9, fall: float = 0.0) -> dict[str, bool]:
    rows = [(step, None, train, loss, None) for step, loss in enumerate(evaluations)]
    result = summary(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    found = checks.loss_outcomes(result, fall)
    assert {outcome.name for outcome in found} == {check.name for check in checks.LOSS_CHECKS}
    return {outcome.name: outcome.passed for outcome in found}


def failed(evaluations: list[float], **options: Any) -> list[str]:
    return [name for name, passed in outcomes(evaluations, **options).items() if not passed]


@pytest.mark.parametrize(
    ("evaluations", "options", "expected"),
    [
        ([3.0, 2.0], {}, []),
        ([3.0, 2.4, 2.2, 2.0, 2.09], {"train": 2.0}, []),
        # A third of the run and more without recovery, however little it is; but for a plateau.
        ([3.0, 2.4, 2.0, 2.02, 2.01], {"train": 2.0}, ["validation_loss_recovered"]),
        ([3.0, 2.4, 2.0, 2.002, 2.001], {"train": 2.0}, []),
        ([3.0, 2.0, 2.11], {"train": 2.0}, ["validation_loss_recovered"]),
        ([3.0, 2.0], {"train": 1.79}, ["gap_under_10_percent"]),
        ([2.0, 2.0], {}, ["validation_loss_fell"]),
        ([3.0, 2.0], {"fall": 0.5}, ["validation_loss_fell"]),
        ([3.0, 2.0, float("nan")], {}, ["losses_are_finite"]),
    ],
)
def test_losses_are_judged(
    evaluations: list[float], options: dict[str, Any], expected: list[str]
) -> None:
    assert failed(evaluations, **options) == expected


def test_only_what_is_not_a_number_stops_what_is_downstream() -> None:
    blocking = [check.name for check in checks.LOSS_CHECKS if check.blocking]
    assert blocking == ["losses_are_finite"]


def test_nothing_logged_passes_nothing_but_finiteness() -> None:
    nothing = LossSummary(None, None, None, None, None, None, 0)
    found = [c for c in checks.loss_outcomes(nothing, 0.0) if c.passed]
    assert [outcome.name for outcome in found] == ["losses_are_finite"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"differences": ["a: missing"]}, ["tensors_match_base"]),
        ({"altered": ["model.visual.x"]}, ["untrained_tensors_are_the_bases"]),
        # A base without multi-token prediction; one that has it and loses it alters tensors.
        ({"mtp": 0}, []),
        ({"untouched": 0}, ["untrained_tensors_are_the_bases"]),
    ],
)
def test_tensors_are_judged(changes: dict[str, Any], expected: list[str]) -> None:
    result = {"tensors": 91, "differences": [], "untouched": 36, "altered": [], "mtp": 15}
    found = checks.tensor_outcomes({**result, **changes})
    assert [outcome.name for outcome in found if not outcome.passed] == expected
    assert all(check.blocking for check in checks.TENSOR_CHECKS)


def test_a_training_that_changed_nothing_is_refused() -> None:
    found = checks.learned_outcome({"steps": 1, "trained_tensors": 24, "changed_tensors": 0})
    assert not found.passed
    assert "0 of 24 trained tensors" in found.detail
    assert "1 optimizer steps: nothing was learned; raise `learning_rate`" in found.detail
    assert checks.LEARNED_CHECK.blocking
    assert checks.LEARNED_CHECK.name == found.name
    assert checks.learned_outcome({"steps": 9, "trained_tensors": 24, "changed_tensors": 1}).passed


def test_prompts_and_ends_are_judged() -> None:
    found = {
        **{"chats": 3, "of_chats": 90, "answers": 8, "same": 8, "same_tokens": 3, "differs": ""},
        **{"held_out_answers": 2, "held_out_same": 2},
    }
    outcome = checks.prompt_outcome({"prompts": found})
    assert outcome.passed
    assert outcome.metadata["trained answers"] == outcome.metadata["after the served prompt"] == 8
    assert outcome.metadata["chats in the training set"] == 90
    for wrong in ({"same": 7}, {"held_out_same": 1}, {"answers": 0, "same": 0}):
        assert not checks.prompt_outcome({"prompts": found | wrong}).passed
    assert not checks.prompt_outcome({"prompts": None}).passed
    assert checks.stop_outcome({"stops": {"<|im_end|>": True, "<|endoftext|>": True}}).passed
    stops = checks.stop_outcome({"stops": {"<|im_end|>": False, "<|endoftext|>": True}})
    assert (stops.passed, stops.detail) == (False, "does not stop at <|im_end|>")


def test_a_service_without_its_key_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, ProjectFile(report_to=("wandb", "swanlab")))
    monkeypatch.setenv("WANDB_API_KEY", "key")
    monkeypatch.delenv("SWANLAB_API_KEY", raising=False)
    with pytest.raises(UserError, match=r"report_to.*SWANLAB_API_KEY"):
        report_keys(project.settings.report_to, project.file)
    monkeypatch.setenv("SWANLAB_API_KEY", "key")
    assert report_keys(project.settings.report_to, project.file) == [
        "WANDB_API_KEY",
        "SWANLAB_API_KEY",
    ]
    assert report_keys((), tmp_path) == []
