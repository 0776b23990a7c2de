"""The comparison itself, over flash-linear-attention's functions in plain PyTorch."""

import json
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.compute.attention import ONE_BY_ONE
from cyrene_assets.training.packing_parity import Verdict
from cyrene_assets.workers.common import pipes_program
from cyrene_assets.workers.common.pipes_program import Program
from cyrene_assets.workers.train.parity import one_by_one
from cyrene_assets.workers.train.parity_runs import LENGTHS
from workers.conftest import Ran, RunPython

PLAIN = Path(__file__).with_name("plain_fla")


def test_each_document_is_reported_before_it_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes_program, "PROGRESS_SECONDS", 0.0)
    sent: list[dict[str, Any]] = []
    batches = one_by_one(Program({}, sent.append), [[1, 2], [3]], "kernels are compiled")
    assert next(batches) == [[1, 2]]
    assert [(message["step"], message["total"]) for message in sent] == [(1, 2)]
    assert list(batches) == [[[3]]]
    assert sent[-1]["progress"].endswith("document 2 of 2 alone; kernels are compiled")


@pytest.mark.slow
@pytest.mark.parametrize(("leaky", "ok"), [("", True), ("delta rule", False)])
def test_a_kernel_that_ignores_the_bounds_of_documents_is_caught(
    base: Ran, run_python: RunPython, tmp_path: Path, leaky: str, ok: bool
) -> None:
    extras = {
        "base": str(base.out),
        "attention": ONE_BY_ONE.implementation,
        "work": str(tmp_path),
        "out": str(tmp_path),
    }
    (tmp_path / "extras.json").write_text(json.dumps(extras))
    printed = run_python(
        *("-m", "cyrene_assets.workers.train.parity", tmp_path / "extras.json"),
        paths=[PLAIN],
        LEAKY=leaky,
    )
    [result] = [line for line in printed.splitlines() if line.startswith('{"result"')]
    verdict = Verdict.from_dict(json.loads(result)["result"]["rows"])
    assert verdict.ok == ok, verdict.summary()
    assert all(row.name.endswith("packed from alone") for row in verdict.wrong)
    assert list(tmp_path.iterdir()) == [tmp_path / "extras.json"]
    # What takes minutes on a GPU says so while it does, and how far it is.
    said = [json.loads(row)["progress"] for row in printed.splitlines() if "progress" in row]
    compiling = "the first time on a GPU their kernels are compiled, which takes minutes"
    assert next(line for line in said if compiling in line).endswith(
        f"{len(LENGTHS)} documents in one pack; {compiling}"
    )
    assert said[-1].endswith(f"document {len(LENGTHS)} of {len(LENGTHS)} alone; {compiling}")
