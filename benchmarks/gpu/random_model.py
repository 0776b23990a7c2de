"""A `qwen3_5` checkpoint of given dimensions with random weights: what speed is measured on."""

# ruff: noqa: TID251 - runs in the train toolchain

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.files import write_json
from cyrene_assets.workers.train import tiny_model
from cyrene_assets.workers.train.weights import save_shard

VOCABULARY = 248_320
SHARD_BYTES = 2_000_000_000
FULL_PRECISION = ("linear_attn.A_log", "linear_attn.norm.weight")


@dataclass(frozen=True)
class Dimensions:
    """The text model's and the vision tower's dimensions; every fourth layer is full attention."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    linear_key_heads: int
    linear_value_heads: int
    vocabulary: int = VOCABULARY
    vision_depth: int = 24
    vision_hidden: int = 1024
    vision_intermediate: int = 4096


# As their published configurations have them; "small" has the head dimensions of 2B and 4B. 9B has
# an output layer of its own, which is not made here.
DIMENSIONS = {
    "0.8B": Dimensions(24, 1024, 3584, 8, 2, 16, 16, VOCABULARY, 12, 768, 3072),
    "4B": Dimensions(32, 2560, 9216, 16, 4, 16, 32),
    "2B": Dimensions(24, 2048, 6144, 8, 2, 16, 16),
    "small": Dimensions(8, 1024, 3072, 8, 2, 16, 32, 8320, 2, 128, 256),
}


def configuration(size: Dimensions, ids: dict[str, int]) -> dict[str, Any]:
    """Return the ``config.json`` of a model of this size over a tokenizer's added tokens."""
    config = tiny_model._config(ids | {"vocab_size": size.vocabulary})
    config["text_config"] |= {
        "head_dim": 256,
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "layer_types": [
            "full_attention" if i % 4 == 3 else "linear_attention" for i in range(size.layers)
        ],
        "linear_key_head_dim": 128,
        "linear_num_key_heads": size.linear_key_heads,
        "linear_num_value_heads": size.linear_value_heads,
        "linear_value_head_dim": 128,
        "max_position_embeddings": 262_144,
        "num_attention_heads": size.heads,
        "num_hidden_layers": size.layers,
        "num_key_value_heads": size.key_value_heads,
    }
    config["text_config"]["rope_parameters"]["mrope_section"] = [11, 11, 10]
    config["vision_config"] |= {
        "depth": size.vision_depth,
        "hidden_size": size.vision_hidden,
        "intermediate_size": size.vision_intermediate,
        "num_heads": {1024: 16, 768: 12}.get(size.vision_hidden, 2),
        "num_position_embeddings": 2304 if size.vision_hidden >= 768 else 64,
        "out_hidden_size": size.hidden,
    }
    return config


def write_model(size_name: str, tokenizer: Path, out: Path, seed: int = 0) -> int:
    """Write a checkpoint of ``DIMENSIONS[size_name]`` into ``out``; return its text parameters.

    ``tokenizer`` is a folder with the files of :func:`_tiny_tokenizer.write_tokenizer` and
    ``ids.json``, what it returned.
    """
    import torch
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    out.mkdir(parents=True)
    for file in tokenizer.iterdir():
        if file.name != "ids.json":
            (out / file.name).write_bytes(file.read_bytes())
    ids = json.loads((tokenizer / "ids.json").read_text(encoding="utf-8"))
    config = configuration(DIMENSIONS[size_name], ids)
    write_json(out / "config.json", config)
    write_json(out / "generation_config.json", {"eos_token_id": ids["<|endoftext|>"]})
    tiny_model._write_processor(out)
    with torch.device("meta"):
        model = Qwen3_5ForConditionalGeneration(Qwen3_5Config(**config))
    names = [name for name in model.state_dict() if name != "lm_head.weight"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(seed)
    shards: list[dict[str, Any]] = [{}]
    size = text = 0
    for key in sorted(names):
        shape = model.state_dict()[key].shape
        tensor = _draw(key, shape, generator, device)
        tensor = tensor.to(torch.float32 if key.endswith(FULL_PRECISION) else torch.bfloat16)
        if size > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][key] = tensor.cpu().contiguous()
        size += tensor.nbytes
        text += 0 if ".visual." in key else tensor.numel()
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_shard(shard, out / name)
        weight_map |= dict.fromkeys(shard, name)
    write_json(out / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    return text


def _draw(name: str, shape: Any, generator: Any, device: str) -> Any:
    import torch

    if name.endswith("A_log"):
        values = torch.rand(shape, generator=generator, device=device) * 15.99 + 0.01
        return values.log()
    if len(shape) > 1 or "bias" in name.rpartition(".")[2]:
        scale = 0.02 if len(shape) > 1 else 0.01
        return torch.randn(shape, generator=generator, device=device) * scale
    # Norms of the text model add one to their weight; the others are what they are.
    ones = "visual" in name or "linear_attn.norm" in name
    base = torch.ones(shape, device=device) if ones else torch.zeros(shape, device=device)
    return base + 0.1 * torch.randn(shape, generator=generator, device=device)


if __name__ == "__main__":
    import sys

    print(write_model(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
