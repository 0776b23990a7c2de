import json
from pathlib import Path
from typing import Any

import pytest

from workers.conftest import RunPython

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(run_python: RunPython) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run_python(Path(__file__).with_name("dtypes.py")))
    return result


def test_an_adapter_computes_the_same_without_float32_copies_of_its_inputs(
    found: dict[str, Any],
) -> None:
    assert found["equal"]
    # Of the rows and of both of the adapter's matrices.
    assert found["gradients"] == 3
    assert found["adapter_input"] == ["torch.bfloat16"]
    assert "torch.float32" in found["adapter_dtypes"]


def test_the_vision_tower_is_bfloat16_again(found: dict[str, Any]) -> None:
    assert found["vision"] == ["torch.bfloat16"]
