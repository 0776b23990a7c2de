"""Follow a training of ms-swift: progress, losses, checkpoints, resuming."""

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cyrene_assets.programs._checkpoint import write_json
from cyrene_assets.programs._program import Json, Program, ProgramError
from cyrene_assets.programs._swift import neutral, run_swift
from cyrene_assets.training import RUN_FOLDER

_STATE_FILES = ("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt")


@dataclass
class History:
    """The log of a training: one row per step, the newest log of a step winning."""

    train: dict[int, dict[str, float]] = field(default_factory=dict)
    evaluation: dict[int, dict[str, float]] = field(default_factory=dict)
    steps: int | None = None

    def add(self, line: str) -> int | None:
        """Take in one line of ``logging.jsonl``; return its step if it is one of training.

        Raises:
            ProgramError: the loss or the gradient norm is not a number.
        """
        try:
            row = json.loads(line)
        except ValueError:
            return None
        position = _position(row)
        if position is None:
            return None
        step, total = position
        self.steps = total or self.steps
        if "eval_loss" in row:
            self.evaluation[step] = {"epoch": row["epoch"], "eval_loss": row["eval_loss"]}
        elif "loss" in row:
            kept = ("epoch", "loss", "learning_rate", "grad_norm")
            values = {key: float(row[key]) for key in kept if key in row}
            if not all(math.isfinite(value) for value in values.values()):
                raise ProgramError(
                    f"step {step}: loss {values.get('loss')}, gradient norm "
                    f"{values.get('grad_norm')}: training has diverged; lower `learning_rate` in "
                    "the recipe, or `max_grad_norm`"
                )
            self.train[step] = values
            return step
        return None

    def rows(self) -> list[dict[str, float]]:
        """Return one row per step, training and evaluation joined, in order."""
        steps = sorted(self.train.keys() | self.evaluation.keys())
        return [
            {"step": step, **self.train.get(step, {}), **self.evaluation.get(step, {})}
            for step in steps
        ]


@dataclass
class Follower:
    """Watches a training from outside: reads its log, reports progress, prunes its checkpoints."""

    program: Program
    label: str
    run: Path
    steps: int
    keep_step: int | None
    keep_best: bool
    tokens: int | None = None
    history: History = field(default_factory=History)
    _offset: int = 0
    _started: tuple[float, int] | None = None

    def poll(self) -> None:
        """Read what is new in the log, report it, and drop checkpoints that are needed no more."""
        log = self.run / "logging.jsonl"
        if log.is_file():
            with log.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
            complete = new[: new.rfind(b"\n") + 1]
            self._offset += len(complete)
            for line in complete.decode("utf-8", errors="replace").splitlines():
                step = self.history.add(line)
                if step is not None:
                    self._report(step)
        self._prune()

    def _report(self, step: int) -> None:
        now = time.monotonic()
        if self._started is None:
            self._started = (now, step)
        metrics = {key: value for key, value in self.history.train[step].items() if key != "epoch"}
        since, first = self._started
        total = self.history.steps or self.steps
        if self.tokens and step > first and now > since:
            metrics["tokens_per_second"] = self.tokens / total * (step - first) / (now - since)
        self.program.progress(
            f"{self.label} step {step}/{total}", step=step, total=total, **metrics
        )

    def best_step(self) -> int | None:
        """Return the step of the lowest validation loss among the complete checkpoints."""
        losses = {
            step: self.history.evaluation[step]["eval_loss"]
            for step in checkpoints(self.run)
            if step in self.history.evaluation
        }
        return min(losses, key=lambda step: (losses[step], step)) if losses else None

    def _prune(self) -> None:
        found = checkpoints(self.run)
        if len(found) < 2:
            return
        newest = max(found)
        kept = {newest, self.keep_step, self.best_step() if self.keep_best else None}
        for step, folder in found.items():
            if step not in kept:
                shutil.rmtree(folder)
            elif step != newest:
                for name in (*_STATE_FILES, *(p.name for p in folder.glob("rng_state*.pth"))):
                    (folder / name).unlink(missing_ok=True)


def checkpoints(run: Path) -> dict[int, Path]:
    """Return the complete checkpoints of a run by step: those whose last file has been written."""
    found = {}
    for folder in run.glob("checkpoint-*"):
        step = folder.name.rpartition("-")[2]
        if step.isdigit() and not folder.is_symlink():
            try:
                json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            found[int(step)] = folder
    return dict(sorted(found.items()))


def resumable(run: Path) -> tuple[int, Path] | None:
    """Return the newest complete checkpoint that has its optimizer's state."""
    for step, folder in sorted(checkpoints(run).items(), reverse=True):
        if any((folder / name).is_file() for name in _STATE_FILES[:2]):
            return step, folder
    return None


def finished(run: Path) -> int | None:
    """Return the number of steps of a training that has made all of them, else None.

    ms-swift decides on it; what was expected before is an estimate.
    """
    found = checkpoints(run)
    if not found:
        return None
    newest = max(found)
    state = json.loads((found[newest] / "trainer_state.json").read_text(encoding="utf-8"))
    return newest if state.get("max_steps") == newest else None


def chosen_step(choice: str, steps: int, checkpoint_step: int | None, best: int | None) -> int:
    """Return the step whose checkpoint the next stage starts from.

    Raises:
        ProgramError: the choice needs a step that is not known.
    """
    if choice == "last":
        return steps
    step = best if choice == "best" else checkpoint_step
    if step is None:
        raise ProgramError(f"checkpoint {choice!r}: no step is known for it")
    return step


@dataclass(frozen=True)
class Trained:
    """A finished training: the chosen checkpoint, and what is reported of it."""

    checkpoint: Path
    result: dict[str, Json]
    rows: list[dict[str, float]]


def train(program: Program, label: str) -> Trained:
    """Run or resume the training that ``program.extras`` describe, and choose its checkpoint.

    Raises:
        ProgramError: ms-swift failed, training diverged, or the chosen checkpoint is missing.
    """
    extras = program.extras
    run, steps = Path(extras["work"]) / RUN_FOLDER, int(extras["steps"])
    choice, checkpoint_step = extras["checkpoint"], extras.get("checkpoint_step")
    follower = Follower(
        program, label, run, steps, checkpoint_step, choice == "best", extras.get("tokens")
    )
    command, resumed = _resume(list(extras["command"]), run)
    program.progress(f"{label}: starting" if resumed is None else f"{label}: resuming at {resumed}")
    started = time.monotonic()
    if finished(run) is None:
        run_swift(command, extras.get("environment") or {}, follower.poll)
    else:
        follower.poll()
    seconds = time.monotonic() - started
    made = finished(run)
    if made is None:
        raise ProgramError(
            f"{run}: the training ended before its last step; its checkpoints are of steps "
            f"{', '.join(map(str, checkpoints(run))) or '(none)'}: run the same command again"
        )
    steps = made
    step = chosen_step(choice, steps, checkpoint_step, follower.best_step())
    found = checkpoints(run)
    if step not in found:
        raise ProgramError(
            f"{run}: no checkpoint of step {step} (checkpoint: {choice}); there are "
            f"{', '.join(map(str, found)) or 'none'}"
        )
    history = follower.history
    evaluations = [[step, row["eval_loss"]] for step, row in sorted(history.evaluation.items())]
    done = steps - (resumed or 0)
    tokens = extras.get("tokens")
    result: dict[str, Json] = {
        "steps": steps,
        "train_loss": [[step, row["loss"]] for step, row in sorted(history.train.items())],
        "eval_loss": evaluations,
        "first_eval_loss": evaluations[0][1] if evaluations else None,
        "last_eval_loss": evaluations[-1][1] if evaluations else None,
        "seconds": round(seconds, 1),
        "tokens_per_second": round(tokens * done / steps / seconds, 1) if tokens and done else None,
        "chosen_step": step,
        "checkpoint": f"step {step} of {steps} ({choice})",
        "resumed_from": None if resumed is None else f"step {resumed}",
        "command": extras["command"],
    }
    return Trained(found[step], result, history.rows())


def _resume(command: list[str], run: Path) -> tuple[list[str], int | None]:
    """Return the command with ``--resume_from_checkpoint`` where there is one, and its step."""
    newest = resumable(run)
    if newest is None:
        shutil.rmtree(run, ignore_errors=True)
        return command, None
    # The evaluation before training has been made and logged.
    _cut_log(run / "logging.jsonl", newest[0])
    at = command.index("--eval_on_start")
    del command[at : at + 2]
    return [*command, "--resume_from_checkpoint", str(newest[1])], newest[0]


def _position(row: Json) -> tuple[int, int | None] | None:
    """Return the step that a row of ``logging.jsonl`` is of, and how many there are in all."""
    position = row.get("global_step/max_steps") if isinstance(row, dict) else None
    if position is None:
        return None
    done, _, total = str(position).partition("/")
    return int(done), int(total) if total.isdigit() else None


def _cut_log(log: Path, step: int) -> None:
    """Drop what was logged after ``step``: those steps are made again."""
    if not log.is_file():
        return
    kept = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            position = _position(json.loads(line))
        except ValueError:
            continue
        if position is None or position[0] <= step:
            kept.append(line)
    log.write_text("".join(kept), encoding="utf-8")


def write_records(out: Path, trained: Trained, command: Sequence[str]) -> None:
    """Write ``training/losses.jsonl`` and ``training/command.json`` into ``out``.

    Both are the same for the same training wherever it ran: no times, no paths.
    """
    folder = out / "training"
    folder.mkdir()
    with (folder / "losses.jsonl").open("w", encoding="utf-8") as file:
        for row in trained.rows:
            file.write(json.dumps(row) + "\n")
    write_json(folder / "command.json", neutral(command))
