import json
from typing import Any

import pytest

from cyrene_assets.compute.hardware import GIB, Gpu
from cyrene_assets.config.architecture import QWEN_4B
from cyrene_assets.serving import gpu_budget
from cyrene_assets.utils.errors import UserError

FP8, BF16 = round(5.54 * GIB), round(7.87 * GIB)
# What Qwen3.5-4B's configuration says of its layers.
CONFIG: dict[str, Any] = {
    "text_config": {
        "linear_num_key_heads": 16,
        "linear_key_head_dim": 128,
        "linear_num_value_heads": 32,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 8,
        "max_position_embeddings": 262_144,
    }
}


def model_of(weights: int) -> gpu_budget.ServingFootprint:
    return gpu_budget.ServingFootprint.of({"text_config": QWEN_4B.text_config}, weights)


def gpu(memory: float, used: float = 0.3) -> Gpu:
    return Gpu("RTX", round(memory * GIB), (8, 9), used=round(used * GIB))


def test_a_configuration_says_what_a_sequence_takes() -> None:
    model = gpu_budget.ServingFootprint.of(CONFIG, FP8)
    assert model == model_of(FP8)
    assert CONFIG["text_config"].items() <= QWEN_4B.text_config.items()
    assert (model.linear, model.full) == (24, 8)
    # 32 x 128 x 128 numbers in float32, and three columns of 8,192 channels in bfloat16.
    assert model.state == 2 * 2**20 + 49_152


def test_a_sequence_takes_whole_blocks() -> None:
    model = model_of(FP8)
    block = 528 * model.token * 8
    assert model.sequence(1) == model.sequence(528) == 4 * block
    assert model.sequence(529) == 5 * block
    assert model.sequence(8192) == 19 * block


def test_a_cache_holds_as_many_sequences_as_vllm_says() -> None:
    """VLLM 0.26 on a GPU, 4B dimensions: 17 GiB, 211.00 requests of 1,024 tokens at a time."""
    assert round(17 * GIB / model_of(FP8).sequence(1024), 1) == 211.0


@pytest.mark.parametrize(
    ("memory", "used", "weights", "context", "sequences"),
    [
        (12, 0.3, FP8, 8192, 14),
        (12, 1.5, FP8, 8192, 10),
        (12, 0.3, BF16, 8192, 6),
        (8, 0.3, FP8, 8192, 1),
        (8, 0.5, FP8, 4096, 1),
        (140, 0.5, BF16, 8192, 256),
    ],
)
def test_what_fits_a_card(
    memory: float, used: float, weights: int, context: int, sequences: int
) -> None:
    fit = gpu_budget.plan_gpu(gpu(memory, used), model_of(weights), 8192)
    assert (fit.context, fit.sequences) == (context, sequences)
    taken = fit.weights + fit.cache + GIB
    assert taken <= fit.share * memory * GIB + GIB / 100
    # vLLM finds its share free next to what others use and its own context.
    assert fit.share * memory + used <= memory - 0.74


def test_the_context_is_no_longer_than_the_model_knows() -> None:
    model = gpu_budget.ServingFootprint.of(
        {"text_config": {**CONFIG["text_config"], "max_position_embeddings": 4096}}, FP8
    )
    assert gpu_budget.plan_gpu(gpu(24), model, 8192).context == 4096
    assert gpu_budget.cpu_arguments(model, 8192)["max_model_len"] == 4096


def test_a_short_context_is_kept_where_it_is_wanted() -> None:
    assert gpu_budget.plan_gpu(gpu(12), model_of(FP8), 512).context == 512


@pytest.mark.parametrize(("memory", "used"), [(6, 0.3), (12, 6)])
def test_a_model_that_is_too_large_is_one_message(memory: float, used: float) -> None:
    with pytest.raises(UserError) as caught:
        gpu_budget.plan_gpu(gpu(memory, used), model_of(FP8), 8192)
    said = str(caught.value)
    assert "5.5 GiB needs about 7.4 GiB" in said
    assert f"{memory - used:.1f} of {memory:.1f} GiB are free on RTX" in said
    assert "W4A16" in said
    assert "\n" not in said


def test_the_sum_is_shown() -> None:
    shown = gpu_budget.plan_gpu(gpu(12), model_of(FP8), 8192).describe()
    assert shown == (
        "5.5 GiB of weights + 4.3 for 14 x 8,192 tokens + 1.0 to work with + 0.75 outside vLLM, "
        "of 11.7 GiB free"
    )


def test_arguments_are_json() -> None:
    model = model_of(FP8)
    on_gpu = gpu_budget.gpu_arguments(gpu_budget.plan_gpu(gpu(12), model, 8192), gpu(12))
    assert json.loads(json.dumps(on_gpu)) == on_gpu
    assert on_gpu["max_num_batched_tokens"] == 2048
    on_cpu = gpu_budget.cpu_arguments(model, 8192)
    assert on_cpu["enforce_eager"] is True
    assert on_cpu["kv_cache_memory_bytes"] >= 4 * model.sequence(8192)
    assert on_cpu["max_num_batched_tokens"] >= on_cpu["max_model_len"]


def test_fit_memory_of_a_model_that_main_memory_does_not_hold_is_refused() -> None:
    model = model_of(BF16)
    arguments = gpu_budget.cpu_arguments(model, 2048)
    gpu_budget.require_main_memory(model, arguments, 16 * GIB)
    gpu_budget.require_main_memory(model, arguments, None)
    with pytest.raises(UserError, match=r"7\.9 GiB in memory needs about .* there are 9\.0, swap"):
        gpu_budget.require_main_memory(model, arguments, 9 * GIB)
    # In FP8 it would have fitted.
    smaller = model_of(FP8)
    gpu_budget.require_main_memory(smaller, gpu_budget.cpu_arguments(smaller, 2048), 9 * GIB)
