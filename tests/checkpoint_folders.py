"""Checkpoint folders of a few bytes, written without torch."""

import json
from pathlib import Path
from typing import Any

from cyrene_assets.base_models.chat_template import CHAT_TEMPLATE

SIZES = {"BF16": 2, "F32": 4, "F8_E4M3": 1}
HIDDEN, VOCABULARY, LAYERS = 4, 8, 2

Shapes = dict[str, tuple[str, tuple[int, ...]]]


def write_safetensors(path: Path, shapes: Shapes) -> None:
    """Write a safetensors file of zeros: name -> (dtype, shape)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in shapes.items():
        size = SIZES[dtype]
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


def base_shapes() -> Shapes:
    """Return the tensors of a miniature base model."""
    shapes: Shapes = {
        "model.language_model.embed_tokens.weight": ("BF16", (VOCABULARY, HIDDEN)),
        "mtp.fc.weight": ("BF16", (HIDDEN, 2 * HIDDEN)),
    }
    for layer in range(LAYERS):
        shapes[f"model.language_model.layers.{layer}.mlp.up_proj.weight"] = ("BF16", (8, HIDDEN))
        shapes[f"model.language_model.layers.{layer}.linear_attn.A_log"] = ("F32", (2,))
    return shapes


def write_checkpoint(folder: Path, shapes: Shapes | None = None, *, shards: int = 1) -> Path:
    """Write a complete miniature checkpoint, in one file or in several with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = base_shapes() if shapes is None else shapes
    text = {"hidden_size": HIDDEN, "vocab_size": VOCABULARY, "num_hidden_layers": LAYERS}
    text["tie_word_embeddings"] = True
    config = {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": "qwen3_5",
        "tie_word_embeddings": True,
        "text_config": text,
        "vision_config": {},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>"}')
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    (folder / "preprocessor_config.json").write_text("{}")
    if shards == 1:
        write_safetensors(folder / "model.safetensors", shapes)
        return folder
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        own = dict(list(shapes.items())[shard::shards])
        write_safetensors(folder / file, own)
        weight_map.update(dict.fromkeys(own, file))
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def _tokenizer() -> dict[str, Any]:
    """Return a tokenizer.json of the tokens that chats are made of, and a few letters."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    return {
        "version": "1.0",
        "added_tokens": [
            {
                **{"id": number, "content": token, "special": True},
                **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
            }
            for number, token in enumerate(special)
        ],
        "model": {
            "type": "WordLevel",
            "vocab": {token: number for number, token in enumerate((*special, "a", "b"))},
            "unk_token": "a",
        },
    }
