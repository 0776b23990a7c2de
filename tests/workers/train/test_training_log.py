import json
import os
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.train.training_log import History, cut_log


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
    assert history.steps == 10


def test_each_language_has_a_row_of_its_own_after_its_step() -> None:
    history = History()
    history.add(line(0, eval_loss=3.0, eval_xq7_loss=3.5, eval_en_loss=2.5, eval_runtime=1.0))
    history.add(training(1))
    assert [row.get("language") for row in history.rows()] == [None, "en", "xq7", None]
    assert history.rows()[2] == {"step": 0, "language": "xq7", "eval_loss": 3.5}


def test_the_highest_memory_is_the_log_s_own() -> None:
    history = History()
    assert history.memory is None
    history.add(line(1, loss=1.0, **{"memory(GiB)": 12.5}))
    history.add(training(2))
    assert history.memory == 12.5


def test_a_step_trained_again_after_resuming_counts_once() -> None:
    history = History()
    history.add(training(4, 2.0))
    history.add(training(4, 1.5))
    assert [row["loss"] for row in history.rows()] == [1.5]


@pytest.mark.parametrize(
    "values", [{"loss": float("nan")}, {"loss": 1.0, "grad_norm": float("inf")}]
)
def test_divergence_is_an_error_with_a_remedy(values: dict[str, float]) -> None:
    with pytest.raises(BuildError, match=r"step 3.*learning_rate"):
        History().add(line(3, **values))


def test_what_is_made_again_is_forgotten(tmp_path: Path) -> None:
    log = tmp_path / "logging.jsonl"
    rows = [line(0, eval_loss=3.0), training(4), line(6, loss=float("nan"))]
    log.write_text("\n".join(rows) + "\n" + rows[2][:9])
    cut_log(log, 4)
    assert log.read_text() == "\n".join(rows[:2]) + "\n"
    cut_log(tmp_path / "none", 4)


def test_a_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "logging.jsonl"
    text = "\n".join([line(0, eval_loss=3.0), training(4), training(6)]) + "\n"
    log.write_text(text)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            cut_log(log, 4)
    assert log.read_text() == text


def test_seconds_are_those_since_training_began_or_was_resumed() -> None:
    history = History()
    assert history.seconds(0) is None
    for step, speed in ((0, 0.0), (1, 12.0), (2, 7.5), (20, 3.0)):
        row = {"loss": 1.0, "global_step/max_steps": f"{step}/40", "train_speed(s/it)": speed}
        history.add(json.dumps(row))
    assert history.seconds(0) == 60.0
    # Of a training that was resumed at step 20, ms-swift counts from there.
    assert history.seconds(20) is None
    row = {"eval_loss": 1.0, "epoch": 1, "global_step/max_steps": "40/40", "train_speed(s/it)": 2.0}
    history.add(json.dumps(row))
    assert history.seconds(20) == 40.0
