"""Follow a training of ms-swift: progress, losses, checkpoints, resuming."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.files import read_json, write_json
from cyrene_assets.training.swift_args import PROMPTS, RUN_FOLDER
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.common.pipes_program import Json, Program
from cyrene_assets.workers.train.resume import LOG, checkpoints, finished, prepare_attempt, prune
from cyrene_assets.workers.train.swift_process import portable_command, run_swift
from cyrene_assets.workers.train.tensorboard_writer import EventFile, write_events
from cyrene_assets.workers.train.training_log import History, cut_log

# Where TensorBoard reads a training that runs.
LIVE = "tensorboard"


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
    _events: EventFile | None = None
    _shown: int = -1

    def catch_up(self) -> None:
        """Read what an earlier attempt logged; what it did is not progress of this one."""
        self._read()

    def poll(self) -> None:
        """Read what is new in the log, report it, and drop checkpoints that are needed no more."""
        for step in self._read():
            self._report(step)
        prune(self.run, {self.keep_step, self.best_step() if self.keep_best else None})

    def _read(self) -> list[int]:
        log = self.run / LOG
        if not log.is_file():
            return []
        with log.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        complete = new[: new.rfind(b"\n") + 1]
        self._offset += len(complete)
        found = [
            self.history.add(line)
            for line in complete.decode("utf-8", errors="replace").splitlines()
        ]
        if complete:
            self._draw()
        return [step for step in found if step is not None]

    def _report(self, step: int) -> None:
        now = time.monotonic()
        if self._started is None:
            self._started = (now, step)
        metrics = {key: value for key, value in self.history.train[step].items() if key != "epoch"}
        evaluated = self.history.evaluation
        if evaluated:
            metrics["eval_loss"] = evaluated[max(evaluated)]["eval_loss"]
        if self.history.memory is not None:
            metrics["memory_gib"] = self.history.memory
        since, first = self._started
        total = self.history.steps or self.steps
        message = f"{self.label} step {step}/{total}"
        if step > first and now > since:
            speed = (step - first) / (now - since)
            if self.tokens:
                metrics["tokens_per_second"] = self.tokens / total * speed
            if step < total:
                message += f", {time_left((total - step) / speed)} left"
        self.program.progress(message, step=step, total=total, **metrics)

    def _draw(self) -> None:
        """Pass the steps on to TensorBoard; the newest may be evaluated yet, and waits."""
        if self._events is None:
            self._events = EventFile(self.run / LIVE, live=True)
        rows = self.history.rows()
        newest = max((row["step"] for row in rows), default=0)
        for row in rows:
            if self._shown < row["step"] < newest:
                self._events.add(row)
        self._shown = newest - 1

    def best_step(self) -> int | None:
        """Return the step of the lowest validation loss among the complete checkpoints."""
        losses = {
            step: self.history.evaluation[step]["eval_loss"]
            for step in checkpoints(self.run)
            if step in self.history.evaluation
        }
        finite = {step: loss for step, loss in losses.items() if math.isfinite(loss)}
        return min(finite, key=lambda step: (finite[step], step)) if finite else None


def time_left(seconds: float) -> str:
    """Return a time for a person, to the minute or, within the last two, to ten seconds."""
    if seconds < 120:
        return f"about {max(10, math.ceil(seconds / 10) * 10)} s"
    minutes = math.ceil(seconds / 60)
    return f"about {minutes} min" if minutes < 120 else f"about {minutes / 60:.1f} h"


def chosen_step(choice: str, steps: int, checkpoint_step: int | None, best: int | None) -> int:
    """Return the step whose checkpoint the next stage starts from.

    Raises:
        BuildError: the choice needs a step that is not known.
    """
    if choice == "last":
        return steps
    step = best if choice == "best" else checkpoint_step
    if step is None:
        raise BuildError(f"checkpoint {choice!r}: no step is known for it")
    return step


@dataclass(frozen=True)
class Trained:
    """A finished training: the chosen checkpoint, and what is reported of it."""

    checkpoint: Path
    result: dict[str, Json]
    rows: list[dict[str, Any]]


def train(program: Program, label: str) -> Trained:
    """Run or resume the training that ``program.extras`` describe, and choose its checkpoint.

    Raises:
        BuildError: ms-swift failed, training diverged, or the chosen checkpoint is missing.
    """
    extras = program.extras
    run, steps = Path(extras["work"]) / RUN_FOLDER, int(extras["steps"])
    choice, checkpoint_step = extras["checkpoint"], extras.get("checkpoint_step")
    follower = Follower(
        program, label, run, steps, checkpoint_step, choice == "best", extras.get("tokens")
    )
    start = prepare_attempt(run, extras["command"])
    # This stands until a step is logged, for minutes where there is much to validate with.
    first = "; before step 1 comes the validation loss" if start.step is None else ""
    program.progress(f"{label}: from {start.words}{first}")
    print(f"{label}: from {start.words}", flush=True)
    command = list(extras["command"])
    if start.step is not None:
        cut_log(run / LOG, start.step)
        # The evaluation before training has been made and logged.
        at = command.index("--eval_on_start")
        del command[at : at + 2]
        command += ["--resume_from_checkpoint", str(start.checkpoint)]
        follower.catch_up()
    started = time.monotonic()
    if finished(run) is None:
        run_swift(command, extras.get("environment") or {}, follower.poll)
    else:
        follower.poll()
    seconds = time.monotonic() - started
    made = finished(run)
    if made is None:
        raise BuildError(
            f"{run}: the training ended before its last step; its checkpoints are of steps "
            f"{', '.join(map(str, checkpoints(run))) or '(none)'}: run the same command again"
        )
    step = chosen_step(choice, made, checkpoint_step, follower.best_step())
    found = checkpoints(run)
    if step not in found:
        raise BuildError(
            f"{run}: no checkpoint of step {step} (checkpoint: {choice}); there are "
            f"{', '.join(map(str, found)) or 'none'}"
        )
    history = follower.history
    evaluations = [[s, row["eval_loss"]] for s, row in sorted(history.evaluation.items())]
    done, tokens = made - (start.step or 0), extras.get("tokens")
    at_work = history.seconds(start.step or 0)
    result: dict[str, Json] = {
        "steps": made,
        "train_loss": [[s, row["loss"]] for s, row in sorted(history.train.items())],
        "eval_loss": evaluations,
        "first_eval_loss": evaluations[0][1] if evaluations else None,
        "last_eval_loss": evaluations[-1][1] if evaluations else None,
        "seconds": round(seconds, 1),
        "tokens_per_second": round(tokens * done / made / seconds, 1) if tokens and done else None,
        "training_seconds": None if at_work is None else round(at_work, 1),
        "tokens_trained": round(tokens * done / made) if tokens else None,
        "memory_gib": history.memory,
        "chosen_step": step,
        "checkpoint": f"step {step} of {made} ({choice})",
        "resumed_from": None if start.step is None else f"step {start.step}",
        "started_from": start.words,
        "prompts": read_json(run / PROMPTS) if (run / PROMPTS).is_file() else None,
        "command": extras["command"],
    }
    return Trained(found[step], result, history.rows())


def write_records(out: Path, trained: Trained, command: Sequence[str]) -> None:
    """Write losses, command and TensorBoard's events into ``out / "training"``.

    All are the same for the same training wherever it ran: no times, no paths.
    """
    folder = out / "training"
    folder.mkdir()
    with (folder / "losses.jsonl").open("w", encoding="utf-8") as file:
        for row in trained.rows:
            file.write(json.dumps(row) + "\n")
    write_json(folder / "command.json", portable_command(command))
    write_events(trained.rows, folder / "tensorboard")
