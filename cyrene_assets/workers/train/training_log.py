"""The log of a training, read back: a row per step, and the losses of each language."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyrene_assets.utils.errors import BuildError
from cyrene_assets.utils.files import write_durably
from cyrene_assets.workers.common.pipes_program import Json

_TRAINING = ("epoch", "loss", "learning_rate", "grad_norm")
_LANGUAGE = re.compile(r"eval_(.+)_loss")
_MEMORY = "memory(GiB)"
_SPEED = "train_speed(s/it)"


@dataclass
class History:
    """The log of a training: one row per step, the newest log of a step winning.

    ``languages`` holds the validation losses by step and language. ``steps`` is the number of steps
    in all and ``memory`` the peak memory in GiB so far, where the log says so. ``speed`` holds by
    step the seconds a step since this attempt began to train, validation included.
    """

    train: dict[int, dict[str, float]] = field(default_factory=dict)
    evaluation: dict[int, dict[str, float]] = field(default_factory=dict)
    languages: dict[int, dict[str, float]] = field(default_factory=dict)
    steps: int | None = None
    memory: float | None = None
    speed: dict[int, float] = field(default_factory=dict)

    def add(self, line: str) -> int | None:
        """Take in one line of ``logging.jsonl``; return its step if it is one of training.

        Raises:
            BuildError: the loss or the gradient norm is not a number.
        """
        try:
            row = json.loads(line)
        except ValueError:
            return None
        position = position_of(row)
        if position is None:
            return None
        step, total = position
        self.steps = total or self.steps
        self.memory = row.get(_MEMORY, self.memory)
        if row.get(_SPEED):
            self.speed[step] = float(row[_SPEED])
        if "eval_loss" in row:
            self.evaluation[step] = {"epoch": row["epoch"], "eval_loss": row["eval_loss"]}
            self.languages[step] = {
                match[1]: row[key] for key in row if (match := _LANGUAGE.fullmatch(key))
            }
        elif "loss" in row:
            values = {key: float(row[key]) for key in _TRAINING if key in row}
            if not all(math.isfinite(value) for value in values.values()):
                raise BuildError(
                    f"step {step}: loss {values.get('loss')}, gradient norm "
                    f"{values.get('grad_norm')}: training has diverged; lower `learning_rate` in "
                    "the recipe, or `max_grad_norm`"
                )
            self.train[step] = values
            return step
        return None

    def seconds(self, start: int) -> float | None:
        """Return how long it trained and validated from step ``start`` on, start-up not counted.

        None where no step was made since.
        """
        last = max(self.speed, default=start)
        return self.speed[last] * (last - start) if last > start else None

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per step, training and evaluation joined, in order.

        After the row of an evaluated step comes one for each language, with its ``language``.
        """
        rows: list[dict[str, Any]] = []
        for step in sorted(self.train.keys() | self.evaluation.keys()):
            rows.append({"step": step, **self.train.get(step, {}), **self.evaluation.get(step, {})})
            rows += [
                {"step": step, "language": language, "eval_loss": loss}
                for language, loss in sorted(self.languages.get(step, {}).items())
            ]
        return rows


def position_of(row: Json) -> tuple[int, int | None] | None:
    """Return the step that a row of ``logging.jsonl`` is of, and how many there are in all."""
    position = row.get("global_step/max_steps") if isinstance(row, dict) else None
    if position is None:
        return None
    done, _, total = str(position).partition("/")
    return int(done), int(total) if total.isdigit() else None


def cut_log(log: Path, step: int) -> None:
    """Drop what was logged after ``step``: those steps are made again."""
    if not log.is_file():
        return
    kept = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            position = position_of(json.loads(line))
        except ValueError:
            continue
        if position is None or position[0] <= step:
            kept.append(line)
    # Completely or not at all: what was logged before cannot be made again.
    write_durably(log, "".join(kept))
