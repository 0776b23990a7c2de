"""``cyrene build --plan``: what the waiting steps would cost, before anything runs.

An earlier run of the same step on this project is the best estimate there is. Without one, tokens
come from the corpus's size, hours from the training FLOPs over the rate that was measured for the
GPU at hand, and bytes from the parameter count.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cyrene_assets.console import duration
from cyrene_assets.console import size as shown_size
from cyrene_assets.console import table as make_table
from cyrene_assets.disk import free_bytes
from cyrene_assets.errors import UserError
from cyrene_assets.hardware import Hardware
from cyrene_assets.lineage import Record
from cyrene_assets.machine import batch_on, gpus_used, optimizer_steps, packs_on
from cyrene_assets.memory import stored_bytes
from cyrene_assets.models import model_size
from cyrene_assets.planner import Step
from cyrene_assets.project import Project
from cyrene_assets.recipe import Recipe, Stage
from cyrene_assets.schedule import few_steps

if TYPE_CHECKING:
    from rich.table import Table

# 6 FLOPs per parameter and token (arXiv 2001.08361); CPT of 4B at 18,593 tokens/s on one H200, as
# it is run here (benchmarks/gpu). The H100's chip is the same.
MEASURED_TRAINING_FLOPS = {"H200": 4.7e14, "H100": 4.7e14}
# Seconds on two CPU cores with the sample corpus.
LIGHT_SECONDS = {
    "raw_dialog": 0.5,
    "parallel_corpus": 2.0,
    "cpt_documents": 0.5,
    "sft_chat": 0.5,
    "eval_report": 0.5,
    "scoreboard": 3.0,
}
TINY_SECONDS = {
    "base_model": 20.0,
    "packed_cpt": 3.0,
    "packed_sft": 3.0,
    "cpt_checkpoint": 100.0,
    "lora_adapter": 80.0,
    "merged_model": 20.0,
    "fp8_model": 20.0,
    "generations": 120.0,
}


@dataclass(frozen=True)
class StepEstimate:
    """One waiting step; None where nothing is known. ``bytes`` is what it adds to the store.

    A training has ``optimizer_steps``, and a ``warning`` where they are too few.
    """

    step: str
    reason: str
    tokens: int | None
    seconds: float | None
    bytes: int | None
    optimizer_steps: int | None = None
    warning: str | None = None


@dataclass(frozen=True)
class Estimate:
    """A plan's cost."""

    steps: tuple[StepEstimate, ...]
    up_to_date: int
    free_bytes: int

    @property
    def seconds(self) -> float | None:
        """The sum over the steps whose time is known, or None when none is."""
        known = [step.seconds for step in self.steps if step.seconds is not None]
        return sum(known) if known else None

    @property
    def unknown(self) -> int:
        """How many steps have no known time."""
        return sum(step.seconds is None for step in self.steps)

    @property
    def bytes(self) -> int:
        """The sum of the steps' bytes."""
        return sum(step.bytes or 0 for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON value; hours are None where nothing is known."""
        return {
            "up_to_date": self.up_to_date,
            "steps": [asdict(step) for step in self.steps],
            "hours": None if self.seconds is None else round(self.seconds / 3600, 3),
            "steps_of_unknown_time": self.unknown,
            "bytes": self.bytes,
            "free_bytes": self.free_bytes,
        }

    def table(self) -> "Table":
        """Return the plan as a table, one row per asset."""
        grouped: dict[str, list[StepEstimate]] = {}
        for step in self.steps:
            grouped.setdefault(step.step.partition("[")[0], []).append(step)
        rows = [
            [
                members[0].step if len(members) == 1 else f"{asset} x {len(members)}",
                members[0].reason,
                _shown_sum([m.tokens for m in members], "{:,}".format),
                _shown_sum([m.optimizer_steps for m in members], "{:,}".format),
                _shown_sum([m.seconds for m in members], duration),
                _shown_sum([m.bytes for m in members], shown_size),
            ]
            for asset, members in grouped.items()
        ]
        columns = ["step", "why", "tokens", "optimizer steps", "time", "disk"]
        return make_table(None, columns, rows, right={*columns[2:]})

    @property
    def warnings(self) -> list[str]:
        """What the waiting steps had better not be, a line each."""
        return [f"{step.step}: {step.warning}" for step in self.steps if step.warning]

    def summary(self) -> str:
        """Return the plan's sum in one line."""
        time = "unknown time" if self.seconds is None else duration(self.seconds)
        if self.unknown and self.seconds is not None:
            time += f" and {self.unknown} steps of unknown time"
        return (
            f"{len(self.steps)} to build, {self.up_to_date} up to date; about {time}; "
            f"{shown_size(self.bytes)} of disk, {shown_size(self.free_bytes)} free"
        )


def _shown_sum(values: Sequence[float | None], shown: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]
    return shown(sum(known)) if known else ""


def estimate(project: Project, steps: Sequence[Step], size: str) -> Estimate:
    """Return what the out-of-date steps of a plan would cost on this machine."""
    waiting = [step for step in steps if step.reason is not None]
    records = {step.asset: step.record for step in steps if step.record is not None}
    recipe = project.recipe(size)
    trainings = {
        "cpt": _training(
            recipe.cpt, records.get("packed_cpt"), lambda: _corpus_tokens(project, recipe)
        ),
        "sft": _training(recipe.sft, records.get("packed_sft"), lambda: None),
    }
    return Estimate(
        tuple(_step(step, size, recipe, trainings) for step in waiting),
        len(steps) - len(waiting),
        free_bytes(project.home),
    )


def _step(
    step: Step, size: str, recipe: Recipe, trainings: dict[str, tuple[int | None, int | None]]
) -> StepEstimate:
    architecture = model_size(size).architecture
    stage = {"cpt_checkpoint": "cpt", "lora_adapter": "sft"}.get(step.asset)
    stage_tokens, optimized = trainings[stage] if stage else (None, None)
    of_recipe = recipe.cpt if stage == "cpt" else recipe.sft
    warning = few_steps(of_recipe, stage, optimized) if stage and optimized is not None else None
    seconds = step.record.seconds if step.record is not None else LIGHT_SECONDS.get(step.asset)
    if seconds is None and stage_tokens is not None:
        seconds = _training_seconds(architecture.parameters, stage_tokens, of_recipe.batch_size)
    if seconds is None and size == "tiny":
        seconds = TINY_SECONDS.get(step.asset)
    return StepEstimate(
        step.name,
        step.reason or "",
        stage_tokens,
        seconds,
        stored_bytes(architecture, recipe).get(step.asset),
        optimized,
        warning,
    )


def _training(
    stage: Stage, packed: Record | None, otherwise: Callable[[], int | None]
) -> tuple[int | None, int | None]:
    """Return the tokens and the optimizer steps of a stage: as packed last, else about so many."""
    hardware = Hardware.detect()
    tokens = _count(packed, "tokens")
    sequences = _count(packed, "packs" if packs_on(hardware) else "rows")
    if tokens is None:
        tokens = otherwise()
        if tokens is not None and packs_on(hardware):
            sequences = math.ceil(tokens / stage.sequence_length)
    if sequences is None:
        return tokens, None
    return tokens, optimizer_steps(sequences, batch_on(hardware, stage.batch_size))


def _training_seconds(parameters: float, tokens: int, batch_size: int) -> float | None:
    hardware = Hardware.detect()
    for name, flops in MEASURED_TRAINING_FLOPS.items():
        if hardware.gpus and name in hardware.gpus[0].name:
            return 6 * parameters * tokens / (flops * gpus_used(hardware, batch_size))
    return None


def _count(record: Record | None, name: str) -> int | None:
    if record is None or name not in record.metadata:
        return None
    value = record.metadata[name].value
    return value if isinstance(value, int) else None


def _corpus_tokens(project: Project, recipe: Recipe) -> int | None:
    """Return about how many tokens the corpus has, None where its files cannot be found."""
    from cyrene_assets.corpus.sources import adapter
    from cyrene_assets.corpus.tokens import BYTES_PER_TOKEN

    source = adapter(project.corpus.source.adapter)
    total = 0.0
    for language in project.corpus.languages:
        try:
            files = source.files(project.corpus_folder, project.corpus, language)
        except UserError:
            return None
        size = sum(file.stat().st_size for file in files)
        total += size / BYTES_PER_TOKEN * recipe.cpt.passes.of(language, "dialog")
    return round(total)
