"""No model folder that carries code or pickles reaches ms-swift, llm-compressor or vLLM."""

import json
import pickle
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_folders import write_checkpoint

from cyrene_assets.base_models import verification
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.workers.common.pipes_program import Program
from cyrene_assets.workers.serve import vllm_engine
from cyrene_assets.workers.train import base_model, quantize
from cyrene_assets.workers.train.swift_process import run_swift

from .conftest import RunProgram

_CODE = """
import pathlib
pathlib.Path({mark!r}).mkdir(exist_ok=True)
from transformers import PretrainedConfig
class TrapConfig(PretrainedConfig):
    model_type = "trap"
"""


class _Leaves:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (Path(self._mark), 0o777, False, True)


def remote_code(folder: Path, mark: Path, key: str = '"auto_map"') -> None:
    config = json.loads((folder / "config.json").read_text())
    named = json.dumps({"AutoConfig": "trap.TrapConfig"})
    text = json.dumps(config | {"model_type": "trap"})[:-1]
    (folder / "config.json").write_text(f"{text}, {key}: {named}}}")
    (folder / "trap.py").write_text(_CODE.format(mark=str(mark)))


def remote_code_elsewhere(folder: Path, mark: Path, key: str = '"auto_map"') -> None:
    """As a configuration may name another repository's module: no Python file lies here."""
    remote_code(folder, mark, key)
    (folder / "trap.py").unlink()


def in_disguise(folder: Path, mark: Path) -> None:
    remote_code_elsewhere(folder, mark, r'"auto\u005fmap"')


def in_the_tokenizer(folder: Path, mark: Path) -> None:
    named = {"deep": [{"auto_map": {"AutoTokenizer": ["trap.Trap", None]}}]}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))


def pickled(name: str) -> Callable[[Path, Path], None]:
    def write(folder: Path, mark: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(pickle.dumps({"weight": _Leaves(mark)}))

    return write


def arguments(folder: Path, mark: Path) -> None:
    """ms-swift takes arguments that it finds next to weights: modules to import are among them."""
    (folder / "plugin.txt").write_text(_CODE.format(mark=str(mark)))
    (folder / "args.json").write_text(json.dumps({"external_plugins": ["plugin.txt"]}))


def linked(folder: Path, mark: Path) -> None:
    pickled("weights")(folder.parent, mark)
    (folder / "weights").symlink_to(folder.parent / "weights")


TRAPS = [
    remote_code,
    remote_code_elsewhere,
    in_disguise,
    in_the_tokenizer,
    *map(pickled, ("pytorch_model.bin", "adapter_model.bin", "optimizer.pt", "inner/WEIGHTS.PTH")),
    arguments,
    linked,
]
Trap = Callable[[Path, Path], None]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture(params=TRAPS, ids=[trap.__name__ for trap in TRAPS])
def trap(request: pytest.FixtureRequest, tmp_path: Path, mark: Path) -> Path:
    folder = write_checkpoint(tmp_path / "model")
    request.param(folder, mark)
    return folder


def test_the_traps_would_leave_a_mark(tmp_path: Path, mark: Path) -> None:
    pickled("weights.bin")(tmp_path, mark)
    with (tmp_path / "weights.bin").open("rb") as file:
        pickle.load(file)
    assert mark.is_dir()
    mark.rmdir()
    remote_code(write_checkpoint(tmp_path / "model"), mark)
    with pytest.raises(ImportError):  # of transformers, in its second line
        runpy.run_path(str(tmp_path / "model" / "trap.py"))
    assert mark.is_dir()


def test_none_becomes_a_base_model(trap: Path, mark: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    extras = {"source": {"kind": "local", "path": str(trap)}, "out": str(out)}
    with pytest.raises(UserError):
        base_model.main(Program(extras, lambda _: None))
    assert list(out.iterdir()) == []
    with pytest.raises(BuildError):
        verification.verify(trap, verification.BaseDemands())
    assert not mark.exists()


@pytest.mark.parametrize("option", ["--model", "--adapters"])
def test_none_reaches_ms_swift(
    trap: Path, mark: Path, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: Any, **__: Any) -> None:
        raise AssertionError("ms-swift was started")

    monkeypatch.setattr(subprocess, "Popen", start)
    good = write_checkpoint(tmp_path / "good")
    folders = {"--model": good, "--adapters": good, option: trap}
    command = ["swift", "export", *(str(w) for pair in folders.items() for w in pair)]
    with pytest.raises(BuildError):
        run_swift(command, {})
    assert not mark.exists()


def test_none_reaches_llm_compressor_or_vllm(trap: Path, mark: Path, tmp_path: Path) -> None:
    extras = {"model": str(trap), "out": str(tmp_path / "out"), "work": str(tmp_path / "work")}
    quantizing = Program(extras | {"scheme": "FP8_BLOCK", "ignore": []}, lambda _: None)
    with pytest.raises(BuildError):
        quantize.main(quantizing)
    with pytest.raises(BuildError):
        vllm_engine.load(trap, {})
    assert not mark.exists()


def test_an_adapter_is_no_base_model(tmp_path: Path) -> None:
    """Libraries would load the model that it names instead."""
    folder = write_checkpoint(tmp_path / "model")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/somewhere"}')
    with pytest.raises(BuildError, match=r"adapter_config\.json: an adapter, not a model"):
        verification.verify(folder, verification.BaseDemands())


def test_what_no_library_reads_stays_behind(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    for name in ("notes.txt", "anything.json", "other.jinja", "LICENSE"):
        (folder / name).write_text("{}")
    out = tmp_path / "out"
    out.mkdir()
    extras = {"source": {"kind": "local", "path": str(folder)}, "out": str(out)}
    base_model.main(Program(extras, lambda _: None))
    assert {path.name for path in out.iterdir()} == {
        *("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
        *("preprocessor_config.json", "model.safetensors"),
    }


@pytest.mark.slow
def test_transformers_would_run_what_the_program_refuses(
    tmp_path: Path, mark: Path, run_program: RunProgram, toolchain_environment: dict[str, str]
) -> None:
    folder = write_checkpoint(tmp_path / "model")
    remote_code(folder, mark)
    source = {"kind": "local", "path": str(folder)}
    ran = run_program("base_model", expect_error=True, source=source, expect=None)
    assert "which would run code from the checkpoint" in (ran.error or "")
    assert not mark.exists()
    code = "import sys, transformers as t; t.AutoConfig.from_pretrained(sys.argv[1], {})"
    python = toolchain_environment["CYRENE_TRAIN_PYTHON"]
    trusting = code.format("trust_remote_code=True")
    subprocess.run([python, "-c", trusting, str(folder)], capture_output=True, check=False)
    assert mark.is_dir()
