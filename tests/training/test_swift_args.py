import math
from pathlib import Path

import pytest

from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.config.architecture import QWEN_4B, Architecture
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.config.trackers import report_environment
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.training.batch_plan import (
    ROUNDING_OPTIMIZER,
    optimizer_steps,
    plan_batch,
    uses_packing,
)
from cyrene_assets.training.swift_args import (
    CPU_ENV,
    KEEP_STEP,
    OFFLINE_ENV,
    PLUGIN,
    VALIDATION,
    Data,
    StageCommand,
    evaluation_share,
    merge_command,
    precision,
    program_environment,
    training_environment,
)
from cyrene_assets.utils.errors import BuildError

CPU = Hardware()
H200 = Hardware((Gpu("NVIDIA H200", 141 * GIB, (9, 0), "GPU-0"),))
RTX_5090 = Hardware((Gpu("NVIDIA GeForce RTX 5090", 32 * GIB, (12, 0), "GPU-0"),))
RTX_PRO_6000 = Hardware((Gpu("NVIDIA RTX PRO 6000", 96 * GIB, (12, 0), "GPU-0"),))
RTX_4070 = Hardware((Gpu("NVIDIA GeForce RTX 4070", 12 * GIB, (8, 9), "GPU-0"),))
TURING = Hardware((Gpu("NVIDIA GeForce RTX 2080 Ti", 11 * GIB, (7, 5), "GPU-0"),))
TWO = Hardware(tuple(Gpu("NVIDIA H200", 141 * GIB, (9, 0), f"GPU-{i}") for i in range(2)))

SEED = load_recipe("seed-v2")
DATA = Data.of(Path("/data"))


def options(command: list[str]) -> dict[str, str]:
    """Return the options of a command; every option has one value and stands once."""
    names, values = command[2::2], command[3::2]
    assert len(names) == len(values) == len(set(names))
    assert all(name.startswith("--") for name in names)
    return {name.removeprefix("--"): value for name, value in zip(names, values, strict=True)}


def cpt(
    hardware: Hardware, stage: Stage = SEED.cpt, architecture: Architecture = QWEN_4B
) -> dict[str, str]:
    command = StageCommand(
        stage, hardware, model=Path("/m"), data=DATA, work=Path("/w"), architecture=architecture
    ).pretrain()
    assert command[:2] == ["swift", "pt"]
    return options(command)


def sft(hardware: Hardware, stage: Stage = SEED.sft) -> dict[str, str]:
    command = StageCommand(
        stage, hardware, model=Path("/m"), data=DATA, work=Path("/w"), architecture=QWEN_4B
    ).finetune()
    assert command[:2] == ["swift", "sft"]
    return options(command)


@pytest.mark.parametrize("hardware", [CPU, H200, TWO])
def test_numbers_of_the_recipe_reach_the_command(hardware: Hardware) -> None:
    given = cpt(hardware)
    assert given["tuner_type"] == "full"
    assert float(given["learning_rate"]) == 2e-5
    assert given["lr_scheduler_type"] == "cosine_with_min_lr"
    assert given["lr_scheduler_kwargs"] == '{"min_lr": 2e-06}'
    assert float(given["warmup_ratio"]) == 0.1
    assert float(given["weight_decay"]) == 0.1
    assert float(given["adam_beta1"]) == 0.9
    assert float(given["adam_beta2"]) == 0.95
    assert float(given["adam_epsilon"]) == 1e-8
    assert float(given["max_grad_norm"]) == 1.0
    assert given["max_length"] == "5120"
    assert given["seed"] == given["data_seed"] == "42"
    assert "neftune_noise_alpha" not in given


@pytest.mark.parametrize("hardware", [CPU, H200])
def test_one_epoch_in_the_order_of_the_file_and_nothing_split_off(hardware: Hardware) -> None:
    given = cpt(hardware)
    assert given["num_train_epochs"] == "1"
    assert given["dataset_shuffle"] == given["train_dataloader_shuffle"] == "false"
    assert given["split_dataset_ratio"] == "0"
    assert given["cached_dataset"] == "/data/cached/train"
    assert given["cached_val_dataset"] == "/data/cached/validation"
    assert not {"dataset", "val_dataset"} & given.keys()
    assert given["load_from_cache_file"] == "false"


def test_evaluations_are_evenly_spaced_and_begin_before_training() -> None:
    given = cpt(H200)
    assert given["eval_on_start"] == "true"
    assert given["eval_steps"] == given["save_steps"] == repr(1 / 9)
    assert given["logging_steps"] == "1"
    assert optimizer_steps(10944, plan_batch(H200, 24)) == 456
    # As transformers turns a share of the steps into an interval.
    assert math.ceil(456 * float(given["eval_steps"])) == 51


@pytest.mark.parametrize("evaluations", [1, 2, 3, 5, 9, 10])
def test_there_are_as_many_evaluations_as_the_recipe_says(evaluations: int) -> None:
    share = evaluation_share(evaluations)
    assert 0 < share < 1
    for steps in range(evaluations, 3000):
        interval = math.ceil(steps * share)
        assert math.ceil(steps / interval) <= evaluations
        assert abs(interval - steps / evaluations) <= 1


def test_cpu_trains_unpacked_in_float32() -> None:
    given = cpt(CPU)
    assert given["torch_dtype"] == "float32"
    assert given["bf16"] == given["fp16"] == "false"
    assert given["attn_impl"] == "sdpa"
    assert given["dataloader_num_workers"] == "0"
    assert "packing" not in given
    assert "use_liger_kernel" not in given
    assert not uses_packing(CPU)


@pytest.mark.parametrize("hardware", [H200, RTX_5090, RTX_PRO_6000, RTX_4070, TWO])
def test_gpus_pack_in_bfloat16_with_torchs_attention(hardware: Hardware) -> None:
    given = cpt(hardware)
    assert given["torch_dtype"] == "bfloat16"
    assert given["bf16"] == "true"
    assert given["attn_impl"] == "cyrene_varlen"
    assert given["packing"] == given["padding_free"] == "true"
    assert given["packing_length"] == "5120"
    assert given["packing_strategy"] == "sequential"
    assert given["packing_num_proc"] == "1"
    assert given["use_liger_kernel"] == "true"
    assert uses_packing(hardware)


def test_gpus_before_ampere_are_refused() -> None:
    with pytest.raises(BuildError, match=r"RTX 2080 Ti.*8\.0"):
        cpt(TURING)


@pytest.mark.parametrize(
    ("hardware", "checkpointing"),
    [(H200, False), (TWO, False), (RTX_PRO_6000, False), (RTX_5090, True), (RTX_4070, True)],
)
def test_activations_are_recomputed_unless_memory_is_ample(
    hardware: Hardware, checkpointing: bool
) -> None:
    assert cpt(hardware)["gradient_checkpointing"] == str(checkpointing).lower()


def test_bfloat16_weights_are_rounded_by_chance() -> None:
    given = cpt(H200)
    assert (given["torch_dtype"], given["optimizer"]) == ("bfloat16", ROUNDING_OPTIMIZER)
    assert "optimizer" not in cpt(CPU)
    assert "optimizer" not in sft(H200)


def test_master_weights_are_in_float32_and_need_no_rounding() -> None:
    given = cpt(H200, SEED.cpt.model_copy(update={"master_weights": True}))
    assert (given["torch_dtype"], given["bf16"]) == ("float32", "true")
    assert "optimizer" not in given
    assert int(given["per_device_train_batch_size"]) < int(cpt(H200)["per_device_train_batch_size"])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["swift", "pt", "--tuner_type", "full", "--optimizer", ROUNDING_OPTIMIZER], "by chance"),
        (["swift", "pt", "--tuner_type", "full"], "weights and moments in float32"),
        (["swift", "sft", "--tuner_type", "lora"], "the adapter in float32"),
    ],
)
def test_what_weights_are_kept_in_is_said(command: list[str], said: str) -> None:
    assert said in precision(command)


def test_cpt_may_train_an_adapter() -> None:
    lora = SEED.sft.lora
    given = cpt(H200, SEED.cpt.model_copy(update={"tuner": "lora", "lora": lora}))
    assert (given["tuner_type"], given["lora_rank"]) == ("lora", "16")
    assert given["max_length"] == "5120"


def test_lora_command() -> None:
    given = sft(RTX_5090)
    assert given["tuner_type"] == "lora"
    assert (given["lora_rank"], given["lora_alpha"], given["lora_dropout"]) == ("16", "32", "0.01")
    assert given["target_modules"] == "all-linear"
    assert "neftune_noise_alpha" not in given
    assert sft(RTX_5090, load_recipe("seed-v1").sft)["neftune_noise_alpha"] == "5.0"


@pytest.mark.parametrize("given", [cpt(CPU), sft(CPU), cpt(H200), sft(H200)])
def test_vision_is_frozen_and_text_is_not(given: dict[str, str]) -> None:
    assert given["freeze_llm"] == "false"
    assert given["freeze_vit"] == given["freeze_aligner"] == "true"


def test_fine_tuning_renders_as_serving_does() -> None:
    given = sft(H200)
    assert given["enable_thinking"] == given["preserve_thinking"] == "false"
    assert given["add_non_thinking_prefix"] == "false"


@pytest.mark.parametrize("given", [cpt(CPU), sft(H200)])
def test_no_code_from_models_and_nothing_sent_anywhere(given: dict[str, str]) -> None:
    assert Path(given["external_plugins"]) == PLUGIN
    assert PLUGIN.is_file()
    assert given["report_to"] == "none"
    assert given["check_model"] == "false"
    assert OFFLINE_ENV["HF_HUB_OFFLINE"] == OFFLINE_ENV["DO_NOT_TRACK"] == "1"


def test_output_goes_to_the_work_folder_without_a_version() -> None:
    given = cpt(CPU)
    assert given["output_dir"] == "/w/run"
    assert given["add_version"] == "false"


def test_what_the_plugin_is_told() -> None:
    environment = training_environment(H200, 24, DATA, keep_step=304)
    assert environment[KEEP_STEP] == "304"
    assert environment[VALIDATION] == "/data/validation"
    assert KEEP_STEP not in training_environment(H200, 24, DATA)
    assert cpt(H200)["callbacks"] == "cyrene"


def test_environment_of_several_gpus() -> None:
    environment = training_environment(TWO, 24, DATA)
    assert environment["NPROC_PER_NODE"] == "2"
    assert environment["CUDA_VISIBLE_DEVICES"] == "GPU-0,GPU-1"
    assert "NPROC_PER_NODE" not in training_environment(TWO, 3, DATA)
    assert training_environment(TWO, 3, DATA)["CUDA_VISIBLE_DEVICES"] == "GPU-0"


def test_environment_of_the_cpu_has_no_spinning_threads() -> None:
    assert training_environment(CPU, 24, DATA)["OMP_WAIT_POLICY"] == "passive"


def test_reports_go_where_the_project_says_and_nowhere_else() -> None:
    command = StageCommand(
        SEED.cpt,
        H200,
        model=Path("/m"),
        data=DATA,
        work=Path("/home/work/cpt_checkpoint/4B/f1"),
        architecture=QWEN_4B,
        report_to=("wandb", "swanlab"),
    ).pretrain()
    at = command.index("--report_to")
    name = "cpt_checkpoint/4B/f1"
    assert command[at + 1 : at + 9] == [
        *("wandb", "swanlab", "--run_name", name),
        *("--swanlab_project", "cyrene", "--swanlab_exp_name", name),
    ]
    assert "run_name" not in cpt(H200)
    told = report_environment(("wandb",), Path("/w"))
    assert (told["WANDB_DIR"], told["SWANLAB_LOG_DIR"]) == ("/w", "/w/swanlog")
    assert report_environment((), Path("/w")) == {}
    assert program_environment((), H200) == OFFLINE_ENV
    assert program_environment((), CPU) == OFFLINE_ENV | CPU_ENV
    assert program_environment(("swanlab",), H200)["WANDB_MODE"] == "disabled"
    assert "WANDB_MODE" not in program_environment(("wandb",), H200)
    assert program_environment(("wandb",), H200)["HF_HUB_OFFLINE"] == "1"


def test_merge_command() -> None:
    command = merge_command(H200, model=Path("/m"), adapter=Path("/a"), out=Path("/w/run"))
    assert command[:2] == ["swift", "export"]
    given = options(command)
    assert (given["model"], given["adapters"], given["merge_lora"]) == ("/m", "/a", "true")
    assert given["output_dir"] == "/w/run"
    assert given["device_map"] == "auto"
    cpu = options(merge_command(CPU, model=Path("/m"), adapter=Path("/a"), out=Path("/w")))
    assert cpu["device_map"] == "cpu"
