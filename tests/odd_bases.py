"""Base models as people have them: the embedded one, changed as other tools leave theirs."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cyrene_assets.config.architecture import Architecture

HEAD, EMBEDDING = "lm_head.weight", "model.language_model.embed_tokens.weight"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
TEMPLATE = "chat_template.jinja"
_BYTES = {"F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1}
# name -> dtype, shape, the bytes.
Weights = dict[str, tuple[str, list[int], bytes]]


def read_weights(path: Path) -> Weights:
    """Return the tensors of a safetensors file."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    return {
        name: (
            entry["dtype"],
            entry["shape"],
            content[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]],
        )
        for name, entry in header.items()
    }


def write_weights(path: Path, weights: Weights) -> None:
    """Write tensors into a safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape, content) in weights.items():
        assert len(content) == _BYTES[dtype] * math.prod(shape)
        header[name] = {
            "dtype": dtype, "shape": shape, "data_offsets": [end, end + len(content)]
        }  # fmt: skip
        end += len(content)
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, _, content in weights.values():
            file.write(content)


def variant(base: Path, out: Path, *changes: Callable[[Path], None]) -> Path:
    """Copy a base model and change the copy."""
    shutil.copytree(base, out)
    for change in changes:
        change(out)
    return out


def with_head(folder: Path, flipped: int | None = None) -> None:
    """Store the output layer next to the embedding that it is tied to; flip a byte's lowest bit."""
    weights = read_weights(folder / SINGLE)
    dtype, shape, content = weights[EMBEDDING]
    if flipped is not None:
        changed = bytearray(content)
        changed[flipped] ^= 1
        content = bytes(changed)
    write_weights(folder / SINGLE, {HEAD: (dtype, shape, content), **weights})


def without(folder: Path, prefix: str) -> None:
    """Remove the tensors whose names begin like this."""
    weights = read_weights(folder / SINGLE)
    kept = {name: entry for name, entry in weights.items() if not name.startswith(prefix)}
    assert len(kept) < len(weights)
    write_weights(folder / SINGLE, kept)


def without_mtp(folder: Path) -> None:
    """Remove multi-token prediction, as transformers does on save."""
    without(folder, "mtp.")


def without_template(folder: Path) -> None:
    """Remove the chat template."""
    (folder / TEMPLATE).unlink()


def sharded(folder: Path, shards: int = 3) -> None:
    """Spread the weights over several files with an index."""
    weights = read_weights(folder / SINGLE)
    (folder / SINGLE).unlink()
    weight_map: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        own = dict(list(weights.items())[number::shards])
        write_weights(folder / file, own)
        weight_map |= dict.fromkeys(own, file)
    total = sum(len(content) for _, _, content in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index))


def edit_json(folder: Path, name: str, change: Mapping[str, Any]) -> None:
    """Set entries of a JSON file; a dotted key is one of an object within, None removes it."""
    path = folder / name
    content = json.loads(path.read_text(encoding="utf-8"))
    for key, value in change.items():
        *outer, last = key.split(".")
        inner = content
        for part in outer:
            inner = inner[part]
        if value is None:
            inner.pop(last, None)
        else:
            inner[last] = value
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


LAYOUT = """
import json, sys
import torch
from transformers import AutoConfig, Qwen3_5ForConditionalGeneration
with torch.device("meta"):
    model = Qwen3_5ForConditionalGeneration(AutoConfig.from_pretrained(sys.argv[1]))
tied = model.config.tie_word_embeddings
print("LAYOUT", json.dumps({n: list(t.shape) for n, t in model.state_dict().items()
                            if not (tied and n == "lm_head.weight")}))
"""


def of_dimensions(folder: Path, found: Architecture, run_code: Callable[[str, Path], str]) -> None:
    """Give a base other dimensions, with weights that are a hole in a sparse file.

    ``run_code`` runs Python code on a path under the train toolchain and returns what it prints.
    """
    (folder / SINGLE).unlink()
    text = {f"text_config.{key}": value for key, value in found.text_config.items()}
    tower = found.vision_tower
    vision = {
        "depth": tower.depth,
        "hidden_size": tower.hidden,
        "intermediate_size": tower.intermediate,
        "num_position_embeddings": tower.positions,
        "out_hidden_size": found.hidden_size,
    }
    outer = {f"vision_config.{key}": value for key, value in vision.items()}
    edit_json(folder, "config.json", {**text, **outer, "tie_word_embeddings": found.tied})
    said = run_code(LAYOUT, folder)
    line = next(line for line in said.splitlines() if line.startswith("LAYOUT "))
    header: dict[str, Any] = {}
    end = 0
    for name, shape in json.loads(line.removeprefix("LAYOUT ")).items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    content = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    with (folder / SINGLE).open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        file.truncate(8 + len(content) + end)
