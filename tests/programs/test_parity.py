"""The comparison itself, over flash-linear-attention's functions in plain PyTorch."""

import json
from pathlib import Path

import pytest

from cyrene_assets.parity import Verdict

from .conftest import Ran, RunPython

pytestmark = pytest.mark.slow

PLAIN = Path(__file__).with_name("plain_fla")


@pytest.mark.parametrize(("leaky", "ok"), [("", True), ("delta rule", False)])
def test_a_kernel_that_ignores_the_bounds_of_documents_is_caught(
    base: Ran, run_python: RunPython, tmp_path: Path, leaky: str, ok: bool
) -> None:
    extras = {"base": str(base.out), "work": str(tmp_path), "out": str(tmp_path)}
    (tmp_path / "extras.json").write_text(json.dumps(extras))
    printed = run_python(
        *("-m", "cyrene_assets.programs.parity", tmp_path / "extras.json"),
        paths=[PLAIN],
        LEAKY=leaky,
    )
    [result] = [line for line in printed.splitlines() if line.startswith('{"result"')]
    verdict = Verdict.from_dict(json.loads(result)["result"]["rows"])
    assert verdict.ok == ok, verdict.summary()
    assert all(row.name.endswith("packed from alone") for row in verdict.wrong)
    assert list(tmp_path.iterdir()) == [tmp_path / "extras.json"]
