import json
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.programs._program import Program, ProgramError
from cyrene_assets.programs._training import (
    Follower,
    History,
    _resume,
    checkpoints,
    chosen_step,
    finished,
    resumable,
    train,
    write_records,
)


def line(step: int, **values: Any) -> str:
    return json.dumps({"epoch": step / 10, "global_step/max_steps": f"{step}/10", **values})


def training(step: int, loss: float = 2.0) -> str:
    return line(step, loss=loss, learning_rate=1e-3, grad_norm=0.5)


def test_history_joins_training_and_evaluation_by_step() -> None:
    history = History()
    assert history.add(line(0, eval_loss=3.0)) is None
    assert history.add(training(1)) == 1
    history.add(line(1, eval_loss=2.5))
    for noise in (json.dumps({"model_parameter_info": "x"}), "not json", "[1]", line(1, other=1)):
        assert history.add(noise) is None
    assert history.rows() == [
        {"step": 0, "epoch": 0.0, "eval_loss": 3.0},
        {
            **{"step": 1, "epoch": 0.1, "loss": 2.0, "learning_rate": 1e-3},
            **{"grad_norm": 0.5, "eval_loss": 2.5},
        },
    ]


def test_a_step_trained_again_after_resuming_counts_once() -> None:
    history = History()
    history.add(training(4, 2.0))
    history.add(training(4, 1.5))
    assert [row["loss"] for row in history.rows()] == [1.5]


@pytest.mark.parametrize(
    "values", [{"loss": float("nan")}, {"loss": 1.0, "grad_norm": float("inf")}]
)
def test_divergence_is_an_error_with_a_remedy(values: dict[str, float]) -> None:
    with pytest.raises(ProgramError, match=r"step 3.*learning_rate"):
        History().add(line(3, **values))


MAX_STEPS = 10


def checkpoint(run: Path, step: int, *, complete: bool = True, state: bool = True) -> Path:
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth") if state else ():
        (folder / name).write_bytes(b"")
    if complete:
        (folder / "trainer_state.json").write_text(json.dumps({"max_steps": MAX_STEPS}))
    return folder


def test_checkpoints_are_complete_ones_in_order(tmp_path: Path) -> None:
    checkpoint(tmp_path, 20)
    checkpoint(tmp_path, 3)
    checkpoint(tmp_path, 30, complete=False)
    (tmp_path / "last-checkpoint").symlink_to("checkpoint-20")
    (tmp_path / "checkpoint-x").mkdir()
    assert list(checkpoints(tmp_path)) == [3, 20]


def test_training_resumes_from_the_newest_with_state(tmp_path: Path) -> None:
    assert resumable(tmp_path) is None
    checkpoint(tmp_path, 3)
    checkpoint(tmp_path, 6, state=False)
    assert resumable(tmp_path) == (3, tmp_path / "checkpoint-3")


def follower(run: Path, sent: list[Any], **options: Any) -> Follower:
    run.mkdir(exist_ok=True)
    given: dict[str, Any] = {"keep_step": None, "keep_best": False, **options}
    return Follower(Program({}, sent.append), "CPT", run, 10, **given)


def test_follower_reports_steps_as_they_are_logged(tmp_path: Path) -> None:
    sent: list[Any] = []
    watch = follower(tmp_path / "run", sent)
    log = tmp_path / "run" / "logging.jsonl"
    watch.poll()
    log.write_text(training(1) + "\n" + training(10)[:10])
    watch.poll()
    log.write_text(training(1) + "\n" + training(10) + "\n")
    watch.poll()
    assert [message["progress"] for message in sent] == ["CPT step 1/10", "CPT step 10/10"]
    assert sent[0]["metrics"] == {"loss": 2.0, "learning_rate": 1e-3, "grad_norm": 0.5}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [9]),
        ({"keep_step": 6}, [6, 9]),
        ({"keep_best": True}, [3, 9]),
    ],
)
def test_only_needed_checkpoints_stay_and_state_in_the_newest_alone(
    tmp_path: Path, options: dict[str, Any], kept: list[int]
) -> None:
    run = tmp_path / "run"
    watch = follower(run, [], **options)
    for step, loss in ((3, 1.0), (6, 2.0), (9, 3.0)):
        checkpoint(run, step)
        watch.history.evaluation[step] = {"eval_loss": loss}
        watch.poll()
    assert list(checkpoints(run)) == kept
    with_state = [path.parent.name for path in run.glob("*/optimizer.pt")]
    assert with_state == ["checkpoint-9"]
    assert resumable(run) == (9, run / "checkpoint-9")


def test_choice_of_the_checkpoint() -> None:
    assert chosen_step("last", 10, None, 3) == 10
    assert chosen_step("best", 10, None, 3) == 3
    assert chosen_step("epoch:2", 10, 7, 3) == 7
    with pytest.raises(ProgramError, match="epoch:2"):
        chosen_step("epoch:2", 10, None, 3)


def test_ms_swift_decides_when_a_run_is_finished(tmp_path: Path) -> None:
    assert finished(tmp_path) is None
    checkpoint(tmp_path, MAX_STEPS - 1)
    assert finished(tmp_path) is None
    checkpoint(tmp_path, MAX_STEPS)
    assert finished(tmp_path) == MAX_STEPS


def test_a_resumed_run_forgets_what_it_makes_again(tmp_path: Path) -> None:
    checkpoint(tmp_path, 4)
    rows = [line(0, eval_loss=3.0), training(4), line(6, loss=float("nan"))]
    (tmp_path / "logging.jsonl").write_text("\n".join(rows) + "\n")
    command, step = _resume(["swift", "pt", "--eval_on_start", "true"], tmp_path)
    assert step == 4
    assert command[-2] == "--resume_from_checkpoint"
    assert (tmp_path / "logging.jsonl").read_text() == "\n".join(rows[:2]) + "\n"


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    run = tmp_path / "work" / "run"
    checkpoint(run, 10)
    rows = [line(0, eval_loss=3.0), training(10), line(10, eval_loss=1.5)]
    (run / "logging.jsonl").write_text("\n".join(rows) + "\n")
    extras = {
        "command": ["swift", "pt", "--model", "/m", "--eval_on_start", "true"],
        # An estimate, and off by one.
        **{"steps": 11, "checkpoint": "last", "work": str(tmp_path / "work")},
    }
    trained = train(Program(extras, lambda _: None), "CPT")
    assert trained.checkpoint == run / "checkpoint-10"
    assert trained.result["first_eval_loss"] == 3.0
    assert trained.result["last_eval_loss"] == 1.5
    assert trained.result["train_loss"] == [[10, 2.0]]
    assert trained.result["resumed_from"] == "step 10"
    assert trained.result["chosen_step"] == 10


def test_records_have_no_times_and_no_paths(tmp_path: Path) -> None:
    run = tmp_path / "work" / "run"
    checkpoint(run, 10)
    (run / "logging.jsonl").write_text(training(10) + "\n")
    command = ["swift", "pt", "--model", "/m", "--eval_on_start", "true"]
    extras = {"command": command, "steps": 10, "checkpoint": "last", "work": str(tmp_path / "work")}
    write_records(tmp_path, train(Program(extras, lambda _: None), "CPT"), command)
    text = (tmp_path / "training" / "losses.jsonl").read_text()
    assert [json.loads(row) for row in text.splitlines()] == [
        {"step": 10, "epoch": 1.0, "loss": 2.0, "learning_rate": 1e-3, "grad_norm": 0.5}
    ]
    assert json.loads((tmp_path / "training" / "command.json").read_text())[3] == "<model>"
