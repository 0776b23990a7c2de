import json
from pathlib import Path
from typing import Any

import pytest

from workers.conftest import RunPython

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(run_python: RunPython) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run_python(Path(__file__).with_name("rounding.py")))
    return result


def test_steps_too_small_for_bfloat16_are_made_on_average(found: dict[str, Any]) -> None:
    assert found["moved_to_the_nearest"] == 0.0
    assert found["moved"] == pytest.approx(40 * 1e-5, rel=0.25)


def test_a_resumed_training_rounds_as_an_uninterrupted_one(found: dict[str, Any]) -> None:
    assert found["resumed_is_whole"]
    assert not found["another_seed_is_whole"]


def test_other_users_of_the_random_generator_notice_nothing(found: dict[str, Any]) -> None:
    assert found["generator_goes_on"]
