"""Checkpoint folders: their tensors, and what may lie in a checkpoint."""

import json
import shutil
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.blobs import blob_of
from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.checkpoints.safetensors import Tensor, tensors_of

# The one architecture that is trained and served.
ARCHITECTURE = "Qwen3_5ForConditionalGeneration"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "F8_E4M3": "float8_e4m3fn"}

CODE_AND_PICKLES = {
    *(".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".dill", ".joblib", ".npy", ".npz"),
    *(".py", ".pyc", ".pyd", ".pyx", ".so", ".dll", ".dylib", ".sh", ".h5", ".keras", ".msgpack"),
}
# Where ms-swift looks for arguments next to weights, modules to import among them.
_ARGUMENTS = "args.json"
# The files next to a model's weights that libraries read; others stay behind.
_SIDE_FILES = frozenset(
    {
        *("config.json", "generation_config.json", "configuration.json", "chat_template.json"),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja"),
        *("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json"),
    }
)


def tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of the checkpoint in ``folder``, by name, index and headers compared.

    Raises:
        CheckpointError: no safetensors file, a file or tensor that the index names is missing, or a
            tensor that the index does not name.
    """
    index = folder / INDEX
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in tensors_of(path).items():
            if name in found:
                raise CheckpointError(f"{path}: tensor {name} is also in {found[name].file}")
            found[name] = tensor
    if not found:
        raise CheckpointError(f"{folder}: no *.safetensors file with tensors in it")
    if index.is_file():
        weight_map = read_json(index).get("weight_map", {})
        wrong = [name for name, file in weight_map.items() if name not in found]
        wrong += [name for name in found if weight_map.get(name) != found[name].file]
        if wrong:
            raise CheckpointError(
                f"{index}: does not agree with the files next to it on {len(wrong)} tensors, first "
                f"{wrong[0]}; fetch the checkpoint again"
            )
    elif {tensor.file for tensor in found.values()} != {SINGLE}:
        raise CheckpointError(f"{folder}: several safetensors files and no {INDEX}")
    return found


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``.

    Raises:
        CheckpointError: missing, unreadable, or not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return value


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with a final newline."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def reject_unsafe_files(folder: Path) -> None:
    """Refuse links, code and pickles anywhere in ``folder``, and configurations that name code.

    The links of a snapshot in Hugging Face's cache to its own blobs are its files.

    Raises:
        CheckpointError: naming the file.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            blob_of(path, folder)
        if path.suffix.lower() in CODE_AND_PICKLES:
            raise CheckpointError(
                f"{path}: code and pickled weights are not accepted; use a checkpoint of "
                "safetensors and JSON files, without this file"
            )
        if path.name == _ARGUMENTS:
            raise CheckpointError(
                f"{path}: holds a tool's arguments, which may name modules to import; remove it"
            )
        if path.suffix.lower() == ".json":
            reject_auto_map(path)


def reject_auto_map(path: Path) -> None:
    """Refuse a JSON file that names code which a library would run.

    Raises:
        CheckpointError: it does, or cannot be read.
    """
    if _names_code(path):
        raise CheckpointError(
            f"{path}: has an `auto_map`, which would run code from the checkpoint; use a "
            "model that the library itself implements"
        )


def _names_code(path: Path) -> bool:
    """Return whether an object in a JSON file has the key ``auto_map``, however it is written."""

    def search(value: Any) -> bool:
        if isinstance(value, dict):
            return "auto_map" in value or any(search(inner) for inner in value.values())
        return isinstance(value, list) and any(search(inner) for inner in value)

    try:
        text = path.read_text(encoding="utf-8")
        # An escape can stand for any letter of the key.
        return ("auto_map" in text or "\\u" in text) and search(json.loads(text))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}") from error


def side_files(folder: Path) -> list[Path]:
    """Return the files next to the weights: configurations, tokenizer, template, processor."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name in _SIDE_FILES)


def model_files(folder: Path) -> list[Path]:
    """Return the files that make a model: the weights, their index, and the files next to them."""
    index = folder / INDEX
    return [
        *sorted(folder.glob("*.safetensors")),
        *([index] if index.is_file() else []),
        *side_files(folder),
    ]


def copy_side_files(base: Path, out: Path) -> None:
    """Copy the files next to the weights of ``base`` to ``out``, byte for byte."""
    for path in side_files(base):
        shutil.copyfile(path, out / path.name)


def require_architecture(path: Path) -> None:
    """Refuse a model that is not of the one architecture that is served.

    Raises:
        CheckpointError: it is another, or its configuration cannot be read.
    """
    architectures = read_json(path / "config.json").get("architectures")
    if architectures != [ARCHITECTURE]:
        raise CheckpointError(
            f"{path / 'config.json'}: architectures is {architectures!r}; only Qwen3.5 models "
            f"([{ARCHITECTURE!r}]) are served"
        )
