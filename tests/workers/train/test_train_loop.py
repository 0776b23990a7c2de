import json
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.common.pipes_program import Program
from cyrene_assets.workers.train.resume import checkpoints, prepare_attempt
from cyrene_assets.workers.train.train_loop import (
    Follower,
    chosen_step,
    time_left,
    train,
    write_records,
)

from .test_resume import write_saved
from .test_training_log import line, training

COMMAND = ["swift", "pt", "--model", "/m", "--eval_on_start", "true"]


@pytest.fixture(autouse=True)
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect what would go to TensorBoard, which only the toolchain has."""
    collected: list[dict[str, Any]] = []

    class Collect:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.add = collected.append

    monkeypatch.setattr("cyrene_assets.workers.train.train_loop.EventFile", Collect)
    monkeypatch.setattr(
        "cyrene_assets.workers.train.train_loop.write_events",
        lambda rows, _: collected.extend(rows),
    )
    return collected


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


def test_progress_has_speed_memory_validation_and_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    watch = follower(tmp_path / "run", sent, tokens=1000)
    memory = {"memory(GiB)": 4.5}
    rows = [line(0, eval_loss=3.0), training(1), line(2, loss=1.0, **memory)]
    (tmp_path / "run" / "logging.jsonl").write_text("\n".join(rows) + "\n")
    watch.poll()
    # Each look at the clock is 10 seconds after the one before: two steps, then their reports.
    assert sent[-1]["progress"] == "CPT step 2/10, about 3 min left"
    metrics = sent[-1]["metrics"]
    assert (metrics["eval_loss"], metrics["memory_gib"]) == (3.0, 4.5)
    assert metrics["tokens_per_second"] == pytest.approx(1000 / 10 / 20)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "about 10 s"), (95, "about 100 s"), (121, "about 3 min"), (9000, "about 2.5 h")],
)
def test_time_left(seconds: float, words: str) -> None:
    assert time_left(seconds) == words


def test_what_was_done_before_is_no_progress(tmp_path: Path) -> None:
    sent: list[Any] = []
    watch = follower(tmp_path / "run", sent)
    (tmp_path / "run" / "logging.jsonl").write_text(training(4) + "\n")
    watch.catch_up()
    watch.poll()
    assert sent == []
    assert watch.history.train[4]["loss"] == 2.0


def test_tensorboard_gets_each_step_once_and_whole(
    tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    watch = follower(tmp_path / "run", [])
    log = tmp_path / "run" / "logging.jsonl"
    rows = [line(0, eval_loss=3.0, eval_en_loss=3.0), training(1), line(1, eval_loss=2.0)]
    for count in range(1, 4):
        log.write_text("\n".join(rows[:count]) + "\n")
        watch.poll()
    assert [row["step"] for row in events] == [0, 0]
    log.write_text("\n".join([*rows, training(2)]) + "\n")
    watch.poll()
    assert [(row["step"], row.get("eval_loss")) for row in events[2:]] == [(1, 2.0)]


def test_checkpoints_that_are_needed_no_more_go(tmp_path: Path) -> None:
    run = tmp_path / "run"
    watch = follower(run, [], keep_best=True)
    for step, loss in ((3, 1.0), (6, float("nan")), (9, 3.0)):
        write_saved(run, step)
        watch.history.evaluation[step] = {"eval_loss": loss}
        watch.poll()
    assert list(checkpoints(run)) == [3, 9]


def test_choice_of_the_checkpoint() -> None:
    assert chosen_step("last", 10, None, 3) == 10
    assert chosen_step("best", 10, None, 3) == 3
    assert chosen_step("epoch:2", 10, 7, 3) == 7
    with pytest.raises(BuildError, match="epoch:2"):
        chosen_step("epoch:2", 10, None, 3)


def run_of(work: Path, rows: list[str]) -> dict[str, Any]:
    """Write a finished run, and return the parameters of a program that finds it."""
    prepare_attempt(work / "run", COMMAND)
    write_saved(work / "run", 10)
    (work / "run" / "logging.jsonl").write_text("\n".join(rows) + "\n")
    # The number of steps is an estimate, and off by one.
    return {"command": COMMAND, "steps": 11, "checkpoint": "last", "work": str(work)}


def test_a_finished_run_is_not_run_again(tmp_path: Path, capsys: Any) -> None:
    extras = run_of(tmp_path, [line(0, eval_loss=3.0), training(10), line(10, eval_loss=1.5)])
    (tmp_path / "run" / "prompts.json").write_text('{"rows": 4, "same_tokens": 4}')
    trained = train(Program(extras, lambda _: None), "CPT")
    assert trained.checkpoint == tmp_path / "run" / "checkpoint-10"
    assert trained.result["first_eval_loss"] == 3.0
    assert trained.result["last_eval_loss"] == 1.5
    assert trained.result["train_loss"] == [[10, 2.0]]
    assert trained.result["resumed_from"] == trained.result["started_from"] == "step 10"
    assert trained.result["chosen_step"] == 10
    assert trained.result["prompts"] == {"rows": 4, "same_tokens": 4}
    assert "CPT: from step 10" in capsys.readouterr().out


def test_records_have_no_times_and_no_paths(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    extras = run_of(tmp_path / "work", [training(10)])
    trained = train(Program(extras, lambda _: None), "CPT")
    write_records(tmp_path, trained, [*COMMAND, "--report_to", "wandb", "swanlab"])
    text = (tmp_path / "training" / "losses.jsonl").read_text()
    row = {"step": 10, "epoch": 1.0, "loss": 2.0, "learning_rate": 1e-3, "grad_norm": 0.5}
    assert [json.loads(line) for line in text.splitlines()] == events == [row]
    recorded = json.loads((tmp_path / "training" / "command.json").read_text())
    assert recorded == ["swift", "pt", "--model", "<model>", "--eval_on_start", "true"]
