import pytest

from cyrene_assets.hardware import GIB, Gpu, Hardware
from cyrene_assets.memory import ModelShape, needs_checkpointing, training_memory
from cyrene_assets.recipe import load_recipe

SEED = load_recipe("seed-v2")
QWEN_4B = ModelShape(4_205_000_000, 32, 2560)
TINY = ModelShape(4_400_000, 4, 256)
RTX_4070 = Hardware((Gpu("NVIDIA GeForce RTX 4070", 12 * GIB, (8, 9)),))


def test_a_small_model_needs_no_checkpointing_on_a_small_gpu() -> None:
    assert not needs_checkpointing(load_recipe("tiny").cpt, RTX_4070, TINY)


def test_memory_estimate_matches_what_was_measured() -> None:
    """Peak memory of Qwen3.5-4B on one H200: 43 GiB with checkpointing, 125 GiB without."""
    with_it = training_memory(SEED.cpt, QWEN_4B, checkpointing=True) / GIB
    without = training_memory(SEED.cpt, QWEN_4B, checkpointing=False) / GIB
    assert with_it == pytest.approx(43, rel=0.1)
    assert without == pytest.approx(125, rel=0.1)


def test_lora_needs_a_fraction_of_the_memory() -> None:
    assert training_memory(SEED.sft, QWEN_4B, checkpointing=True) < 24 * GIB
