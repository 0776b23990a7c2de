"""From a recipe's stage and a machine to the arguments of ms-swift: pure functions, no torch.

The recipe says what is trained; the machine decides only how: micro-batches, precision, kernels,
packing. ``swift pt`` and ``swift sft`` see one epoch of the packed set in its own order, because
the passes of a recipe are already in it.

The vision tower and its projection are frozen and get no adapters: ms-swift's default for
multimodal models, spelled out in every command. Everything else is trained.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyrene_assets.errors import BuildError
from cyrene_assets.hardware import Hardware
from cyrene_assets.memory import ModelShape, needs_checkpointing

if TYPE_CHECKING:
    from cyrene_assets.recipe import Stage

PLUGIN = Path(__file__).parent / "programs" / "_swift_plugin.py"
RUN_FOLDER = "run"
KEEP_STEP = "CYRENE_KEEP_STEP"

# Threads that wait must not spin: on cores that something else uses too, spinning made a training
# step 20 times slower.
CPU_ENV = {"OMP_WAIT_POLICY": "passive"}

NO_TELEMETRY_ENV = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "WANDB_MODE": "disabled"}

# For programs that need no hub. ms-swift, datasets and transformers otherwise ask a hub for what
# is on disk already, and retry for seconds without a network.
OFFLINE_ENV = {
    **NO_TELEMETRY_ENV,
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "USE_HF": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # PEFT walks a set of module names when it draws the adapter's first weights.
    "PYTHONHASHSEED": "0",
}

# Small micro-batches waste little on padding; a larger one is no faster on a few cores.
_CPU_MICRO_BATCH = 2
_CPU_EVALUATION_BATCH = 4
_GPU_WORKERS = 4
# Flash attention 2 and bfloat16 both begin with Ampere.
_OLDEST_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Data:
    """A stage's data: training and validation files, and its sequences (packs where packed)."""

    train: Path
    validation: Path
    sequences: int


def pretrain_command(
    stage: "Stage",
    hardware: Hardware,
    *,
    model: Path,
    data: Data,
    work: Path,
    shape: ModelShape,
    keep_step: int | None = None,
) -> list[str]:
    """Return the ``swift pt`` command of a CPT stage.

    ``data.sequences`` counts packs on a GPU and rows on the CPU (:func:`packs_on`); ``keep_step``
    is a step after which a checkpoint is kept whatever the interval. Output goes to
    ``work / RUN_FOLDER``.

    Raises:
        BuildError: a GPU too old for bfloat16 and flash attention.
    """
    return ["swift", "pt", *_arguments(stage, hardware, model, data, work, shape, keep_step)]


def finetune_command(
    stage: "Stage",
    hardware: Hardware,
    *,
    model: Path,
    data: Data,
    work: Path,
    shape: ModelShape,
    keep_step: int | None = None,
) -> list[str]:
    """Return the ``swift sft`` command of an SFT stage; parameters as for CPT.

    Thinking is off as it is where the model serves: the answer in progress follows an empty think
    block, which is not trained on, and earlier answers have none. So the last answer's prompt is,
    byte for byte, what the chat template renders for serving.

    Raises:
        BuildError: a GPU too old for bfloat16 and flash attention.
    """
    return [
        *("swift", "sft"),
        *_arguments(stage, hardware, model, data, work, shape, keep_step),
        *("--enable_thinking", "false"),
        *("--add_non_thinking_prefix", "true"),
        *("--preserve_thinking", "false"),
        *("--loss_scale", "default"),
    ]


def merge_command(hardware: Hardware, *, model: Path, adapter: Path, work: Path) -> list[str]:
    """Return the ``swift export`` command that merges ``adapter`` into ``model``."""
    return [
        *("swift", "export"),
        *("--model", str(model)),
        *_MODEL,
        *("--adapters", str(adapter)),
        *("--merge_lora", "true"),
        *("--torch_dtype", "bfloat16"),
        *("--attn_impl", "sdpa"),
        *("--device_map", "auto" if hardware.gpus else "cpu"),
        *("--load_args", "false"),
        *("--external_plugins", str(PLUGIN)),
        *("--exist_ok", "true"),
        *("--output_dir", str(work / RUN_FOLDER)),
    ]


def training_environment(
    hardware: Hardware, batch_size: int, keep_step: int | None = None
) -> dict[str, str]:
    """Return the environment variables that belong to a training command on this machine."""
    environment = {} if hardware.gpus else dict(CPU_ENV)
    if keep_step is not None:
        environment[KEEP_STEP] = str(keep_step)
    used = gpus_used(hardware, batch_size)
    if used:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.uuid for gpu in hardware.gpus[:used])
        environment["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"
    if used > 1:
        environment["NPROC_PER_NODE"] = str(used)
    return environment


def packs_on(hardware: Hardware) -> bool:
    """Return whether training packs: on a GPU. Flash attention, which it needs, has no CPU form."""
    return bool(hardware.gpus)


def gpus_used(hardware: Hardware, batch_size: int) -> int:
    """Return how many GPUs train: as many as divide the batch, so that no step differs in size."""
    return max((n for n in range(1, len(hardware.gpus) + 1) if batch_size % n == 0), default=0)


def optimizer_steps(sequences: int, batch_size: int) -> int:
    """Return the number of optimizer steps of one epoch; the last may be smaller."""
    return math.ceil(sequences / batch_size)


def evaluation_interval(steps: int, evaluations: int) -> int:
    """Return the steps between two evaluations; the last step is always evaluated as well."""
    return max(1, math.ceil(steps / evaluations))


_MODEL = ("--model_type", "qwen3_5", "--template", "qwen3_5", "--use_hf", "true")


def _arguments(
    stage: "Stage",
    hardware: Hardware,
    model: Path,
    data: Data,
    work: Path,
    shape: ModelShape,
    keep_step: int | None,
) -> list[str]:
    interval = str(
        evaluation_interval(optimizer_steps(data.sequences, stage.batch_size), stage.evaluations)
    )
    return [
        *("--model", str(model)),
        *_MODEL,
        *_tuner(stage),
        *("--dataset", str(data.train)),
        *("--val_dataset", str(data.validation)),
        *("--split_dataset_ratio", "0"),
        *("--load_from_cache_file", "false"),
        *("--strict", "true"),
        *("--dataset_shuffle", "false"),
        *("--train_dataloader_shuffle", "false"),
        *("--max_length", str(stage.sequence_length)),
        *("--truncation_strategy", "right"),
        *("--num_train_epochs", "1"),
        *_machine(stage, hardware, shape),
        *("--learning_rate", repr(stage.learning_rate)),
        *("--lr_scheduler_type", stage.lr_scheduler),
        *(
            ("--lr_scheduler_kwargs", json.dumps(stage.lr_scheduler_kwargs))
            if stage.lr_scheduler_kwargs
            else ()
        ),
        *("--warmup_ratio", repr(stage.warmup_ratio)),
        *("--optim", "adamw_torch_fused"),
        *("--weight_decay", repr(stage.weight_decay)),
        *("--adam_beta2", repr(stage.adam_beta2)),
        *("--max_grad_norm", repr(stage.max_grad_norm)),
        *(("--neftune_noise_alpha", repr(stage.neftune_alpha)) if stage.neftune_alpha else ()),
        *("--seed", str(stage.seed)),
        *("--data_seed", str(stage.seed)),
        *("--eval_on_start", "true"),
        *("--eval_strategy", "steps", "--eval_steps", interval),
        *("--save_strategy", "steps", "--save_steps", interval),
        *("--logging_steps", "1"),
        *("--disable_tqdm", "true"),
        *("--report_to", "none"),
        *("--check_model", "false"),
        *("--add_version", "false"),
        *("--external_plugins", str(PLUGIN)),
        *(("--callbacks", "keep_step") if keep_step is not None else ()),
        *("--output_dir", str(work / RUN_FOLDER)),
    ]


def _tuner(stage: "Stage") -> Sequence[str]:
    frozen = ("--freeze_llm", "false", "--freeze_vit", "true", "--freeze_aligner", "true")
    if stage.lora is None:
        return ("--tuner_type", "full", *frozen)
    return (
        *("--tuner_type", "lora"),
        *("--lora_rank", str(stage.lora.rank)),
        *("--lora_alpha", str(stage.lora.alpha)),
        *("--lora_dropout", repr(stage.lora.dropout)),
        *("--target_modules", "all-linear"),
        *frozen,
    )


def _machine(stage: "Stage", hardware: Hardware, shape: ModelShape) -> Sequence[str]:
    """Return the arguments that this machine decides."""
    if not hardware.gpus:
        micro = max(n for n in range(1, _CPU_MICRO_BATCH + 1) if stage.batch_size % n == 0)
        return (
            *("--torch_dtype", "float32", "--bf16", "false", "--fp16", "false"),
            *("--attn_impl", "sdpa"),
            *("--use_cpu", "true"),
            *("--per_device_train_batch_size", str(micro)),
            *("--gradient_accumulation_steps", str(stage.batch_size // micro)),
            *("--per_device_eval_batch_size", str(_CPU_EVALUATION_BATCH)),
            *("--gradient_checkpointing", "false"),
            *("--dataloader_num_workers", "0"),
        )
    if hardware.capability < _OLDEST_CAPABILITY:
        raise BuildError(
            f"{hardware.describe()}: bfloat16 and flash attention need compute capability 8.0 "
            "(Ampere) or later; train on another GPU, or hide this one with CUDA_VISIBLE_DEVICES="
        )
    checkpointing = needs_checkpointing(stage, hardware, shape)
    return (
        *("--torch_dtype", "bfloat16", "--bf16", "true", "--fp16", "false"),
        *("--attn_impl", "flash_attention_2"),
        *("--packing", "true"),
        *("--padding_free", "true"),
        *("--packing_length", str(stage.sequence_length)),
        *("--packing_strategy", "sequential"),
        *("--packing_num_proc", "1"),
        *("--use_liger_kernel", "true"),
        *("--per_device_train_batch_size", "1"),
        *(
            "--gradient_accumulation_steps",
            str(stage.batch_size // gpus_used(hardware, stage.batch_size)),
        ),
        *("--per_device_eval_batch_size", "1"),
        *("--gradient_checkpointing", str(checkpointing).lower()),
        *("--dataloader_num_workers", str(_GPU_WORKERS)),
        *("--dataset_num_proc", str(_GPU_WORKERS)),
    )
