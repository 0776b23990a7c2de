from pathlib import Path

import pytest

from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.config.architecture import QWEN_4B
from cyrene_assets.config.recipe import load_recipe, shipped_recipes
from cyrene_assets.training.batch_plan import (
    Batch,
    describe_devices,
    machine_arguments,
    num_gpus,
    optimizer_steps,
    plan_batch,
    plan_memory,
    training_gpus,
)
from cyrene_assets.training.swift_args import Data, training_environment


def machine(count: int, memory: int = 96) -> Hardware:
    return Hardware(tuple(Gpu("G", memory * GIB, (9, 0), f"GPU-{i}") for i in range(count)))


@pytest.mark.parametrize("count", range(9))
@pytest.mark.parametrize("name", shipped_recipes())
def test_the_batch_of_the_recipe_is_kept_everywhere(count: int, name: str) -> None:
    hardware = machine(count)
    for stage in (load_recipe(name).cpt, load_recipe(name).sft):
        batch, _ = plan_memory(stage, hardware, QWEN_4B)
        assert batch.effective == stage.batch_size
        words = list(machine_arguments(stage, hardware, QWEN_4B))
        given = dict(zip(words[::2], words[1::2], strict=True))
        assert given["--per_device_train_batch_size"] == str(batch.micro)
        assert given["--gradient_accumulation_steps"] == str(batch.accumulation)


@pytest.mark.parametrize(
    ("count", "batch", "used"),
    [(0, 24, 0), (1, 3, 1), (2, 24, 2), (2, 3, 1), (3, 4, 2), (8, 12, 6)],
)
def test_as_many_gpus_as_divide_the_batch(count: int, batch: int, used: int) -> None:
    assert num_gpus(machine(count), batch) == used
    assert plan_batch(machine(count), batch).devices == max(1, used)


@pytest.mark.parametrize(
    ("count", "memory", "batch"),
    [
        (1, 140, Batch(4, 6, 1)),
        (1, 96, Batch(2, 12, 1)),
        (2, 96, Batch(2, 6, 2)),
        (2, 140, Batch(3, 4, 2)),
    ],
)
def test_as_many_packs_at_a_time_as_fit(count: int, memory: int, batch: Batch) -> None:
    assert plan_memory(load_recipe("seed-v2").cpt, machine(count, memory), QWEN_4B)[0] == batch


def test_it_says_how_many_gpus_train_and_why_not_more() -> None:
    assert describe_devices(machine(2), 24) == machine(2).describe()
    assert describe_devices(machine(0), 24) == "no NVIDIA GPU: the CPU"
    said = describe_devices(machine(3), 4)
    assert said.startswith("2 of 3 GPUs, since a batch of 4 divides by 2 and by no more of them:")
    assert said.count("96 GiB") == 2


def test_of_unequal_gpus_the_largest_train() -> None:
    """A batch of 3 on two cards took the first, whatever it was."""
    small, large = Gpu("S", 8 * GIB, (8, 9), "GPU-s"), Gpu("L", 96 * GIB, (9, 0), "GPU-l")
    sft = load_recipe("seed-v2").sft
    for gpus in ((small, large), (large, small)):
        both = Hardware(gpus)
        assert training_gpus(both, 3).gpus == (large,)
        assert training_gpus(both, 4).gpus == gpus
        assert plan_memory(sft, both, QWEN_4B) == plan_memory(sft, Hardware((large,)), QWEN_4B)
        assert describe_devices(both, 3).endswith("L (96 GiB, sm_90)")
        files = Data.of(Path("/packed"))
        assert training_environment(both, 3, files)["CUDA_VISIBLE_DEVICES"] == "GPU-l"


def test_a_batch_says_how_it_is_made_up() -> None:
    assert Batch(1, 3, 4).describe() == "12 = micro-batch 1 x accumulation 3 x 4 devices"
    assert Batch(2, 4, 1).describe() == "8 = micro-batch 2 x accumulation 4 x 1 device"


@pytest.mark.parametrize(
    ("sequences", "batch", "steps"),
    [
        (10944, Batch(1, 24, 1), 456),
        (25, Batch(1, 24, 1), 2),
        # Each of two devices gets 12 of 25 sequences, which is one step.
        (25, Batch(1, 12, 2), 1),
        (26, Batch(1, 12, 2), 2),
        (7, Batch(2, 2, 1), 2),
    ],
)
def test_steps_are_counted_as_ms_swift_makes_them(sequences: int, batch: Batch, steps: int) -> None:
    assert optimizer_steps(sequences, batch) == steps
