"""From a recipe's stage and a machine to the arguments of ms-swift: pure functions, no torch.

The recipe says what is trained; the machine decides only how
(:mod:`cyrene_assets.training.batch_plan`). ``swift pt`` and ``swift sft`` see one epoch of the
packed set in its own order, because the passes of a recipe are already in it.

The vision tower and its projection are frozen and get no adapters: ms-swift's default for
multimodal models, spelled out in every command. Everything else is trained.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cyrene_assets.compute.attention import TORCH, Attention
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config.architecture import Architecture
from cyrene_assets.config.trackers import report_options
from cyrene_assets.training.batch_plan import ROUNDING_OPTIMIZER, machine_arguments, training_gpus
from cyrene_assets.training.warmup import warmup_ratio

if TYPE_CHECKING:
    from cyrene_assets.config.training_stage import Stage

PLUGIN = Path(__file__).parents[1] / "workers" / "train" / "plugin" / "swift_plugin.py"
RUN_FOLDER = "run"
# Of a CPT that trains an adapter: the chosen one, and the model that it is merged into.
ADAPTER_FOLDER, MERGED_FOLDER = "adapter", "merged"
# What the plugin found of the prompts, in the run's folder.
PROMPTS = "prompts.json"
# What the plugin is told: the step at which a pass ends, the folder of ``<language>.jsonl``, and
# that of the training rows, as ``--cached_dataset`` has it.
KEEP_STEP = "CYRENE_KEEP_STEP"
VALIDATION = "CYRENE_VALIDATION"
TRAINED = "CYRENE_TRAINED"

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


# Settings that ms-swift calls as the recipe does.
_SAME_NAME = ("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm")
# A share of the steps must be under 1; at this one the only evaluation is that of the last step.
_LARGEST_SHARE = 0.9999999


@dataclass(frozen=True)
class Data:
    """A stage's data, as the packed sets have them.

    ``train`` and ``validation`` are folders that ``--cached_dataset`` reads, ``languages`` that of
    the validation rows by language, ``<language>.jsonl``.
    """

    train: Path
    validation: Path
    languages: Path

    @classmethod
    def of(cls, packed: Path) -> Self:
        """Return the data of a packed set's folder."""
        cached = packed / "cached"
        return cls(cached / "train", cached / "validation", packed / "validation")


@dataclass(frozen=True)
class StageCommand:
    """A stage of a recipe on a machine, and what ``swift`` is told of it.

    Output goes to ``work / RUN_FOLDER``. ``attention`` is a GPU's: a CPU trains unpacked, with
    PyTorch's own. ``steps`` are the optimizer steps, None where they are not counted yet: few of
    them have no warm-up.
    """

    stage: "Stage"
    hardware: Hardware
    model: Path
    data: Data
    work: Path
    architecture: Architecture
    report_to: Sequence[str] = ()
    attention: Attention = TORCH
    steps: int | None = None

    def pretrain(self) -> list[str]:
        """Return the ``swift pt`` command of a CPT stage.

        Raises:
            BuildError: a GPU too old for bfloat16 and flash attention.
        """
        return ["swift", "pt", *self._arguments()]

    def finetune(self) -> list[str]:
        """Return the ``swift sft`` command of an SFT stage.

        Thinking is off as it is where the model serves, and no answer has a think block, the last
        one no more than earlier ones. So what stands before each answer is, byte for byte, what the
        served template (:func:`cyrene_assets.serving.chat_template.trained_template`) renders as
        its prompt.

        Raises:
            BuildError: a GPU too old for bfloat16 and flash attention.
        """
        return [
            *("swift", "sft"),
            *self._arguments(),
            *("--enable_thinking", "false"),
            *("--add_non_thinking_prefix", "false"),
            *("--preserve_thinking", "false"),
            *("--loss_scale", "default"),
        ]

    def _arguments(self) -> list[str]:
        stage, scheduler = self.stage, self.stage.lr_scheduler_kwargs
        share = repr(evaluation_share(stage.evaluations))
        return [
            *("--model", str(self.model)),
            *_MODEL,
            *_tuner(stage),
            *("--cached_dataset", str(self.data.train)),
            *("--cached_val_dataset", str(self.data.validation)),
            *("--split_dataset_ratio", "0"),
            *("--load_from_cache_file", "false"),
            *("--strict", "true"),
            *("--dataset_shuffle", "false"),
            *("--train_dataloader_shuffle", "false"),
            *("--max_length", str(stage.sequence_length)),
            *("--truncation_strategy", "right"),
            *("--num_train_epochs", "1"),
            *machine_arguments(stage, self.hardware, self.architecture, self.attention),
            *("--learning_rate", repr(stage.learning_rate)),
            *("--lr_scheduler_type", stage.lr_scheduler),
            *(("--lr_scheduler_kwargs", json.dumps(scheduler)) if scheduler else ()),
            *("--warmup_ratio", repr(warmup_ratio(stage, self.steps))),
            *("--optim", "adamw_torch_fused"),
            *(word for key in _SAME_NAME for word in (f"--{key}", repr(getattr(stage, key)))),
            *(("--neftune_noise_alpha", repr(stage.neftune_alpha)) if stage.neftune_alpha else ()),
            *("--seed", str(stage.seed)),
            *("--data_seed", str(stage.seed)),
            *("--eval_on_start", "true"),
            *("--eval_strategy", "steps", "--eval_steps", share),
            *("--save_strategy", "steps", "--save_steps", share),
            *("--logging_steps", "1"),
            *("--disable_tqdm", "true"),
            *report_options(self.report_to, self.work),
            *("--check_model", "false"),
            *("--add_version", "false"),
            *("--external_plugins", str(PLUGIN)),
            *("--callbacks", "cyrene"),
            *("--output_dir", str(self.work / RUN_FOLDER)),
        ]


def merge_command(hardware: Hardware, *, model: Path, adapter: Path, out: Path) -> list[str]:
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
        *("--output_dir", str(out)),
    ]


def training_environment(
    hardware: Hardware, batch_size: int, data: Data, keep_step: int | None = None
) -> dict[str, str]:
    """Return the environment variables that belong to a training command on this machine.

    ``keep_step`` is a step after which a checkpoint is kept whatever the interval.
    """
    environment = {VALIDATION: str(data.languages), TRAINED: str(data.train)}
    if not hardware.gpus:
        environment |= CPU_ENV
    if keep_step is not None:
        environment[KEEP_STEP] = str(keep_step)
    gpus = training_gpus(hardware, batch_size).gpus
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.uuid for gpu in gpus)
        environment["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"
    if len(gpus) > 1:
        environment["NPROC_PER_NODE"] = str(len(gpus))
    return environment


def program_environment(report_to: Sequence[str], hardware: Hardware) -> Mapping[str, str]:
    """Return the environment of a training program: no hub, and no report but those chosen."""
    offline = OFFLINE_ENV if hardware.gpus else OFFLINE_ENV | CPU_ENV
    return {k: v for k, v in offline.items() if k != "WANDB_MODE" or "wandb" not in report_to}


def precision(command: Sequence[str]) -> str:
    """Return, for a person, what a training command keeps trained weights in, and how."""
    if "lora" in command:
        return "the adapter in float32"
    if ROUNDING_OPTIMIZER in command:
        return "weights and moments in bfloat16, rounded up or down by chance"
    return "weights and moments in float32"


def evaluation_share(evaluations: int) -> float:
    """Return the interval of so many evaluations, as a share of the steps.

    Steps in between are ``ceil(steps * share)``; the last step is always evaluated as well.
    """
    return min(1 / evaluations, _LARGEST_SHARE)


_MODEL = ("--model_type", "qwen3_5", "--template", "qwen3_5", "--use_hf", "true")


def _tuner(stage: "Stage") -> Sequence[str]:
    frozen = ("--freeze_llm", "false", "--freeze_vit", "true", "--freeze_aligner", "true")
    if stage.lora is None:
        return ("--tuner_type", "full", *frozen)
    return (
        *("--tuner_type", "lora"),
        *("--lora_rank", str(stage.lora.rank)),
        *("--lora_alpha", str(stage.lora.alpha)),
        *("--lora_dropout", repr(stage.lora.dropout)),
        *("--target_modules", stage.lora.target_modules),
        *frozen,
    )
