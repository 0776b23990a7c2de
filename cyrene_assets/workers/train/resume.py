"""The folder that a training leaves its checkpoints in: what can be resumed, and what may go.

ms-swift writes a checkpoint file by file and ``trainer_state.json`` last. A process that is killed
leaves that file out; a machine that loses power may have it and yet hold zeros where the bytes of
other files were to be, at their full length. So a checkpoint is sealed once all of it, and the log
up to it, is on the disk: a training resumes from the newest that has its seal. Where the machine
was not started again since, what was saved is in memory, and the newest complete one will do.
"""

import json
import shutil
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.checkpoints.files import read_json
from cyrene_assets.checkpoints.safetensors import read_header
from cyrene_assets.config.trackers import OPTIONS
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.files import sync_file, sync_folder, sync_tree, write_durably
from cyrene_assets.utils.process_identity import boot

_STATE = "trainer_state.json"
_OPTIMIZER = "optimizer.pt"
_ATTEMPT = "attempt.json"
_SEAL = "sealed"
LOG = "logging.jsonl"
# In ``_ATTEMPT``: at which start of the machine the training began. Older versions seal nothing and
# do not say it.
_START = "start"
# What a machine decides, or where it lies: a training that differs in these resumes all the same.
_MACHINE = {
    *("--model", "--cached_dataset", "--cached_val_dataset", "--external_plugins", "--output_dir"),
    *("--attn_impl", "--use_liger_kernel", "--gradient_checkpointing", "--use_cpu"),
    *("--per_device_train_batch_size", "--gradient_accumulation_steps"),
    *("--per_device_eval_batch_size", "--dataloader_num_workers", "--dataset_num_proc"),
    *OPTIONS,
}


def checkpoints(run: Path) -> dict[int, Path]:
    """Return the complete checkpoints of a run by step: those whose last file has been written."""
    found = {}
    for folder in run.glob("checkpoint-*"):
        step = _step(folder)
        if step >= 0 and not folder.is_symlink() and _read(folder / _STATE) is not None:
            found[step] = folder
    return dict(sorted(found.items()))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except CheckpointError:
        return None


def resumable(run: Path) -> tuple[int, Path] | None:
    """Return the newest complete checkpoint, sealed where it takes a seal, and its state."""
    start = (_read(run / _ATTEMPT) or {}).get(_START)
    takes_seal = start is not None and (start != [boot()] or start == ["0"])
    for step, folder in sorted(checkpoints(run).items(), reverse=True):
        sealed = (folder / _SEAL).is_file() or not takes_seal
        if sealed and (folder / _OPTIMIZER).is_file() and _is_complete(folder):
            return step, folder
    return None


def _is_complete(folder: Path) -> bool:
    """Return whether the files of a checkpoint are as long as they say themselves.

    Weights are safetensors, whose header says it; what torch pickles is a zip archive, whose
    directory stands at the end.
    """
    weights = sorted(folder.glob("*.safetensors"))
    try:
        for path in weights:
            read_header(path)
    except CheckpointError:
        return False
    return bool(weights) and all(zipfile.is_zipfile(path) for path in _pickles(folder))


def finished(run: Path) -> int | None:
    """Return the number of steps of a training that has made all of them, else None.

    ms-swift decides on it; what was expected before is an estimate.
    """
    found = checkpoints(run)
    if not found:
        return None
    newest = max(found)
    if not _is_complete(found[newest]):
        return None
    state = _read(found[newest] / _STATE) or {}
    return newest if state.get("max_steps") == newest else None


def seal(run: Path) -> None:
    """Write what is new of the checkpoints, and the log, to the disk, and each seal after that.

    Older ones come first: where one is sealed, all before it are.
    """
    for folder in checkpoints(run).values():
        if (folder / _SEAL).is_file():
            continue
        if not _is_complete(folder):
            return
        sync_tree(folder)
        if (run / LOG).is_file():
            sync_file(run / LOG)
        sync_folder(run)
        write_durably(folder / _SEAL, "")


def prune(run: Path, keep: Collection[int | None]) -> None:
    """Drop the checkpoints that are neither the newest nor in ``keep``, and all state but its own.

    The newest is sealed before anything older goes.
    """
    seal(run)
    found = checkpoints(run)
    if len(found) < 2:
        return
    newest = found.pop(max(found))
    waste = [folder for step, folder in found.items() if step not in keep]
    state = [
        path for step, folder in found.items() if step in keep for path in _pickles(folder)
    ]  # fmt: skip
    if not (waste or state) or not (newest / _SEAL).is_file():
        return
    for path in state:
        path.unlink()
    for folder in waste:
        shutil.rmtree(folder)


def _pickles(folder: Path) -> list[Path]:
    return [*folder.glob("*.pt"), *folder.glob("*.pth")]


@dataclass(frozen=True)
class Start:
    """Where an attempt begins: the checkpoint that it resumes from, if any, and that in words."""

    step: int | None
    checkpoint: Path | None
    words: str


def prepare_attempt(run: Path, command: Sequence[str]) -> Start:
    """Prepare an attempt at the training of ``command``, and find where it resumes.

    What nothing can resume from is removed, and the words say why.

    Raises:
        UserError: there is a complete checkpoint of the same recipe and data that these
            settings cannot resume from: hours of a GPU, never removed automatically.
    """
    settings = _settings(command)
    start = Start(None, None, "the beginning")
    if run.is_dir():
        start = _after(run, settings)
        if start.step is None:
            shutil.rmtree(run)
    if start.step is None:
        # One that is resumed from has it already: written again, a full disk would cut it off.
        run.mkdir(parents=True, exist_ok=True)
        write_durably(run / _ATTEMPT, json.dumps({**settings, _START: [boot()]}, indent=2) + "\n")
        sync_folder(run.parent)
    return start


def _after(run: Path, settings: Mapping[str, list[str]]) -> Start:
    """Return where to resume after the attempt that ``run`` is of; remove its half checkpoints."""
    reason, newest = _changed(run, settings), resumable(run)
    if newest is None:
        return Start(None, None, f"the beginning: {reason or _why_nothing_complete(run)}")
    step, checkpoint = newest
    if reason:
        raise UserError(
            f"cannot resume from {checkpoint}: {reason}. Use the settings the run was started with "
            "(`cyrene doctor` says whether the GPU is still there), or remove "
            f"{run} to train from the beginning"
        )
    halves = [
        folder for folder in sorted(run.glob("checkpoint-*"))
        if not folder.is_symlink() and _step(folder) > step
    ]  # fmt: skip
    for folder in halves:
        shutil.rmtree(folder)
    cut = ", ".join(folder.name for folder in halves)
    return Start(step, checkpoint, f"step {step}" + (f" ({cut} was cut off)" if cut else ""))


def _settings(command: Sequence[str]) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for word in command:
        if word.startswith("--"):
            settings[word] = []
        elif settings:
            settings[list(settings)[-1]].append(word)
    return {name: values for name, values in settings.items() if name not in _MACHINE}


def _changed(run: Path, settings: Mapping[str, list[str]]) -> str | None:
    """Return why the attempt before was another training, or None where it was the same."""
    before = _read(run / _ATTEMPT)
    if before is None:
        return "of the attempt before it is not known what it trained"
    before.pop(_START, None)
    changes = [
        f"{name} was {' '.join(before.get(name, ['unset']))} and is "
        f"{' '.join(settings.get(name, ['unset']))}"
        for name in sorted(before.keys() | settings.keys())
        if before.get(name) != settings.get(name)
    ]
    if not changes:
        return None
    return f"the attempt before was another training ({'; '.join(changes[:3])})"


def _why_nothing_complete(run: Path) -> str:
    found = sorted(folder.name for folder in run.glob("checkpoint-*"))
    if not found:
        return "the attempt before ended ahead of its first checkpoint"
    return f"of the attempt before there is no complete checkpoint ({', '.join(found)})"


def _step(folder: Path) -> int:
    step = folder.name.rpartition("-")[2]
    return int(step) if step.isdigit() else -1
