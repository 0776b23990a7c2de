"""Run in the train toolchain: which weights of a model come out as compressed-tensors reads them.

The argument is the model's folder. Printed as JSON: how many modules are quantized, and which of
them the kernels for CPUs dequantize to other bits.
"""

# ruff: noqa: TID251 - runs in the train toolchain

import json
import sys
from pathlib import Path

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
from safetensors.torch import load_file

from cyrene_assets.workers.serve.cpu_kernels import block_dequantized, group_dequantized

SCALE = "weight_scale"

folder = Path(sys.argv[1])
config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]
(scheme,) = QuantizationConfig.model_validate(config).config_groups.values()
compressor = BaseCompressor.load_from_registry(config["format"])
weights = load_file(folder / "model.safetensors")
modules = [name.removesuffix(SCALE) for name in weights if name.endswith(f".{SCALE}")]
other = []
for module in modules:
    own = {k.removeprefix(module): v for k, v in weights.items() if k.startswith(module)}
    expected = compressor.decompress(own, scheme)["weight"]
    if "weight_packed" in own:
        found = group_dequantized(own["weight_packed"], own[SCALE], torch.bfloat16)
    else:
        found = block_dequantized(own["weight"], own[SCALE], (128, 128), torch.bfloat16)
    if not torch.equal(found, expected):
        other.append(module)
print(json.dumps({"modules": len(modules), "other": other}))
