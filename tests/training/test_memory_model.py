from dataclasses import replace
from itertools import pairwise

import pytest

from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.config.architecture import (
    QWEN_0_8B,
    QWEN_2B,
    QWEN_4B,
    QWEN_9B,
    TINY,
    Architecture,
)
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.training.memory_model import (
    MemoryPlan,
    choose_micro_batch,
    fits_in_free_memory,
    fits_in_memory,
    format_gib,
    loss_chunk,
    stored_bytes,
    training_memory,
)

SEED = load_recipe("seed-v2")
MASTERS = SEED.cpt.model_copy(update={"master_weights": True})


def gpu(gib: float, capability: tuple[int, int] = (9, 0)) -> Hardware:
    return Hardware((Gpu("G", round(gib * GIB), capability),))


# Measured on an NVIDIA H200 and not used for fitting (benchmarks/gpu/results, second and third).
PEAK_2B, PEAK_TWO_GPUS, PEAK_ROUNDING = 18_409_734_144, 112_601_271_808, 128_411_675_136
PEAK_SFT = 58_904_617_984
RTX_4070, RTX_5090, RTX_PRO_6000, H200 = gpu(12), gpu(31.8, (12, 0)), gpu(95.6, (12, 0)), gpu(140.4)


def test_a_small_model_needs_no_checkpointing_on_a_small_gpu() -> None:
    tiny = load_recipe("tiny").cpt
    assert not choose_micro_batch(tiny, RTX_4070, TINY, 1).checkpointing


@pytest.mark.parametrize(
    ("micro", "checkpointing", "peak"),
    [
        (1, True, 37_615_757_312),
        (1, False, 59_101_123_072),
        (2, False, 82_547_870_720),
        (4, False, 129_441_339_392),
    ],
)
def test_the_estimate_is_what_was_measured_on_an_h200(
    micro: int, checkpointing: bool, peak: int
) -> None:
    """Peaks of ``benchmarks/gpu/results``; the issue asks for 15%, the formula is nearer."""
    needed = training_memory(SEED.cpt, QWEN_4B, checkpointing=checkpointing, micro_batch=micro)
    assert needed == pytest.approx(peak, rel=0.02)


@pytest.mark.parametrize(("micro", "peak"), [(1, 108_639_525_376), (2, 137_026_182_144)])
def test_the_estimate_of_float32_masters_is_what_was_measured(micro: int, peak: int) -> None:
    """Of ``benchmarks/gpu/results/third.json``."""
    needed = training_memory(MASTERS, QWEN_4B, checkpointing=False, micro_batch=micro)
    assert needed == pytest.approx(peak, rel=0.02)


def test_lora_needs_a_fraction_of_the_memory() -> None:
    assert training_memory(SEED.sft, QWEN_4B, checkpointing=True) < 24 * GIB


def test_an_adapter_s_own_states_count() -> None:
    """Of rank 16 over every matrix 32 million parameters (4B), at 16 bytes each."""
    double = SEED.sft.lora.model_copy(update={"rank": 32}) if SEED.sft.lora else None
    larger = SEED.sft.model_copy(update={"lora": double})
    for checkpointing in (True, False):
        more = training_memory(larger, QWEN_4B, checkpointing=checkpointing) - training_memory(
            SEED.sft, QWEN_4B, checkpointing=checkpointing
        )
        assert more == pytest.approx(32_464_896 * 16, rel=0.02)


def test_float32_masters_cost_ten_bytes_more_a_parameter() -> None:
    plain = training_memory(SEED.cpt, QWEN_4B, checkpointing=True)
    more = training_memory(MASTERS, QWEN_4B, checkpointing=True) - plain
    # And two of the embedding's gradient, which the loss makes by itself.
    assert more == 10 * QWEN_4B.parameters + 2 * QWEN_4B.vocabulary * QWEN_4B.hidden_size
    adapter = SEED.sft.model_copy(update={"master_weights": True})
    assert training_memory(adapter, QWEN_4B, checkpointing=True) == training_memory(
        SEED.sft, QWEN_4B, checkpointing=True
    )


def test_small_layers_keep_more_for_their_hidden_size() -> None:
    """Linear attention of 0.8B has as many channels as that of 2B, at half the hidden size."""

    def kept(shape: Architecture) -> float:
        one, two = (
            training_memory(SEED.cpt, shape, checkpointing=False, micro_batch=micro)
            for micro in (1, 2)
        )
        chunks = loss_chunk(2 * 5120, shape) - loss_chunk(5120, shape)
        activations = two - one - chunks * shape.vocabulary * 2
        return activations / 5120 / shape.num_layers / shape.hidden_size

    assert kept(QWEN_4B) == pytest.approx(53.6, rel=0.001)
    assert [round(kept(shape)) for shape in (QWEN_0_8B, QWEN_2B, QWEN_9B)] == [63, 54, 54]


def test_beside_an_adapter_the_layer_that_is_computed_again_counts() -> None:
    """Not with full training, where the loss and the embedding's gradient are more."""

    def by_length(stage: Stage, *tokens: int) -> list[float]:
        needed = [
            training_memory(
                stage.model_copy(update={"sequence_length": length}), QWEN_4B, checkpointing=True
            )
            for length in tokens
        ]
        return [(b - a) / (tokens[1] - tokens[0]) for a, b in pairwise(needed)]

    # Two lengths with the same chunk of the loss.
    (full,), (adapter,) = by_length(SEED.cpt, 4200, 8000), by_length(SEED.sft, 4200, 8000)
    inputs = 2.4 * QWEN_4B.num_layers * QWEN_4B.hidden_size
    outputs = sum(matrix.outputs for matrix in QWEN_4B.matrices)
    assert full == pytest.approx(inputs)
    assert adapter == pytest.approx(inputs + 5.21 * outputs / QWEN_4B.num_layers, rel=0.5)
    assert adapter > full


def test_a_vision_tower_counts_as_it_is() -> None:
    small = replace(QWEN_4B, vision_tower=QWEN_0_8B.vision_tower)
    for stage in (SEED.cpt, SEED.sft):
        less = training_memory(stage, QWEN_4B, checkpointing=True) - training_memory(
            stage, small, checkpointing=True
        )
        assert less == 2 * (333_514_240 - small.vision_parameters)


def test_full_cpt_of_0_8b_fits_8_gb_beside_a_desktop() -> None:
    small = load_recipe("small")
    needed = training_memory(small.cpt, QWEN_0_8B, checkpointing=True)
    card = Gpu("RTX 4060", 8188 << 20, (8, 9), used=round(0.9 * GIB))
    assert fits_in_memory(needed, Hardware((card,)))
    assert fits_in_free_memory(needed, Hardware((card,)))
    assert fits_in_memory(needed, gpu(7.6))
    assert not fits_in_free_memory(needed, Hardware((replace(card, used=round(1.2 * GIB)),)))
    # The seeds' packs leave no room for a desktop.
    seeds = training_memory(SEED.cpt, QWEN_0_8B, checkpointing=True)
    assert not fits_in_memory(seeds, gpu(7.6))
    assert not fits_in_free_memory(seeds, Hardware((card,)))


def test_the_small_recipe_has_the_seeds_tokens_in_a_step() -> None:
    small = load_recipe("small")
    assert (
        small.cpt.batch_size * small.cpt.sequence_length
        == SEED.cpt.batch_size * SEED.cpt.sequence_length
    )
    changed = {"batch_size", "sequence_length"}
    assert small.cpt.model_dump(exclude=changed) == SEED.cpt.model_dump(exclude=changed)
    assert (small.sft, small.quantization, small.evaluation) == (
        *(SEED.sft, SEED.quantization, SEED.evaluation),
    )


def test_what_is_stored_is_every_checkpoint_and_what_training_works_with() -> None:
    architecture = SIZES["0.8B"].architecture
    stored = stored_bytes(architecture, SEED)
    # The published file has a header besides.
    assert stored["base_model"] == pytest.approx(1_746_942_600, rel=1e-4)
    assert stored["cpt_checkpoint"] == stored["base_model"] + 12 * 752_393_024
    assert stored["fp8_model"] < stored["merged_model"] == stored["base_model"]


@pytest.mark.parametrize(
    ("tokens", "chunk"), [(5120, 2048), (10240, 4096), (20480, 8192), (64, 16)]
)
def test_logits_in_memory_are_those_of_one_chunk(tokens: int, chunk: int) -> None:
    assert loss_chunk(tokens, QWEN_4B) == chunk


@pytest.mark.parametrize(
    ("hardware", "shape", "expected"),
    [
        (H200, QWEN_4B, MemoryPlan(4, checkpointing=False)),
        (RTX_PRO_6000, QWEN_4B, MemoryPlan(2, checkpointing=False)),
        (RTX_5090, QWEN_2B, MemoryPlan(1, checkpointing=True)),
        (RTX_4070, QWEN_4B, MemoryPlan(1, checkpointing=True)),
    ],
)
def test_the_fastest_way_that_fits(
    hardware: Hardware, shape: Architecture, expected: MemoryPlan
) -> None:
    assert choose_micro_batch(SEED.cpt, hardware, shape, 1) == expected


@pytest.mark.parametrize("share", range(1, 13))
@pytest.mark.parametrize("devices", [1, 2])
def test_the_micro_batch_divides_a_gpus_share(share: int, devices: int) -> None:
    stage = SEED.cpt.model_copy(update={"batch_size": share * devices})
    assert share % choose_micro_batch(stage, H200, QWEN_4B, devices).micro_batch == 0


def test_adapters_keep_more_activations_than_full_training() -> None:
    """All three of the recipe's chat packs at a time ran out of an H200's memory."""
    assert choose_micro_batch(SEED.sft, H200, QWEN_4B, 1) == MemoryPlan(1, checkpointing=False)
    needed = training_memory(SEED.sft, QWEN_4B, checkpointing=False, micro_batch=3)
    assert not fits_in_memory(needed, H200)


@pytest.mark.parametrize(
    ("shape", "micro", "checkpointing", "devices", "peak"),
    [
        (QWEN_2B, 1, True, 1, PEAK_2B),
        (QWEN_4B, 3, False, 2, PEAK_TWO_GPUS),
        (QWEN_4B, 4, False, 1, PEAK_ROUNDING),
    ],
)
def test_the_estimate_holds_for_trainings_it_was_not_fitted_to(
    shape: Architecture, micro: int, checkpointing: bool, devices: int, peak: int
) -> None:
    needed = training_memory(
        SEED.cpt, shape, checkpointing=checkpointing, micro_batch=micro, devices=devices
    )
    assert needed == pytest.approx(peak, rel=0.15)


def test_the_estimate_of_an_adapter_holds_for_what_was_measured() -> None:
    needed = training_memory(SEED.sft, QWEN_4B, checkpointing=False)
    assert needed == pytest.approx(PEAK_SFT, rel=0.01)


def test_full_cpt_fits_the_gpus_that_the_sizes_are_for() -> None:
    assert fits_in_memory(training_memory(SEED.cpt, QWEN_4B, checkpointing=False), RTX_PRO_6000)
    assert fits_in_memory(training_memory(SEED.cpt, QWEN_2B, checkpointing=True), RTX_5090)
    needed = training_memory(SEED.cpt, QWEN_4B, checkpointing=True)
    assert not fits_in_memory(needed, RTX_5090)
    assert format_gib(needed) == "35 GiB"
