"""Stages on a CPU in an environment for GPUs: fla is installed, and finds no driver."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workers.conftest import Ran

from .test_pretrain import Extras

StartProgram = Callable[[str, Path, dict[str, Any]], "subprocess.Popen[str]"]

_WITHOUT_DRIVER = """
def chunk_gated_delta_rule(*arguments, **named):
    raise RuntimeError("0 active drivers ([]). There should only be one.")


fused_recurrent_gated_delta_rule = chunk_gated_delta_rule
"""


@pytest.fixture
def fla_without_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have programs find a package `fla` whose kernels fail as Triton's do without a GPU."""
    package = tmp_path / "packages" / "fla"
    for folder in (package, package / "ops"):
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    (package / "ops" / "gated_delta_rule.py").write_text(_WITHOUT_DRIVER)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


@pytest.mark.slow
@pytest.mark.usefixtures("fla_without_driver")
def test_dry_pass_where_fla_finds_no_driver_uses_torch(
    base: Ran, start_program: StartProgram, tmp_path: Path
) -> None:
    process = start_program(
        "dry_pass",
        tmp_path,
        {"base": str(base.out), "work": str(tmp_path / "work"), "out": str(tmp_path)},
    )
    output, _ = process.communicate()
    assert process.returncode == 0, output[-3000:]
    assert "bit for bit" in output


@pytest.mark.slow
@pytest.mark.usefixtures("fla_without_driver")
def test_pretraining_where_fla_finds_no_driver_uses_torch(
    pretrain_extras: Extras, start_program: StartProgram, tmp_path: Path
) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    extras = {**pretrain_extras(work, evaluations=1), "out": str(out), "work": str(work)}
    process = start_program("pretrain", tmp_path, extras)
    output, _ = process.communicate()
    assert process.returncode == 0, output[-3000:]
    assert list(out.glob("*.safetensors"))
