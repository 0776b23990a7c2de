import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cyrene_assets.checkpoints.external_checkpoint import (
    link_model_files,
    model_files,
    validate_checkpoint,
)
from cyrene_assets.checkpoints.files import ARCHITECTURE
from cyrene_assets.utils.errors import UserError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that a training left: a model, and the state to resume from."""
    folder = tmp_path / "checkpoint-200"
    folder.mkdir()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(json.dumps({"architectures": [ARCHITECTURE]}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state_0.pth", "training_args.bin"):
        (folder / name).write_bytes(b"pickled")
    (folder / "trainer_state.json").write_text("{}")
    (folder / "args.json").write_text('{"external_plugins": ["evil.py"]}')
    return folder


TAKEN = ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"]


def test_a_training_s_checkpoint_is_a_model_without_its_state(model: Path, tmp_path: Path) -> None:
    validate_checkpoint(model)
    assert sorted(path.name for path in model_files(model)) == TAKEN
    link_model_files(model, tmp_path / "apart")
    assert sorted(path.name for path in (tmp_path / "apart").iterdir()) == TAKEN
    assert (tmp_path / "apart" / "model.safetensors").samefile(model / "model.safetensors")


def test_a_cache_of_links_becomes_a_folder_of_files(model: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in TAKEN:
        (snapshot / name).symlink_to(model / name)
    validate_checkpoint(snapshot)
    link_model_files(snapshot, tmp_path / "apart")
    assert not any(path.is_symlink() for path in (tmp_path / "apart").iterdir())


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def with_text(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(text)

    return write


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("config.json"), r"checkpoint-200 holds no model: there is no config\.json"),
        (without("tokenizer.json"), r"no tokenizer\.json: copy the tokenizer's files"),
        (without("chat_template.jinja"), r"no chat template: copy chat_template\.jinja"),
        (without("model.safetensors"), r"no weights as \*\.safetensors: pickles are not opened"),
        (with_text("modeling.py", "import os"), r"modeling\.py: code and pickled weights"),
        (with_text("pytorch_model.bin", "x"), r"pytorch_model\.bin: code and pickled weights"),
        (
            with_text("config.json", '{"auto_map": {"AutoModel": "modeling.M"}}'),
            r"config\.json: has an `auto_map`",
        ),
        (with_text("config.json", '{"architectures": ["Llama"]}'), r"\['Llama'\]; only Qwen3\.5"),
        (with_text("config.json", "{"), r"config\.json: not readable as JSON"),
        (with_text("model.safetensors", "short"), r"model\.safetensors: not a safetensors file"),
    ],
)
def test_what_cannot_be_asked_is_named_with_the_remedy(
    model: Path, change: Callable[[Path], None], message: str
) -> None:
    change(model)
    with pytest.raises(UserError, match=message):
        validate_checkpoint(model)


def test_pickled_weights_alone_are_named(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no weights .*, but pytorch_model\.bin: .*save the model"):
        validate_checkpoint(model)


def test_an_adapter_and_a_file_are_no_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds an adapter.*swift export .*--merge_lora true"):
        validate_checkpoint(tmp_path)
    (tmp_path / "model.gguf").write_text("x")
    with pytest.raises(UserError, match=r"model\.gguf is a file: give the folder"):
        validate_checkpoint(tmp_path / "model.gguf")


def test_a_template_may_stand_in_the_tokenizer_s_configuration(model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    (model / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    validate_checkpoint(model)
