"""``cyrene build --plan``: what the waiting steps would cost, before anything runs.

Time follows from the tokens in the same row, the rates that this machine was measured at, and the
model's size, between a least and a most (:mod:`cyrene_assets.diagnostics.step_times`); bytes from
the parameter count.
"""

from collections.abc import Sequence

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.config.recipe import Recipe
from cyrene_assets.diagnostics.estimate_table import Estimate, StepEstimate
from cyrene_assets.diagnostics.measured_rates import Run, of_record, of_store
from cyrene_assets.diagnostics.step_times import TRAININGS, StepTimes
from cyrene_assets.diagnostics.token_forecast import StageTokens, forecast
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.run_conditions import corpus_bytes
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.training.batch_plan import optimizer_steps, plan_batch, uses_packing
from cyrene_assets.training.memory_model import stored_bytes
from cyrene_assets.training.warmup import few_steps
from cyrene_assets.utils.disk_errors import free_bytes


def estimate(
    project: Project, steps: Sequence[Step], size: ModelSize, *, read_texts: bool = True
) -> Estimate:
    """Return what the out-of-date steps of a plan would cost on this machine.

    Args:
        project: the project.
        steps: a plan, up to date or not.
        size: the model's size.
        read_texts: whether to read texts and earlier runs. Otherwise only the current artifacts'
            records tell of runs and tokens, which takes no time.
    """
    waiting = [step for step in steps if step.reason is not None]
    recipe, hardware = project.recipe(size), Hardware.detect()
    current = {step.key: step.record for step in steps}

    def runs(key: ArtifactKey) -> list[Run]:
        if read_texts:
            return of_store(project, key)
        record = current.get(key)
        return [] if record is None else [of_record(record)]

    times = StepTimes(
        size, recipe, hardware, corpus_bytes(project), len(project.corpus.languages), runs
    )
    trained = any(step.key.asset in TRAININGS for step in waiting)
    tokens = forecast(project, steps, size, read_texts=read_texts) if trained else {}
    sums = {str(stage): found for stage, found in tokens.items()}
    return Estimate(
        tuple(_step(step, size, recipe, hardware, times, sums) for step in waiting),
        len(steps) - len(waiting),
        free_bytes(project.home),
    )


def _step(
    step: Step,
    size: ModelSize,
    recipe: Recipe,
    hardware: Hardware,
    times: StepTimes,
    tokens: dict[str, StageTokens],
) -> StepEstimate:
    stage = TRAININGS.get(step.key.asset, "")
    stage_tokens, of_recipe = tokens.get(stage), recipe.cpt if stage == "cpt" else recipe.sft
    steps = None
    if stage_tokens is not None:
        sequences = stage_tokens.packs if uses_packing(hardware) else stage_tokens.rows
        steps = optimizer_steps(sequences, plan_batch(hardware, of_recipe.batch_size))
    timing = times.of(step.key, stage_tokens.tokens if stage_tokens else None)
    return StepEstimate(
        step.key,
        step.reason or "",
        stage_tokens.tokens if stage_tokens else None,
        timing.seconds if timing else None,
        stored_bytes(size.architecture, recipe).get(step.key.asset),
        steps,
        few_steps(of_recipe, stage, steps) if stage and steps is not None else None,
        timing.low if timing else None,
        timing.high if timing else None,
        timing.basis if timing else None,
        timing.how if timing else None,
        stage_tokens.how if stage_tokens else None,
    )
