from itertools import pairwise

import pytest

from cyrene_assets.config.model_sizes import SIZES, ModelSize, model_size
from cyrene_assets.config.recipe import load_recipe, shipped_recipes
from cyrene_assets.utils.errors import UserError

REAL = [size for size in SIZES.values() if size.instruct is not None]


def test_sizes_are_in_order() -> None:
    assert list(SIZES) == ["tiny", "0.8B", "2B", "4B", "9B"]
    counts = [size.parameters for size in SIZES.values()]
    assert counts == sorted(counts)


@pytest.mark.parametrize("size", REAL, ids=lambda size: size.name)
def test_a_size_is_called_after_its_repository_and_its_parameters(size: ModelSize) -> None:
    assert size.repository == f"Qwen/Qwen3.5-{size.name}-Base"
    # Names are round: 2B is 1.9 billion of text, 4B is 4.2.
    assert size.parameters / 1e9 == pytest.approx(float(size.name.removesuffix("B")), rel=0.07)


def test_no_size_is_taken_for_another() -> None:
    told = [tuple((size.expected or {}).items()) for size in REAL]
    assert len(set(told)) == len(REAL)
    ranges = sorted(size.parameter_range for size in REAL)
    for smaller, larger in pairwise(ranges):
        assert smaller.high < larger.low


@pytest.mark.parametrize("size", REAL, ids=lambda size: size.name)
def test_a_base_counts_with_and_without_vision_and_prediction(size: ModelSize) -> None:
    low, high = size.parameter_range
    assert low < size.parameters < size.parameters + size.architecture.untrained_parameters < high


def test_every_size_s_recipe_ships() -> None:
    assert {size.recipe for size in SIZES.values()} <= set(shipped_recipes())
    assert load_recipe(model_size("0.8B").recipe).name == "small"


def test_an_unknown_size_lists_those_there_are() -> None:
    with pytest.raises(UserError, match=r"unknown size '0.8': the sizes are tiny, 0.8B, 2B"):
        model_size("0.8")
    with pytest.raises(UserError, match="unknown size None"):
        model_size(None)
