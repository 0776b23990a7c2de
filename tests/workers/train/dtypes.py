"""Run in the train toolchain: what an adapter under autocast computes, printed as JSON."""

# ruff: noqa: TID251 - runs in the train toolchain

import json
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5VisionConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5VisionModel

from cyrene_assets.workers.train.autocast import adapt_to_autocast


def adapted() -> Any:
    """Return a bfloat16 layer with an adapter in float32 whose second matrix is not zero."""
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Linear(48, 32)).bfloat16()
    made = get_peft_model(plain, LoraConfig(r=4, target_modules=["0"], lora_dropout=0.0))
    for name, weight in made.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn_like(weight)
    return made


def computed(model: Any) -> list[Any]:
    """Return the output and all gradients."""
    rows = torch.randn(8, 48, generator=torch.Generator().manual_seed(1)).bfloat16()
    rows.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(rows)
        out.float().square().sum().backward()
    return [out, rows.grad, *(w.grad for w in model.parameters() if w.requires_grad)]


as_it_comes, suited = adapted(), adapted()
adapt_to_autocast(suited)
inputs: list[str] = []
suited.base_model.model[0].lora_A.default.register_forward_pre_hook(
    lambda _, given: inputs.append(str(given[0].dtype))
)
before, after = computed(as_it_comes), computed(suited)
vision = Qwen3_5VisionModel(
    Qwen3_5VisionConfig(
        depth=1, hidden_size=32, intermediate_size=32, num_heads=2, num_position_embeddings=16
    )
)
adapt_to_autocast(torch.nn.Sequential(vision))
print(
    json.dumps(
        {
            "equal": all(torch.equal(a, b) for a, b in zip(before, after, strict=True)),
            "gradients": len(before) - 1,
            "adapter_dtypes": sorted({str(w.dtype) for w in suited.parameters()}),
            "adapter_input": inputs,
            "vision": sorted({str(w.dtype) for w in vision.parameters()}),
        }
    )
)
