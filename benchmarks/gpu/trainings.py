"""Speed and memory of trainings on the GPU at hand, through the project's own commands.

`trainings.py MODELS DATA OUT [NAME ...]`: MODELS has the folders that `random_model.py` writes,
DATA what `texts.py` writes; a JSON file per training goes into OUT, and a table to the screen.
swift runs under the Python that CYRENE_TRAIN_PYTHON names.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cyrene_assets.compute.hardware import GIB, Hardware
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.training import swift_args
from cyrene_assets.workers.common.parent_death import PARENT
from cyrene_assets.workers.train.swift_process import swift_process

PLUGIN = Path(__file__).with_name("_probe_plugin.py")
WITHOUT = Path(__file__).with_name("without")
ROOT = Path(__file__).parents[2]
# Of a card's memory CUDA itself takes so much.
CONTEXT_GIB = 0.8
ARCHITECTURES = {name: SIZES[name].architecture for name in ("0.8B", "2B", "4B")}
SMALL = replace(ARCHITECTURES["0.8B"], num_layers=8, vocabulary=8320)
ROWS_TO_VALIDATE = 16

Change = dict[str, str | None]
CHECKPOINTING: Change = {"--gradient_checkpointing": "true"}
# Weights rounded to the nearest bfloat16: what ms-swift does of itself.
NEAREST: Change = {"--optimizer": None}
# Documents one next to the other, filled up to the longest.
UNPACKED: Change = {
    **dict.fromkeys(("--packing", "--padding_free", "--packing_length", "--packing_strategy")),
    "--packing_num_proc": None,
    "--attn_impl": "sdpa",
    "--use_liger_kernel": "false",
    "--per_device_train_batch_size": "3",
    "--gradient_accumulation_steps": "2",
    "--gradient_checkpointing": "false",
}
FLASH: Change = {"--attn_impl": "flash_attention_2"}
LINEAR = "fla,causal_conv1d"
UNEVALUATED: Change = {
    "--eval_on_start": "false",
    "--eval_strategy": "no",
    "--eval_steps": None,
    "--save_strategy": "no",
    "--save_steps": None,
}


@dataclass(frozen=True)
class Training:
    """A training: ``change`` replaces arguments of the project's command, None drops one.

    ``texts`` are rows of DATA other than the stage's. ``settings`` are other values of the stage.
    ``card`` is the memory in GiB of a smaller GPU that it is planned for and held to. ``without``
    hides packages. ``bare`` is ms-swift's and liger's work as it comes, without the project's
    plugin. With ``program`` it runs through the project's program, evaluated and saved.
    """

    model: str = "4B"
    stage: str = "cpt"
    texts: str | None = None
    batch: int = 24
    steps: int = 3
    settings: dict[str, Any] = field(default_factory=dict)
    change: Change = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    card: float | None = None
    without: str = ""
    bare: bool = False
    program: bool = False


def micro(packs: int, batch: int = 8) -> Change:
    """So many packs at a time."""
    return {
        "--per_device_train_batch_size": str(packs),
        "--gradient_accumulation_steps": str(batch // packs),
    }


def unpacked(change: Change, without: str) -> Training:
    """A pack's documents by themselves: three packs of them, nine steps."""
    return Training(batch=1, steps=3, change=UNPACKED | NEAREST | change, without=without)


TRAININGS = {
    "chosen": Training(texts="start", steps=6),
    "nearest": Training(change=NEAREST),
    "program": Training(program=True),
    "micro_1": Training(batch=8, steps=4, change=micro(1)),
    "micro_2": Training(batch=8, steps=4, change=micro(2)),
    "micro_3": Training(batch=6, change=micro(3, 6)),
    "micro_4": Training(batch=8, steps=4, change=micro(4)),
    "checkpointing": Training(batch=8, change=micro(1) | CHECKPOINTING),
    "profile": Training(batch=2, change=micro(1, 2), environment={"PROBE_PROFILE": "1"}),
    "profile_4": Training(batch=4, change=micro(4, 4), environment={"PROBE_PROFILE": "1"}),
    "sft_profile": Training(stage="sft", batch=3, environment={"PROBE_PROFILE": "1"}),
    "4B_in_96_GB": Training(batch=8, card=95.6),
    "2B": Training("2B", batch=8, steps=4, change=micro(1)),
    "2B_in_32_GB": Training("2B", batch=8, card=31.8),
    "0.8B": Training("0.8B", batch=8, steps=4, change=micro(1)),
    # What the recipe `small` asks of a card of 8 GB: packs of 2,048 tokens, 60 of them a step.
    "0.8B_in_8_GB": Training(
        "0.8B", batch=24, card=8.0, settings={"sequence_length": 2048, "batch_size": 60}
    ),
    "masters": Training(batch=8, settings={"master_weights": True}),
    "masters_1": Training(batch=8, settings={"master_weights": True}, change=micro(1)),
    "sft": Training(stage="sft", batch=3, steps=6),
    "sft_cast": Training(stage="sft", batch=3, steps=6, environment={"PROBE_CAST": "1"}),
    "sft_bare": Training(stage="sft", batch=3, steps=6, bare=True),
    "none": unpacked({}, f"flash_attn,liger_kernel,{LINEAR}"),
    "flash_attention": unpacked(FLASH, f"liger_kernel,{LINEAR}"),
    "linear_attention": unpacked({}, "flash_attn,liger_kernel"),
    "linear_attention_without_convolution": unpacked({}, "flash_attn,liger_kernel,causal_conv1d"),
    "both_unpacked": unpacked(FLASH, "liger_kernel"),
    # One pack at a time, so that the two can be compared on a card of 80 GB.
    "attention_torch": Training(batch=4, steps=6, change=micro(1, 4)),
    "attention_flash_2": Training(batch=4, steps=6, change=micro(1, 4) | FLASH),
    "attention_flash_4": Training(
        batch=4, steps=6, change=micro(1, 4) | {"--attn_impl": "cyrene_varlen_fa4"}
    ),
    "attention_sdpa": Training(
        batch=4, steps=6, change=micro(1, 4) | {"--attn_impl": "cyrene_sdpa"}
    ),
    "packed_bare": Training(batch=8, steps=4, change=NEAREST | micro(1), bare=True),
}


def rows(made: Training, data: Path, folder: Path) -> None:
    """Write as many packs of rows as the training needs, and a few to validate on."""
    packs = made.batch * made.steps
    source = data / f"{made.texts or made.stage}.jsonl"
    lines = source.read_text(encoding="utf-8").splitlines()
    if packs > len(lines):
        raise SystemExit(f"{packs} packs are wanted and {source} has {len(lines)}")
    texts = [row for line in lines[:packs] for row in json.loads(line)]
    if made.stage == "cpt":
        texts = [[{"role": "assistant", "content": text}] for text in texts]
    for name, chosen in (("train", texts), ("validation", texts[:ROWS_TO_VALIDATE])):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps({"messages": messages}) + "\n" for messages in chosen)


def data_of(folder: Path) -> swift_args.Data:
    """Return the files that :func:`rows` writes."""
    return swift_args.Data(folder / "train.jsonl", folder / "validation.jsonl", folder)


def command(made: Training, hardware: Hardware, models: Path, folder: Path) -> list[str]:
    """Return the project's command for a stage of `seed-v2` with the training's changes."""
    stage = getattr(load_recipe("seed-v2"), made.stage)
    update = {"batch_size": made.batch, "evaluations": 1, **made.settings}
    stage = stage.model_copy(update=update)
    if made.card and hardware.gpus:
        gpu = replace(hardware.gpus[0], memory=round(made.card * GIB))
        hardware = Hardware((gpu,), hardware.driver)
    told = swift_args.StageCommand(
        stage,
        hardware,
        model=models / made.model,
        data=data_of(folder),
        work=folder,
        architecture=ARCHITECTURES.get(made.model, SMALL),
    )
    words = told.pretrain() if made.stage == "cpt" else told.finetune()
    # The rows come as files of text: measuring them is not what is measured here.
    words[words.index("--cached_dataset")] = "--dataset"
    words[words.index("--cached_val_dataset")] = "--val_dataset"
    words = changed(words, ({} if made.program else UNEVALUATED) | made.change)
    for option, value in (("--external_plugins", str(PLUGIN)), ("--callbacks", "probe")):
        at = words.index(option) + 1
        words[at : at + 1] = [value] if made.bare else [words[at], value]
    return words


def changed(words: list[str], change: Change) -> list[str]:
    """Return a command with options replaced, added, or dropped."""
    result = list(words)
    for name, value in change.items():
        if name in result:
            at = result.index(name)
            del result[at : at + 2]
        if value is not None:
            result += [name, value]
    return result


def run(name: str, made: Training, hardware: Hardware, models: Path, data: Path, out: Path) -> None:
    """Run a training, write what was found, print its line of the table."""
    python = os.environ.get("CYRENE_TRAIN_PYTHON", sys.executable)
    result = out / f"{name}.json"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows(made, data, folder)
        words = command(made, hardware, models, folder)
        environment = swift_args.training_environment(hardware, made.batch, data_of(folder))
        # A bare command evaluates as ms-swift does.
        del environment[swift_args.VALIDATION]
        arguments = swift_process(words, environment)[1:]
        if made.program:
            (folder / "out").mkdir()
            extras: dict[str, Any] = {
                "command": words,
                "environment": environment,
                "base": str(models / made.model),
                "merge": None,
                "steps": made.steps,
                "checkpoint": "last",
                "tokens": made.batch * made.steps * 5120,
                "work": scratch,
                "out": str(folder / "out"),
            }
            (folder / "extras.json").write_text(json.dumps(extras), encoding="utf-8")
            arguments = ["-m", "cyrene_assets.workers.train.pretrain", str(folder / "extras.json")]
        paths = [str(ROOT), *([str(WITHOUT)] if made.without else [])]
        cap = {"PROBE_CAP_GIB": str(made.card - CONTEXT_GIB)} if made.card else {}
        done = subprocess.run(
            [python, *arguments],
            env={
                **os.environ,
                **swift_args.OFFLINE_ENV,
                **environment,
                "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]),
                PARENT: str(os.getpid()),
                "PROBE_OUT": str(result),
                "WITHOUT": made.without,
                **cap,
                **made.environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    found: dict[str, Any] = json.loads(result.read_text("utf-8")) if result.is_file() else {}
    (out / f"{name}.log").write_text(done.stdout[-20000:] + done.stderr[-20000:], encoding="utf-8")
    if done.returncode or not found:
        raise SystemExit(f"{name}: {done.stdout[-3000:]}\n{done.stderr[-1000:]}")
    # The first step compiles kernels.
    speeds = [t / s for t, s in zip(found["tokens"], found["seconds"], strict=True)]
    found["tokens_per_second"] = statistics.median(speeds[1:] or speeds)
    found |= {"hardware": hardware.describe(), "training": asdict(made), "command": words}
    result.write_text(json.dumps(found), encoding="utf-8")
    peak = max(found["peak_bytes"], default=0) / GIB
    print(f"| {name} | {found['tokens_per_second']:,.0f} | {peak:.1f} |", flush=True)


def main() -> None:
    """Measure what is named, or everything."""
    models, data, out = (Path(word).absolute() for word in sys.argv[1:4])
    out.mkdir(parents=True, exist_ok=True)
    hardware = Hardware.detect()
    print(f"{hardware.describe()}\n\n| training | tokens/s | peak GiB |\n|---|---:|---:|")
    for name in sys.argv[4:] or TRAININGS:
        run(name, TRAININGS[name], hardware, models, data, out)


if __name__ == "__main__":
    main()
