import json
import math
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.checkpoints.diff import differences
from cyrene_assets.checkpoints.files import side_files
from cyrene_assets.config.training_stage import Lora
from cyrene_assets.training.swift_args import CPU_ENV, OFFLINE_ENV, Data
from cyrene_assets.workers.train.tensorboard_writer import FILE
from workers.conftest import LANGUAGES, Ran, RunProgram

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


def test_how_many_tensors_changed_is_counted(cpt: Ran) -> None:
    assert cpt.result["trained_tensors"] == 91 - cpt.result["untouched"]
    assert 0 < cpt.result["changed_tensors"] <= cpt.result["trained_tensors"]


def test_the_logged_rate_is_the_one_that_the_step_was_made_with(cpt: Ran) -> None:
    """Six steps have no warm-up: a cosine from the recipe's rate down to its lowest.

    ms-swift rounds what it logs to eight decimals.
    """
    lines = (cpt.out / "training" / "losses.jsonl").read_text().splitlines()
    rates = [row["learning_rate"] for row in map(json.loads, lines) if "learning_rate" in row]
    high, low = 2e-3, 2e-4
    expected = [low + (high - low) * (1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)]
    assert rates == pytest.approx(expected, abs=1e-8)


def test_artifact_holds_weights_files_and_records_only(base: Ran, cpt: Ran) -> None:
    names = {p.relative_to(cpt.out).as_posix() for p in cpt.out.rglob("*") if p.is_file()}
    assert names == {p.name for p in base.out.iterdir()} | {
        "training/losses.jsonl",
        "training/command.json",
        f"training/tensorboard/{FILE}",
    }


def test_losses_start_before_training_and_have_every_step(cpt: Ran) -> None:
    text = (cpt.out / "training" / "losses.jsonl").read_text()
    written = [json.loads(line) for line in text.splitlines()]
    rows = [row for row in written if "language" not in row]
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "eval_loss" in row] == [0, 2, 4, 6]
    assert all({"loss", "learning_rate", "grad_norm"} <= row.keys() for row in rows[1:])
    assert [step for step, _ in cpt.result["eval_loss"]] == [0, 2, 4, 6]


def test_each_evaluation_has_the_loss_of_each_language(cpt: Ran) -> None:
    text = (cpt.out / "training" / "losses.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    for step in (0, 2, 4, 6):
        own = {r["language"]: r["eval_loss"] for r in rows if r["step"] == step and "language" in r}
        assert tuple(own) == LANGUAGES
        whole = next(r["eval_loss"] for r in rows if r["step"] == step and "language" not in r)
        assert min(own.values()) < whole < max(own.values())


LOSS = """
import json, sys
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForImageTextToText.from_pretrained(sys.argv[1], dtype=torch.float32)
for path in sys.argv[2:]:
    text = json.loads(open(path).read())["messages"][0]["content"].strip()
    ids = torch.tensor([tokenizer(text + "<|endoftext|>")["input_ids"]])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, :-1]
    print("LOSS", torch.nn.functional.cross_entropy(logits, ids[0, 1:]).item(), ids.shape[1] - 1)
"""


def test_the_losses_are_means_over_tokens(
    base: Ran, cpt: Ran, cpt_data: Data, toolchain_environment: dict[str, str]
) -> None:
    """Before training they are what the base model gives, text by text."""
    files = [str(cpt_data.languages / f"{language}.jsonl") for language in LANGUAGES]
    done = subprocess.run(
        [toolchain_environment["CYRENE_TRAIN_PYTHON"], "-c", LOSS, str(base.out), *files],
        env={**OFFLINE_ENV, **CPU_ENV, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("LOSS ")]
    expected = [(float(loss), int(tokens)) for loss, tokens in lines]
    text = (cpt.out / "training" / "losses.jsonl").read_text()
    rows = [row for row in map(json.loads, text.splitlines()) if row["step"] == 0]
    own = {row.get("language"): row["eval_loss"] for row in rows}
    for language, (loss, _) in zip(LANGUAGES, expected, strict=True):
        assert own[language] == pytest.approx(loss, abs=2e-4)
    whole = sum(loss * tokens for loss, tokens in expected) / sum(t for _, t in expected)
    assert own[None] == pytest.approx(whole, abs=2e-4)


def test_what_is_not_trained_is_the_base_s_bit_for_bit(cpt: Ran) -> None:
    assert cpt.result["differences"] == cpt.result["altered"] == []
    assert cpt.result["mtp"] == 15
    assert cpt.result["untouched"] == 36


def test_result_and_progress(cpt: Ran) -> None:
    result = cpt.result
    assert result["steps"] == result["chosen_step"] == 6
    assert result["checkpoint"] == "step 6 of 6 (last)"
    assert result["resumed_from"] is None
    assert result["started_from"] == "the beginning"
    first = "CPT: from the beginning; before step 1 comes the validation loss"
    assert cpt.progress[0] == first
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


def kill_at(process: "subprocess.Popen[str]", run: Path, step: int) -> None:
    """Kill a program and all that it started as soon as a step has been logged."""
    deadline = time.monotonic() + 300
    log = run / "logging.jsonl"
    while not (log.is_file() and f'"{step}/6"' in log.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_killed_training_resumes_and_ends_with_the_same_artifact(
    cpt: Ran,
    start_program: Callable[..., "subprocess.Popen[str]"],
    run_program: RunProgram,
    pretrain_extras: Extras,
    tmp_path: Path,
) -> None:
    """Killed between two checkpoints, and the next one cut off while it was saved."""
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    out.mkdir()
    extras = pretrain_extras(work)
    process = start_program("pretrain", tmp_path, {**extras, "out": str(out)})
    run = work / "run"
    kill_at(process, run, 3)
    shutil.rmtree(run / "checkpoint-4", ignore_errors=True)
    (run / "checkpoint-4").mkdir()
    weights = (run / "checkpoint-2" / "model.safetensors").read_bytes()
    (run / "checkpoint-4" / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    resumed = run_program("pretrain", **extras)
    assert resumed.result["resumed_from"] == "step 2"
    assert resumed.progress[0] == "CPT: from step 2 (checkpoint-4 was cut off)"
    for path in (p for p in cpt.out.rglob("*") if p.is_file()):
        name = path.relative_to(cpt.out)
        assert (resumed.out / name).read_bytes() == path.read_bytes(), name


def test_a_training_that_diverges_ends_with_its_loss_as_it_is(
    run_program: RunProgram, pretrain_extras: Extras, tmp_path: Path
) -> None:
    extras = pretrain_extras(tmp_path, learning_rate=1e30)
    ran = run_program("pretrain", expect_error=True, **extras)
    assert ran.error is not None
    assert re.match(r"step \d: loss nan, gradient norm nan: training has diverged", ran.error)


def test_an_adapter_trained_on_documents_becomes_a_full_checkpoint(
    base: Ran, cpt: Ran, run_program: RunProgram, pretrain_extras: Extras, tmp_path: Path
) -> None:
    lora = Lora(rank=8, alpha=16, dropout=0.0)
    ran = run_program("pretrain", **pretrain_extras(tmp_path, tuner="lora", lora=lora))
    assert ran.result["last_eval_loss"] < ran.result["first_eval_loss"]
    assert ran.result["differences"] == ran.result["altered"] == []
    names = {p.relative_to(ran.out) for p in ran.out.rglob("*") if p.is_file()}
    assert names == {p.relative_to(cpt.out) for p in cpt.out.rglob("*") if p.is_file()}
    own, full, start = (
        (folder / "model.safetensors").read_bytes() for folder in (ran.out, cpt.out, base.out)
    )
    assert len({own, full, start}) == 3
