import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.programs._checkpoint import differences, side_files

from .conftest import Ran, RunProgram

pytestmark = pytest.mark.slow

Extras = Callable[..., dict[str, Any]]


def test_checkpoint_has_the_base_s_tensors_and_files(base: Ran, cpt: Ran) -> None:
    assert differences(base.out, cpt.out) == []
    assert [p.name for p in side_files(cpt.out)] == [p.name for p in side_files(base.out)]
    assert all(p.read_bytes() == (base.out / p.name).read_bytes() for p in side_files(cpt.out))
    assert all(name.startswith("mtp.") for name in cpt.result["from_base"])
    assert cpt.result["tensors"] == 91


def test_weights_were_trained(base: Ran, cpt: Ran) -> None:
    name = "model.safetensors"
    assert (cpt.out / name).read_bytes() != (base.out / name).read_bytes()
    assert cpt.result["last_eval_loss"] < cpt.result["first_eval_loss"]


def test_artifact_holds_weights_files_and_records_only(base: Ran, cpt: Ran) -> None:
    names = {p.relative_to(cpt.out).as_posix() for p in cpt.out.rglob("*") if p.is_file()}
    assert names == {p.name for p in base.out.iterdir()} | {
        "training/losses.jsonl",
        "training/command.json",
    }


def test_losses_start_before_training_and_have_every_step(cpt: Ran) -> None:
    text = (cpt.out / "training" / "losses.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    assert all("eval_loss" in row for row in rows)
    assert all({"loss", "learning_rate", "grad_norm"} <= row.keys() for row in rows[1:])
    assert [step for step, _ in cpt.result["eval_loss"]] == [0, 1, 2, 3]


def test_result_and_progress(cpt: Ran) -> None:
    result = cpt.result
    assert result["steps"] == result["chosen_step"] == 3
    assert result["checkpoint"] == "step 3 of 3 (last)"
    assert result["resumed_from"] is None
    assert result["seconds"] > 0
    assert result["tokens_per_second"] > 0
    assert any(message.startswith("CPT step") for message in cpt.progress)


def test_same_inputs_give_the_same_artifact(
    cpt: Ran, run_program: RunProgram, pretrain_extras: Extras, tmp_path: Path
) -> None:
    again = run_program("pretrain", **pretrain_extras(tmp_path))
    for path in (p for p in cpt.out.rglob("*") if p.is_file()):
        name = path.relative_to(cpt.out)
        assert (again.out / name).read_bytes() == path.read_bytes(), name


def test_a_killed_training_resumes_and_ends_with_the_same_artifact(
    cpt: Ran,
    start_program: Callable[..., "subprocess.Popen[str]"],
    run_program: RunProgram,
    pretrain_extras: Extras,
    tmp_path: Path,
) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    out.mkdir()
    extras = pretrain_extras(work)
    process = start_program("pretrain", tmp_path, {**extras, "out": str(out)})
    deadline = time.monotonic() + 300
    while not (work / "run" / "checkpoint-2" / "trainer_state.json").is_file():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    shutil.rmtree(work / "run" / "checkpoint-3", ignore_errors=True)
    resumed = run_program("pretrain", **extras)
    assert resumed.result["resumed_from"] == "step 2"
    for name in ("model.safetensors", "training/losses.jsonl"):
        assert (resumed.out / name).read_bytes() == (cpt.out / name).read_bytes(), name
