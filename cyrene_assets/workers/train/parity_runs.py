"""Runs of a small model whose documents are packed, or alone.

See :mod:`cyrene_assets.training.packing_parity`.
"""

import contextlib
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.files import SINGLE, read_json, side_files, write_json
from cyrene_assets.training.packing_parity import LOGITS, Distances, Verdict, evaluate
from cyrene_assets.workers.train.weights import save_like_released

# Shorter than the convolution, around the delta rule's chunk of 64, and of ordinary size.
LENGTHS = (300, 1, 3, 64, 65, 127, 128, 200, 2, 63, 410, 192, 37, 256)
GROUPS = ("embed_tokens", "linear_attn", "self_attn", "mlp", "norm")
_LAYERS, _HIDDEN, _INTERMEDIATE, _VOCABULARY = 8, 1024, 3072, 8192
# Of the decay of the linear attention's state per token, before its softplus.
_LOG_DECAYS = (-7.0, 0.0)


@dataclass(frozen=True)
class Run:
    """Logits (documents' rows one after the other, float32) and gradients by parameter."""

    logits: Any
    gradients: dict[str, Any]


def write_small(base: Path, out: Path, seed: int = 0) -> None:
    """Write a model of ``base``'s head dimensions, but few layers and small, with random weights.

    Raises:
        BuildError: ``base`` has no readable configuration.
    """
    import torch
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    out.mkdir(parents=True, exist_ok=True)
    for path in side_files(base):
        (out / path.name).write_bytes(path.read_bytes())
    config = read_json(base / "config.json")
    text, vision = config["text_config"], config["vision_config"]
    layers = min(_LAYERS, text["num_hidden_layers"])
    hidden = min(_HIDDEN, text["hidden_size"])
    text |= {
        "num_hidden_layers": layers,
        "layer_types": text["layer_types"][:layers],
        "hidden_size": hidden,
        "intermediate_size": min(_INTERMEDIATE, text["intermediate_size"]),
        "vocab_size": min(_VOCABULARY, text["vocab_size"]),
        # One beyond the vocabulary cannot be the embedding's.
        "pad_token_id": None,
        "mtp_num_hidden_layers": 0,
    }
    config["vision_config"] = vision | {"depth": 1, "out_hidden_size": hidden}
    write_json(out / "config.json", config)
    torch.manual_seed(seed)
    model = Qwen3_5ForConditionalGeneration(Qwen3_5Config(**config))
    for name, parameter in model.named_parameters():
        # States that last for a token or two would hide that they continue into the next document.
        if name.endswith("linear_attn.A_log"):
            torch.nn.init.uniform_(parameter, *_LOG_DECAYS)
        elif name.endswith("linear_attn.dt_bias"):
            torch.nn.init.zeros_(parameter)
    weights = model.state_dict()
    if config["tie_word_embeddings"]:
        del weights["lm_head.weight"]
    save_like_released(weights, out / SINGLE)


def documents(folder: Path, seed: int = 0) -> list[list[int]]:
    """Return documents of ``LENGTHS`` random tokens of a model's vocabulary."""
    vocabulary = read_json(folder / "config.json")["text_config"]["vocab_size"]
    rng = random.Random(seed)  # noqa: S311  # no secret
    return [[rng.randrange(vocabulary) for _ in range(length)] for length in LENGTHS]


def load(folder: Path, dtype: Any, attention: str, liger: bool) -> tuple[Any, Any]:
    """Return the model and the training template as ms-swift loads them."""
    import torch
    from swift.model import get_model_processor
    from swift.template import get_template

    model, processor = get_model_processor(
        str(folder),
        torch_dtype=dtype,
        model_type="qwen3_5",
        attn_impl=attention,
        device_map="cuda:0" if torch.cuda.is_available() else "cpu",
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


def collate(template: Any, batch: list[list[int]]) -> dict[str, Any]:
    """Return a batch as ms-swift's collator makes it of tokenized rows."""
    rows = [
        {"input_ids": list(ids), "labels": [-100, *ids[1:]], "length": len(ids)} for ids in batch
    ]
    return dict(template.data_collator(rows))


def measure(model: Any, template: Any, batches: Iterable[list[list[int]]]) -> Run:
    """Run the batches forward for logits, and forward and backward for the summed loss."""
    import torch

    logits: list[Any] = []
    gradients: dict[str, Any] = {}
    for batch in batches:
        inputs = collate(template, batch)
        inputs.pop("text_position_ids")
        labels = inputs["labels"].to(model.device)

        def ready(model: Any, inputs: Any = inputs) -> dict[str, Any]:
            _, given = template.pre_forward_hook(model, (), dict(inputs))
            return dict(given)

        model.eval()
        with torch.no_grad():
            given = ready(model)
            given.pop("labels")
            logits.append(model(**given).logits[0].float())
        model.train()
        trained = int((labels[:, 1:] != -100).sum())
        if not trained:
            continue
        # The mean over the batch's tokens; times their number it is the sum, whatever the batch.
        (model(**ready(model)).loss * trained).backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                gradient = parameter.grad.float()
                gradients[name] = gradients[name] + gradient if name in gradients else gradient
        model.zero_grad(set_to_none=True)
    return Run(torch.cat(logits), gradients)


@contextlib.contextmanager
def replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    """Give a module another attribute for a while."""
    before = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, before)


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


def reference(folder: Path, alone: Iterable[list[list[int]]]) -> Run:
    """Return the run of batches of one document each, in float32, through PyTorch's own code."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    model, template = load(folder, torch.float32, "sdpa", liger=False)
    with reference_code():
        return measure(model, template, alone)


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


def compare(packed: Run, alone: Run, plain: Run, layers: int) -> Verdict:
    """Judge the packed and the alone run against the reference."""
    found = {
        LOGITS: Distances(
            row_error(alone.logits, plain.logits, plain.logits),
            row_error(packed.logits, alone.logits, plain.logits),
        )
    }
    for group in GROUPS:
        found[f"gradient of {group}"] = Distances(
            group_error(alone, plain, plain, group), group_error(packed, alone, plain, group)
        )
    return evaluate(found, layers)
