"""A training from its inputs to its outcome: what it is told, run, and what it says."""

import shlex
from typing import Any, Literal

from cyrene_assets.compute.attention import Attention
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config import trackers
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.evaluation.metrics import training_losses
from cyrene_assets.evaluation.scoreboard.loss_curve import loss_curve_png
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.store.outcome import BuildResult, CheckOutcome, Picture
from cyrene_assets.store.tables import read_table
from cyrene_assets.training import checks, swift_args
from cyrene_assets.training.batch_plan import describe_devices, plan_batch, uses_packing
from cyrene_assets.training.parity_gate import require_packing_parity
from cyrene_assets.training.run_metadata import SECONDS, TOKENS
from cyrene_assets.training.step_schedule import StepSchedule
from cyrene_assets.training.warmup import few_steps

Kind = Literal["cpt", "sft"]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def train(build: ArtifactBuild, kind: Kind, min_loss_drop: float) -> BuildResult:
    """Train over a packed set; what was learned is in ``build.out`` then.

    Args:
        build: with the base model, the packed set and, for SFT, the CPT checkpoint as inputs.
        kind: of the training.
        min_loss_drop: the share by which the validation loss must fall at least.

    Raises:
        UserError: a key of a tracker is not set, or the toolchain is not installed.
        BuildError: the program failed, or packed documents do not stay apart on this GPU.
    """
    stage: Stage = getattr(build.project.recipe(build.size), kind)
    is_cpt = kind == "cpt"
    base, data = build.input("base_model"), build.input(f"packed_{kind}")
    model = base if is_cpt else build.input("cpt_checkpoint")
    hardware = Hardware.detect()
    report_to = build.project.settings.report_to
    secrets = trackers.report_keys(build.project.settings.report_to, build.project.file)
    attention, parity = require_packing_parity(build, hardware)
    schedule = StepSchedule.of(
        read_table(data, "rows.parquet"),
        packed=uses_packing(hardware),
        batch=plan_batch(hardware, stage.batch_size),
    )
    keep_step = schedule.step_for(stage.checkpoint)
    files = swift_args.Data.of(data.path)
    told = swift_args.StageCommand(
        stage,
        hardware,
        model=model.path,
        data=files,
        work=build.work,
        architecture=build.size.architecture,
        report_to=report_to,
        attention=attention,
        steps=schedule.steps,
    )
    few = few_steps(stage, kind, schedule.steps)
    if few is not None:
        build.warn(few)
    # Of an adapter that becomes part of a checkpoint at once.
    merge = swift_args.merge_command(
        hardware,
        model=model.path,
        adapter=build.work / swift_args.ADAPTER_FOLDER,
        out=build.work / swift_args.MERGED_FOLDER,
    )
    devices = describe_devices(hardware, stage.batch_size)
    build.log(f"{build.name} trains {schedule.steps} optimizer steps on {devices}")
    result = build.run_program(
        "pretrain" if is_cpt else "finetune",
        {
            "command": told.pretrain() if is_cpt else told.finetune(),
            "environment": {
                **swift_args.training_environment(hardware, stage.batch_size, files, keep_step),
                **trackers.report_environment(report_to, build.work),
            },
            "base": str(base.path),
            "merge": merge if stage.tuner == "lora" else None,
            "steps": schedule.steps,
            "checkpoint": stage.checkpoint,
            "checkpoint_step": keep_step,
            "tokens": schedule.tokens,
        },
        environment=swift_args.program_environment(report_to, hardware),
        secrets=secrets,
    )
    return _outcome(
        build,
        result,
        schedule,
        attention,
        parity,
        hardware=hardware,
        devices=devices,
        min_loss_drop=min_loss_drop,
    )


def _outcome(
    build: ArtifactBuild,
    result: dict[str, Any],
    schedule: StepSchedule,
    attention: Attention,
    parity: CheckOutcome,
    *,
    hardware: Hardware,
    devices: str,
    min_loss_drop: float,
) -> BuildResult:
    """Return what is said of a training that has ended."""
    log = build.out / "training" / "losses.jsonl"
    curve, chosen = training_losses.read_losses(log), result["chosen_step"]
    summary = training_losses.summary(curve.filter(curve["step"] <= chosen))
    first, last = checks.shown(summary.first_eval_loss), checks.shown(summary.last_eval_loss)
    precision = swift_args.precision(result["command"])
    attended = attention.described if hardware.gpus else "PyTorch's attention, nothing packed"
    title = f"{build.name}, recipe {build.project.recipe(build.size).name}"
    drawn = loss_curve_png(
        curve,
        title,
        checkpoint=chosen,
        passes=schedule.pass_ends,
        languages=training_losses.read_language_losses(log),
    )
    return BuildResult(
        f"{result['steps']} steps, validation loss {first} to {last}, "
        f"gap {checks.shown(summary.gap)}",
        metadata={
            "losses": Picture(drawn),
            "optimizer steps": result["steps"],
            "training loss": _rounded(summary.train_loss),
            "validation loss before": _rounded(summary.first_eval_loss),
            "validation loss": _rounded(summary.last_eval_loss),
            "gap": _rounded(summary.gap),
            "checkpoint": result["checkpoint"],
            "tokens per second": result["tokens_per_second"],
            TOKENS: result["tokens_trained"],
            SECONDS: result["training_seconds"],
            "memory (GiB)": result["memory_gib"],
            "hardware": devices,
            "started from": result["started_from"],
            "attention": attended,
            "precision": precision,
            "command": shlex.join(result["command"]),
        },
        checks=[
            parity,
            *checks.loss_outcomes(summary, min_loss_drop),
            checks.learned_outcome(result),
        ],
        measurements=result | {"precision": precision, "attention": attended},
    )


def merge(build: ArtifactBuild) -> BuildResult:
    """Merge an adapter into the checkpoint that it was trained on, in ``build.out``."""
    command = swift_args.merge_command(
        Hardware.detect(),
        model=build.input("cpt_checkpoint").path,
        adapter=build.input("lora_adapter").path,
        out=build.work / swift_args.RUN_FOLDER,
    )
    result = build.run_program(
        "merge",
        {
            "command": command,
            "environment": swift_args.CPU_ENV,
            "base": str(build.input("base_model").path),
        },
        environment=swift_args.OFFLINE_ENV | swift_args.CPU_ENV,
    )
    return BuildResult(
        f"{result['tensors']} tensors, as the base has them",
        metadata={"tensors": result["tensors"], "from the base": ", ".join(result["from_base"])},
        checks=[*checks.tensor_outcomes(result), checks.stop_outcome(result)],
        measurements=result,
    )
