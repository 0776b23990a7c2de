"""The table of a size's models: everything that knows them has the same ones."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from cyrene_assets.config.model_roles import ASSETS, EVALUATED, NAMES, ROLES, SPEAKING
from cyrene_assets.config.recipe import SHIPPED, RoleName, load_recipe
from cyrene_assets.definitions import defs
from cyrene_assets.evaluation.scoreboard import figures, table
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.project.project import RESERVED_NAMES


def test_roles_name_assets_that_there_are_in_the_order_of_their_making() -> None:
    defs()
    order = list(SPECS)
    assert set(ASSETS.values()) | set(EVALUATED) <= set(order)
    inputs = {key.asset for asset in EVALUATED[:1] for key in SPECS[asset].upstream("en|tiny")}
    assert "generations" in inputs
    assert {key.asset for key in SPECS["generations"].upstream("tiny")} >= set(ASSETS.values())
    assert set(SPEAKING) < set(NAMES)


def test_a_role_in_one_row_is_in_recipes_scores_pictures_and_reserved_names() -> None:
    assert [name for name in table._MODEL_RANKS if name != "real lines"] == list(NAMES)
    assert set(figures._STAGES) == set(NAMES)
    assert set(RESERVED_NAMES) == {*NAMES, "real lines"}
    assert len({role.marker for role in ROLES}) == len(ROLES)
    for path in SHIPPED.glob("*.yaml"):
        assert set(load_recipe(path.stem).evaluation.models) <= set(NAMES)


def test_role_of_a_recipe_that_is_none_is_refused_with_the_known_ones() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(RoleName)
    assert [adapter.validate_python(name) for name in NAMES] == list(NAMES)
    with pytest.raises(ValidationError, match="'fp16': give one of base, cpt, merged, fp8"):
        adapter.validate_python("fp16")
