import contextlib
import json
import re
import zipfile
from pathlib import Path

import pytest
from checkpoint_folders import base_shapes, write_safetensors

from cyrene_assets.utils.errors import UserError
from cyrene_assets.workers.train import resume
from cyrene_assets.workers.train.resume import (
    checkpoints,
    finished,
    prepare_attempt,
    prune,
    resumable,
    seal,
)

MAX_STEPS = 10
COMMAND = [
    *("swift", "pt", "--model", "/m", "--torch_dtype", "bfloat16", "--report_to", "wandb"),
    *("--packing", "true", "--per_device_train_batch_size", "2", "--lr_scheduler_kwargs", "{}"),
]


def write_saved(run: Path, step: int, *, complete: bool = True, state: bool = True) -> Path:
    """Write a checkpoint as ms-swift does, ``trainer_state.json`` last."""
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    write_safetensors(folder / "model.safetensors", base_shapes())
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth") if state else ():
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("data.pkl", bytes(2000))
    if complete:
        (folder / "trainer_state.json").write_text(json.dumps({"max_steps": MAX_STEPS}))
    return folder


def cut(path: Path) -> None:
    """Leave a file as a power cut may: its first half alone."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_checkpoints_are_complete_ones_in_order(tmp_path: Path) -> None:
    write_saved(tmp_path, 20)
    write_saved(tmp_path, 3)
    write_saved(tmp_path, 30, complete=False)
    (tmp_path / "last-checkpoint").symlink_to("checkpoint-20")
    (tmp_path / "checkpoint-x").mkdir()
    assert list(checkpoints(tmp_path)) == [3, 20]


def test_training_resumes_from_the_newest_with_state(tmp_path: Path) -> None:
    assert resumable(tmp_path) is None
    write_saved(tmp_path, 3)
    write_saved(tmp_path, 6, state=False)
    assert resumable(tmp_path) == (3, tmp_path / "checkpoint-3")


@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json"]
)
def test_a_checkpoint_that_was_cut_off_is_not_gone_on_from(tmp_path: Path, file: str) -> None:
    write_saved(tmp_path, 3)
    cut(write_saved(tmp_path, 6) / file)
    assert resumable(tmp_path) == (3, tmp_path / "checkpoint-3")


def test_a_checkpoint_without_weights_is_none(tmp_path: Path) -> None:
    (write_saved(tmp_path, 3) / "model.safetensors").unlink()
    assert resumable(tmp_path) is None


@pytest.mark.parametrize(("keep", "kept"), [((), [9]), ((6,), [6, 9]), ((3, None), [3, 9])])
def test_only_needed_checkpoints_stay_and_state_in_the_newest_alone(
    tmp_path: Path, keep: tuple[int | None, ...], kept: list[int]
) -> None:
    for step in (3, 6, 9):
        write_saved(tmp_path, step)
        prune(tmp_path, keep)
    assert list(checkpoints(tmp_path)) == kept
    assert [path.parent.name for path in tmp_path.glob("*/*.pt*")] == ["checkpoint-9"] * 3
    assert resumable(tmp_path) == (9, tmp_path / "checkpoint-9")


def test_nothing_goes_while_the_newest_is_not_whole(tmp_path: Path) -> None:
    write_saved(tmp_path, 3)
    cut(write_saved(tmp_path, 6) / "rng_state.pth")
    prune(tmp_path, ())
    assert resumable(tmp_path) == (3, tmp_path / "checkpoint-3")


def test_ms_swift_decides_when_a_run_is_finished(tmp_path: Path) -> None:
    assert finished(tmp_path) is None
    write_saved(tmp_path, MAX_STEPS - 1)
    assert finished(tmp_path) is None
    last = write_saved(tmp_path, MAX_STEPS)
    assert finished(tmp_path) == MAX_STEPS
    cut(last / "model.safetensors")
    assert finished(tmp_path) is None


def test_the_first_attempt_is_the_beginning(tmp_path: Path) -> None:
    start = prepare_attempt(tmp_path / "run", COMMAND)
    assert (start.step, start.checkpoint, start.words) == (None, None, "the beginning")
    assert (tmp_path / "run").is_dir()


def test_the_next_attempt_goes_on_and_says_from_where(tmp_path: Path) -> None:
    prepare_attempt(tmp_path, COMMAND)
    write_saved(tmp_path, 3)
    write_saved(tmp_path, 6)
    start = prepare_attempt(tmp_path, COMMAND)
    assert (start.step, start.checkpoint) == (6, tmp_path / "checkpoint-6")
    assert start.words == "step 6"


def test_a_disk_that_is_full_when_it_goes_on_costs_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_attempt(tmp_path, COMMAND)
    write_saved(tmp_path, 3)

    def full(path: Path, _: object) -> None:
        path.write_text("")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk, contextlib.suppress(OSError):
        disk.setattr(resume, "write_durably", full)
        prepare_attempt(tmp_path, COMMAND)
    assert prepare_attempt(tmp_path, COMMAND).step == 3


def test_a_half_checkpoint_goes_and_is_named(tmp_path: Path) -> None:
    prepare_attempt(tmp_path, COMMAND)
    write_saved(tmp_path, 3)
    write_saved(tmp_path, 6, complete=False)
    start = prepare_attempt(tmp_path, COMMAND)
    assert (start.step, start.words) == (3, "step 3 (checkpoint-6 was cut off)")
    assert not (tmp_path / "checkpoint-6").exists()


def test_starting_over_says_why(tmp_path: Path) -> None:
    prepare_attempt(tmp_path, COMMAND)
    ended = "the beginning: the attempt before ended ahead of its first checkpoint"
    assert prepare_attempt(tmp_path, COMMAND).words == ended
    cut(write_saved(tmp_path, 3) / "optimizer.pt")
    assert "no complete checkpoint (checkpoint-3)" in prepare_attempt(tmp_path, COMMAND).words
    assert not (tmp_path / "checkpoint-3").exists()


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("2", "1", True),
        ("wandb", "swanlab", True),
        ("/m", "/n", True),
        ("bfloat16", "float32", False),
        ("{}", "[]", False),
    ],
)
def test_another_machine_goes_on_and_another_training_does_not(
    tmp_path: Path, old: str, new: str, same: bool
) -> None:
    prepare_attempt(tmp_path, COMMAND)
    write_saved(tmp_path, 3)
    command = [new if word == old else word for word in COMMAND]
    if same:
        assert prepare_attempt(tmp_path, command).step == 3
        return
    # A GPU that is not there today is no reason to throw away what it trained.
    with pytest.raises(UserError, match=f"was {old} and is {re.escape(new)}") as caught:
        prepare_attempt(tmp_path, command)
    assert f"remove {tmp_path} to train from the beginning" in str(caught.value)
    assert prepare_attempt(tmp_path, COMMAND).step == 3


def test_of_an_attempt_without_a_checkpoint_nothing_is_lost(tmp_path: Path) -> None:
    prepare_attempt(tmp_path, COMMAND)
    write_saved(tmp_path, 3, complete=False)
    start = prepare_attempt(tmp_path, [word.replace("bfloat16", "float32") for word in COMMAND])
    assert start.step is None
    assert "was bfloat16 and is float32" in start.words
    assert not (tmp_path / "checkpoint-3").exists()


def test_resumable_after_a_restart_of_the_machine_takes_sealed_ones_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_attempt(tmp_path, COMMAND)
    write_saved(tmp_path, 3)
    seal(tmp_path)
    write_saved(tmp_path, 6)
    assert resumable(tmp_path) == (6, tmp_path / "checkpoint-6")
    monkeypatch.setattr(resume, "boot", lambda: "the next start")
    assert resumable(tmp_path) == (3, tmp_path / "checkpoint-3")
    seal(tmp_path)
    assert resumable(tmp_path) == (6, tmp_path / "checkpoint-6")


def test_resumable_an_attempt_of_an_older_version_takes_what_is_as_long_as_it_says(
    tmp_path: Path,
) -> None:
    prepare_attempt(tmp_path, COMMAND)
    attempt = tmp_path / "attempt.json"
    before = json.loads(attempt.read_text())
    del before["start"]
    attempt.write_text(json.dumps(before))
    write_saved(tmp_path, 3)
    assert resumable(tmp_path) == (3, tmp_path / "checkpoint-3")
    assert prepare_attempt(tmp_path, COMMAND).step == 3
