"""The training assets: CPT checkpoint, LoRA adapter, merged model."""

import shlex
from dataclasses import replace

from cyrene_assets.automation.conditions import TRAINING
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.toolchains import TRAIN
from cyrene_assets.config import trackers
from cyrene_assets.config.model_sizes import model_size
from cyrene_assets.config.recipe import Stage
from cyrene_assets.defs._proof import prove
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.artifact_context import Build
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.orchestration.run_conditions import SECONDS, TOKENS
from cyrene_assets.project.partitions import sizes
from cyrene_assets.store.outcome import Outcome, Picture
from cyrene_assets.store.tables import read_table
from cyrene_assets.training import checks, swift_args
from cyrene_assets.training.batch_plan import batch_on, describe_devices, packs_on
from cyrene_assets.training.memory_model import ModelShape
from cyrene_assets.training.step_schedule import reading_order
from cyrene_assets.training.warmup import few_steps

GROUP = "training"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _trained(
    build: Build, stage: Stage, packed: str, program: str, expected_fall: float
) -> Outcome:
    """Run a training program over a packed set; what it learned is in ``build.out`` then."""
    from cyrene_assets.evaluation.metrics import training_losses
    from cyrene_assets.evaluation.scoreboard.loss_curve import loss_curve_png

    base, data = build.input("base_model"), build.input(packed)
    model = base if program == "pretrain" else build.input("cpt_checkpoint")
    hardware = Hardware.detect()
    report_to = build.project.settings.report_to
    secrets = trackers.report_keys(build.project.settings.report_to, build.project.file)
    attention, proof = prove(build, hardware)
    order = reading_order(
        read_table(data, "rows.parquet"),
        packed=packs_on(hardware),
        batch=batch_on(hardware, stage.batch_size),
    )
    keep_step = order.step_of(stage.checkpoint)
    files = swift_args.Data.of(data.path)
    make = swift_args.pretrain_command if program == "pretrain" else swift_args.finetune_command
    command = make(
        stage,
        hardware,
        model=model.path,
        data=files,
        work=build.work,
        shape=ModelShape.of(model_size(build.key).architecture),
        report_to=report_to,
        attention=attention,
        steps=order.steps,
    )
    few = few_steps(stage, "cpt" if program == "pretrain" else "sft", order.steps)
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
    build.context.log.info(
        f"{build.spec.name}[{build.key}] trains {order.steps} optimizer steps on {devices}"
    )
    result = build.run_program(
        program,
        {
            "command": command,
            "environment": {
                **swift_args.training_environment(hardware, stage.batch_size, files, keep_step),
                **trackers.report_environment(report_to, build.work),
            },
            "base": str(base.path),
            "merge": merge if stage.tuner == "lora" else None,
            "steps": order.steps,
            "checkpoint": stage.checkpoint,
            "checkpoint_step": keep_step,
            "tokens": order.tokens,
        },
        environment=swift_args.program_environment(report_to),
        secrets=secrets,
    )
    log = build.out / "training" / "losses.jsonl"
    curve, chosen = training_losses.read_losses(log), result["chosen_step"]
    summary = training_losses.summary(curve.filter(curve["step"] <= chosen))
    first, last = checks.shown(summary.first_eval_loss), checks.shown(summary.last_eval_loss)
    precision = swift_args.precision(result["command"])
    attended = attention.described if hardware.gpus else "PyTorch's attention, nothing packed"
    title = f"{build.spec.name}[{build.key}], recipe {build.project.recipe(build.key).name}"
    drawn = loss_curve_png(
        curve,
        title,
        checkpoint=chosen,
        passes=order.passes,
        languages=training_losses.read_language_losses(log),
    )
    return Outcome(
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
            proof,
            *checks.loss_outcomes(summary, expected_fall),
            checks.learned_outcome(result),
        ],
        measurements=result | {"precision": precision, "attention": attended},
    )


@artifact_asset(
    group_name=GROUP,
    rebuild=TRAINING,
    kinds={"pytorch", "safetensors"},
    code_version="3",
    partitions_def=sizes,
    deps=["base_model", "packed_cpt"],
    params=lambda project, size: project.recipe(size or "").cpt.model_dump(mode="json"),
    checks=(
        checks.PARITY_CHECK,
        *checks.LOSS_CHECKS,
        checks.LEARNED_CHECK,
        *checks.TENSOR_CHECKS,
    ),
    pool="gpu",
    toolchain=TRAIN,
    needs=(Need.TRAINING, Need.WEIGHTS),
)
def cpt_checkpoint(build: Build) -> Outcome:
    """The continually pretrained model: `swift pt` over the packed CPT set.

    A complete checkpoint in the base's layout and dtypes, with the losses of its training and
    TensorBoard's events under `training/`. A recipe that trains an adapter has it merged here. An
    interrupted training goes on from its newest checkpoint.
    """
    stage = build.project.recipe(build.key).cpt
    fall = model_size(build.key).loss_fall
    outcome = _trained(build, stage, "packed_cpt", "pretrain", fall)
    tensors = checks.tensor_outcomes(dict(outcome.measurements))
    return replace(outcome, checks=[*outcome.checks, *tensors])


@artifact_asset(
    group_name=GROUP,
    rebuild=TRAINING,
    kinds={"pytorch", "safetensors"},
    code_version="4",
    partitions_def=sizes,
    deps=["base_model", "cpt_checkpoint", "packed_sft"],
    params=lambda project, size: project.recipe(size or "").sft.model_dump(mode="json"),
    checks=(
        checks.PARITY_CHECK,
        *checks.LOSS_CHECKS,
        checks.LEARNED_CHECK,
        checks.PROMPT_CHECK,
    ),
    pool="gpu",
    toolchain=TRAIN,
    needs=(Need.TRAINING,),
)
def lora_adapter(build: Build) -> Outcome:
    """The SFT LoRA adapter: `swift sft` over the packed chats, on top of the CPT checkpoint."""
    stage = build.project.recipe(build.key).sft
    outcome = _trained(build, stage, "packed_sft", "finetune", 0.0)
    prompts = checks.prompt_outcome(dict(outcome.measurements))
    return replace(outcome, checks=[*outcome.checks, prompts])


@artifact_asset(
    group_name=GROUP,
    rebuild=TRAINING,
    kinds={"pytorch", "safetensors"},
    code_version="3",
    partitions_def=sizes,
    deps=["base_model", "cpt_checkpoint", "lora_adapter"],
    params=lambda _project, _size: {},
    checks=(*checks.TENSOR_CHECKS, checks.STOP_CHECK),
    pool="gpu",
    toolchain=TRAIN,
    needs=(Need.WEIGHTS,),
)
def merged_model(build: Build) -> Outcome:
    """CPT checkpoint and adapter in one (`swift export`), every tensor in the base's dtype.

    Tensors that training leaves out (`mtp.*`) and the files beside the weights are the base's, but
    for the end tokens, so that generation stops at the chat's and at the text's, and the chat
    template, which renders the prompts that the adapter was trained with.
    """
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
        environment=swift_args.OFFLINE_ENV,
    )
    return Outcome(
        f"{result['tensors']} tensors, as the base has them",
        metadata={"tensors": result["tensors"], "from the base": ", ".join(result["from_base"])},
        checks=[*checks.tensor_outcomes(result), checks.stop_outcome(result)],
        measurements=result,
    )
