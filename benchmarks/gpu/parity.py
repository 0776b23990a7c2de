"""Do packed documents stay apart? A document's logits and gradients in a pack and alone, compared.

A small model of real head dimensions goes through ms-swift's own collator and the kernels that
training uses, three ways: each document alone, all of them in one pack, and each alone in float32
through PyTorch's reference code. The reference measures what bfloat16 rounding costs here, so the
tolerance is not a guess:

- The alone and the packed run each lie about as far from the reference as rounding takes them, so
  by the triangle inequality they lie at most twice as far from each other: ``FACTOR``. Logits are
  compared token by token (the largest relative error of a token's row), because a convolution that
  leaks touches three tokens of a document only; gradients parameter group by parameter group.
- The alone run's own distance from the reference is bounded as well, since both could be wrong in
  the same way (a miscompiled gradient): rounding to 8 bits is off by at most 2**-9 of the value,
  and roundings that are independent add up by their squares, so a row that passed through n of
  them is off by about 2**-9 * sqrt(n). A layer rounds about ``ROUNDINGS`` times on the way forward
  and twice as often on the way back; ``SLACK`` is for rows that cancel and are smaller than their
  terms.
"""

# ruff: noqa: TID251 - runs in the train toolchain

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FACTOR = 2.0
ROUNDING = 2.0**-9
ROUNDINGS = 16
SLACK = 4.0
# Shorter than the convolution, around the delta rule's chunk of 64, and of ordinary size.
LENGTHS = (300, 1, 3, 64, 65, 127, 128, 200, 2, 63, 410, 192, 37, 256)
GROUPS = ("embed_tokens", "linear_attn", "self_attn", "mlp", "norm")


@dataclass(frozen=True)
class Run:
    """Logits (documents' rows one after the other, float32) and gradients by parameter."""

    logits: Any
    gradients: dict[str, Any]


def documents(vocabulary: int, seed: int = 0) -> list[list[int]]:
    """Return documents of ``LENGTHS`` random tokens."""
    import random

    rng = random.Random(seed)
    return [[rng.randrange(vocabulary) for _ in range(length)] for length in LENGTHS]


def collate(template: Any, batch: list[list[int]]) -> dict[str, Any]:
    """Return a batch as ms-swift's collator makes it of tokenized rows."""
    rows = [
        {"input_ids": list(ids), "labels": [-100, *ids[1:]], "length": len(ids)} for ids in batch
    ]
    return dict(template.data_collator(rows))


def measure(model: Any, template: Any, batches: list[list[list[int]]]) -> Run:
    """Run the batches forward for logits, and forward and backward for the summed loss."""
    import torch

    logits: list[Any] = []
    gradients: dict[str, Any] = {}
    model.train()
    for batch in batches:
        inputs = collate(template, batch)
        inputs.pop("text_position_ids", None)
        labels = inputs["labels"].to(model.device)
        with torch.no_grad():
            _, ready = template.pre_forward_hook(model, (), {**inputs, "labels": labels})
            ready.pop("labels", None)
            model.eval()
            logits.append(model(**ready).logits[0].float())
            model.train()
        _, ready = template.pre_forward_hook(model, (), {**inputs, "labels": labels})
        trained = int((labels[:, 1:] != -100).sum())
        if not trained:
            continue
        # The mean over the batch's tokens; times their number it is the sum, whatever the batch.
        (model(**ready).loss * trained).backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                gradient = parameter.grad.float()
                gradients[name] = gradients[name] + gradient if name in gradients else gradient
        model.zero_grad(set_to_none=True)
    return Run(torch.cat(logits), gradients)


def row_error(one: Any, other: Any, reference: Any) -> float:
    """Return the largest relative distance of two runs' rows."""
    distance = (one - other).norm(dim=-1) / reference.norm(dim=-1)
    return float(distance.max())


def group_error(one: Run, other: Run, reference: Run, group: str) -> float:
    """Return the relative distance of two runs' gradients over a group's parameters."""
    names = [name for name in reference.gradients if group_of(name) == group]
    distance = sum(
        float((one.gradients[n] - other.gradients[n]).double().square().sum()) for n in names
    )
    size = sum(float(reference.gradients[n].double().square().sum()) for n in names)
    return math.sqrt(distance / size)


def group_of(name: str) -> str:
    """Return the group of ``GROUPS`` that a parameter belongs to."""
    return next((group for group in GROUPS if group in name), "norm")


def compare(packed: Run, alone: Run, reference: Run, layers: int) -> dict[str, Any]:
    """Return each distance with what it may be at most, and whether all keep to it."""
    forward = ROUNDING * math.sqrt(ROUNDINGS * layers) * SLACK
    backward = ROUNDING * math.sqrt(3 * ROUNDINGS * layers) * SLACK
    rounding = row_error(alone.logits, reference.logits, reference.logits)
    rows: dict[str, list[float]] = {
        "logits: alone from float32": [rounding, forward],
        "logits: packed from alone": [
            row_error(packed.logits, alone.logits, reference.logits),
            FACTOR * rounding,
        ],
    }
    for group in GROUPS:
        rounding = group_error(alone, reference, reference, group)
        rows[f"gradient of {group}: alone from float32"] = [rounding, backward]
        rows[f"gradient of {group}: packed from alone"] = [
            group_error(packed, alone, reference, group),
            FACTOR * rounding,
        ]
    wrong = [name for name, (found, most) in rows.items() if not found <= most]
    return {"rows": rows, "wrong": wrong, "ok": not wrong}


@contextlib.contextmanager
def replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    """Give a module another attribute for a while."""
    before = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, before)


def ignoring_bounds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel that takes a pack for one document: what leaked before ms-swift 4.4."""

    def leaking(*args: Any, **kwargs: Any) -> Any:
        kwargs["cu_seqlens"] = None
        return function(*args, **kwargs)

    return leaking


@contextlib.contextmanager
def reference_code() -> Iterator[None]:
    """Let transformers use its readable PyTorch code for linear attention."""
    from transformers.models.qwen3_5 import modeling_qwen3_5 as module

    with contextlib.ExitStack() as stack:
        for name in ("torch_chunk_gated_delta_rule", "causal_conv1d_fn"):
            plain = getattr(module, name)
            while hasattr(plain, "__wrapped__"):
                plain = plain.__wrapped__
            stack.enter_context(replaced(module, name, plain))
        yield


def load(folder: Path, dtype: Any, attention: str, liger: bool) -> tuple[Any, Any]:
    """Return the model and the training template as ms-swift loads them."""
    import torch
    from swift.model import get_model_processor
    from swift.template import get_template

    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    model, processor = get_model_processor(
        str(folder),
        torch_dtype=dtype,
        model_type="qwen3_5",
        attn_impl=attention,
        device_map=device,
        use_hf=True,
    )
    if liger:
        from liger_kernel.transformers.monkey_patch import _apply_liger_kernel_to_instance

        _apply_liger_kernel_to_instance(model=model)
    template = get_template(processor, template_type="qwen3_5", padding_free=True)
    template.set_mode("train")
    template.model = model
    model.config.text_config.use_cache = False
    model.requires_grad_(True)
    model.model.visual.requires_grad_(False)
    return model, template


def check(folder: Path) -> dict[str, Any]:
    """Compare on this machine's GPU with the kernels at hand; see the module's text."""
    import fla.modules.convolution
    import fla.ops.gated_delta_rule
    import torch
    from swift.model.models import qwen

    torch.backends.cuda.matmul.allow_tf32 = False
    times = {}
    started = time.time()
    model, template = load(folder, torch.float32, "sdpa", liger=False)
    texts = documents(model.config.text_config.vocab_size)
    with reference_code():
        reference = measure(model, template, [[text] for text in texts])
    layers = model.config.text_config.num_hidden_layers
    del model
    times["reference"] = time.time() - started
    model, template = load(folder, torch.bfloat16, "flash_attention_2", liger=True)
    started = time.time()
    packed = measure(model, template, [texts])
    times["packed"] = time.time() - started
    started = time.time()
    alone = measure(model, template, [[text] for text in texts])
    times["alone"] = time.time() - started
    result = compare(packed, alone, reference, layers)
    again = measure(model, template, [texts])
    result["repeat_equal"] = bool(torch.equal(again.logits, packed.logits))
    result["leaks"] = {}
    spots = {
        "delta rule": (fla.ops.gated_delta_rule, "chunk_gated_delta_rule"),
        "convolution": (fla.modules.convolution, "causal_conv1d"),
    }
    for label, (module, name) in spots.items():
        leaking = ignoring_bounds(getattr(module, name))
        with replaced(module, name, leaking), replaced(qwen, name, leaking):
            leaked = measure(model, template, [texts])
        found = compare(leaked, alone, reference, layers)
        result["leaks"][label] = {"caught": not found["ok"], "rows": found["rows"]}
    plain = template.packing_row
    with replaced(template, "packing_row", lambda rows: plain([_joined(rows)])):
        leaked = measure(model, template, [texts])
    found = compare(leaked, alone, reference, layers)
    result["leaks"]["whole pack"] = {"caught": not found["ok"], "rows": found["rows"]}
    return result | {"seconds": times, "layers": layers}


def _joined(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "input_ids": [token for row in rows for token in row["input_ids"]],
        "labels": [label for row in rows for label in row["labels"]],
        "length": sum(row["length"] for row in rows),
        "mm_token_type_ids": rows[0]["mm_token_type_ids"].new_zeros(sum(r["length"] for r in rows)),
    }


def main() -> None:
    """``parity.py MODEL OUT``: print the table, write it as JSON; 1 when documents do not agree."""
    from _compiling import in_parallel

    from cyrene_assets.programs import _kernels

    in_parallel()
    _kernels.use_on_gpu()
    result = check(Path(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
    for name, (found, most) in result["rows"].items():
        print(f"{name:<46} {found:.5f}  at most {most:.5f}  {'' if found <= most else 'WRONG'}")
    for label, leak in result["leaks"].items():
        print(f"documents leaking through the {label}: {'caught' if leak['caught'] else 'MISSED'}")
    sys.exit(0 if result["ok"] and all(leak["caught"] for leak in result["leaks"].values()) else 1)


if __name__ == "__main__":
    main()
