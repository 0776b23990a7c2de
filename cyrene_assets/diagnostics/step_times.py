"""How long a waiting step will take on this machine, and what that rests on.

The first of these that there is: runs of the same step with the same settings on this machine; for
a training the FLOPs at the rate of another training on this machine, then at that of its GPU
elsewhere, then of a CPU's cores. What is known of no step is not made up.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.identity import cores, machine_name
from cyrene_assets.config.model_sizes import SIZES, ModelSize
from cyrene_assets.config.recipe import Recipe
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.diagnostics.measured_rates import (
    GUESS,
    Run,
    Timing,
    step_time,
    training_time,
    within,
)
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.training.batch_plan import num_gpus

TRAININGS = {"cpt_checkpoint": "cpt", "lora_adapter": "sft"}
# What a training's time depends on besides its tokens.
_SETTINGS = ("tuner", "sequence_length", "batch_size", "master_weights")
# FLOPs per parameter and token (arXiv 2001.08361): forward, and twice that backward; the weights
# of a frozen model get no gradients.
_FLOPS_FULL, _FLOPS_ADAPTER = 6, 4
# CPT of 4B at 18,593 tokens/s on one H200, as it is run here (benchmarks/gpu). The H100's chip is
# the same.
MEASURED_TRAINING_FLOPS = {"H200": 4.7e14, "H100": 4.7e14}
# A core in a training of the embedded model, in PyTorch: a rough figure from two busy cores.
_CORE_FLOPS = 2.3e10
_CPU_START, _GPU_START = 12.0, 60.0
# Seconds that do not grow, and seconds per MB of the raw files of all languages: rough figures from
# two CPU cores, for a machine that has no runs of its own.
_GROWING = {
    "raw_dialog": (0.1, 0.15),
    "parallel_corpus": (0.6, 1.2),
    "cpt_documents": (0.2, 0.06),
    "sft_chat": (0.2, 0.06),
    "packed_cpt": (0.6, 1.0),
    "packed_sft": (0.5, 0.8),
}
# What has no more to do with a larger corpus, on two CPU cores; the second ones of `tiny`.
_STEADY = {"eval_report": 0.5, "scoreboard": 3.0}
_STEADY_TINY = {"base_model": 10.0, "merged_model": 20.0, "fp8_model": 20.0, "generations": 120.0}
# By how much each kind of estimate may be off.
_SCALED, _KNOWN_GPU = 2.5, 1.5

RunsOf = Callable[[ArtifactKey], Sequence[Run]]


@dataclass(frozen=True)
class StepTimes:
    """Estimates for a size on this machine.

    ``corpus`` are the bytes of the corpus's raw files, ``languages`` how many languages share them;
    ``runs`` gives the earlier runs of an artifact, wherever they were.
    """

    size: ModelSize
    recipe: Recipe
    hardware: Hardware
    corpus: int | None
    languages: int
    runs: RunsOf

    def of(self, key: ArtifactKey, tokens: int | None) -> Timing | None:
        """Return how long a step will take; None where nothing is known of it."""
        asset = key.asset
        if asset in TRAININGS and tokens is not None:
            return self._training(asset, tokens)
        start, per_mb = _GROWING.get(asset, (0.0, 0.0))
        corpus = self.corpus if asset in _GROWING else None
        # A language's own steps read the language's share.
        share = 1 if asset.startswith(("packed", "parallel")) else max(self.languages, 1)
        growth = per_mb / 1e6 / share
        measured = step_time(self._here(key), corpus, start, growth)
        if measured is not None:
            return measured
        unnamed = [run for run in self.runs(key) if run.machine is None]
        if unnamed:
            how = "an earlier run, on a machine that its record does not name"
            return within(median(run.seconds for run in unnamed), GUESS, "guess", how)
        how = "two CPU cores elsewhere"
        if asset in _GROWING:
            seconds = start + growth * (corpus or 0)
            return within(seconds, GUESS, "guess", f"{how}, by the size of the corpus")
        steady = _STEADY | (_STEADY_TINY if self.size.is_embedded else {})
        return within(steady[asset], GUESS, "guess", how) if asset in steady else None

    def _here(self, key: ArtifactKey) -> list[Run]:
        here = machine_name(self.hardware)
        return [run for run in self.runs(key) if run.machine == here]

    def _training(self, asset: str, tokens: int) -> Timing | None:
        stage: Stage = getattr(self.recipe, TRAININGS[asset])
        runs = self._here(ArtifactKey(asset, self.size.name))
        wanted = stage.model_dump(mode="json")
        measured = training_time([run for run in runs if _alike(run.params, wanted)], tokens)
        if measured is not None:
            return measured
        flops = _flops(self.size, stage.tuner) * tokens
        others = [
            run
            for name in TRAININGS
            for size in SIZES
            for run in self._here(ArtifactKey(name, size))
        ]
        gpu = next((name for name in MEASURED_TRAINING_FLOPS if self._has(name)), None)
        # The embedded model keeps no GPU busy: its rate says nothing of a large model's.
        nearest = _nearest(others, self.size)
        if nearest and (gpu is None or nearest[0].key.partition != "tiny" or self.size.is_embedded):
            return _scaled(nearest, flops)
        if gpu is not None:
            rate = MEASURED_TRAINING_FLOPS[gpu]
            used = num_gpus(self.hardware, stage.batch_size)
            how = f"FLOPs at {rate / 1e12:,.0f} TFLOP/s a GPU, 4B's rate on an {gpu} elsewhere"
            return within(_GPU_START + flops / rate / used, _KNOWN_GPU, "guess", how)
        if self.hardware.gpus:
            return None
        rate = _CORE_FLOPS * cores()
        how = f"FLOPs at {rate / 1e9:,.0f} GFLOP/s, tiny's rate on so many cores elsewhere"
        return within(_CPU_START + flops / rate, GUESS, "guess", how)

    def _has(self, gpu: str) -> bool:
        return bool(self.hardware.gpus) and gpu in self.hardware.gpus[0].name


def _alike(params: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(params.get(name) == wanted.get(name) for name in _SETTINGS)


def _flops(size: ModelSize, tuner: str) -> float:
    per_parameter = _FLOPS_ADAPTER if tuner == "lora" else _FLOPS_FULL
    return per_parameter * size.parameters


def _nearest(runs: Sequence[Run], size: ModelSize) -> list[Run]:
    """Return the runs that say how long they trained, of the size nearest to this one."""
    known = [run for run in runs if run.tokens and run.growing and run.key.partition in SIZES]

    def distance(run: Run) -> float:
        other = SIZES[run.key.partition or ""]
        return abs(math.log(other.parameters / size.parameters))

    smallest = min(map(distance, known), default=0.0)
    return [run for run in known if distance(run) == smallest]


def _scaled(runs: Sequence[Run], flops: float) -> Timing:
    """Return the time of so many FLOPs at the rate of other trainings on this machine."""
    known = [
        (
            _flops(SIZES[run.key.partition or ""], run.params.get("tuner", "full")) * run.tokens,
            run.growing,
        )
        for run in runs
        if run.tokens and run.growing
    ]
    rate = sum(of for of, _ in known) / sum(seconds for _, seconds in known)
    start = min(max(run.seconds - (run.growing or 0), 0.0) for run in runs)
    of = " and ".join(sorted({str(run.key) for run in runs}))
    how = f"FLOPs at {rate / 1e9:,.0f} GFLOP/s, the rate of {of} here"
    return within(start + flops / rate, _SCALED, "scaled", how)
