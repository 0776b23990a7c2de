from pathlib import Path

import pytest

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config.architecture import TINY
from cyrene_assets.config.recipe import load_recipe, shipped_recipes
from cyrene_assets.training.swift_args import Data, StageCommand
from cyrene_assets.training.warmup import FEW_STEPS, few_steps, warmup_ratio

STAGE = load_recipe("seed-v2").sft


@pytest.mark.parametrize("name", shipped_recipes())
@pytest.mark.parametrize("steps", [None, 10, 57, 92, 456])
def test_warmup_of_many_steps_is_the_recipes(name: str, steps: int | None) -> None:
    recipe = load_recipe(name)
    assert warmup_ratio(recipe.cpt, steps) == recipe.cpt.warmup_ratio > 0
    assert warmup_ratio(recipe.sft, steps) == recipe.sft.warmup_ratio > 0


@pytest.mark.parametrize("steps", [1, 2, 5, 9])
def test_few_steps_have_no_warmup(steps: int) -> None:
    assert warmup_ratio(STAGE, steps) == 0


@pytest.mark.parametrize(("steps", "ratio"), [(None, "0.1"), (1, "0.0"), (9, "0.0"), (10, "0.1")])
def test_command_has_the_warmup_of_its_steps(steps: int | None, ratio: str) -> None:
    folder = Path("/m")
    told = StageCommand(
        STAGE,
        Hardware(),
        model=folder,
        data=Data.of(folder),
        work=folder,
        architecture=TINY,
        steps=steps,
    )
    for command in (told.pretrain(), told.finetune()):
        assert command[command.index("--warmup_ratio") + 1] == ratio


def test_few_steps_are_said_with_what_to_change() -> None:
    said = few_steps(STAGE, "sft", 1)
    assert said is not None
    assert said.startswith("only 1 optimizer step,")
    assert f"`sft.batch_size` in the recipe (it is {STAGE.batch_size})" in said
    assert "`sft.passes`" in said
    alone = few_steps(STAGE.model_copy(update={"batch_size": 1}), "cpt", 9)
    assert alone is not None
    assert "9 optimizer steps" in alone
    assert "batch_size" not in alone
    assert few_steps(STAGE, "sft", FEW_STEPS) is None
