"""Weights in bfloat16, with float32 masters, and rounded at random: which of them learns?

`masters.py MODEL DATA OUT`, under the train toolchain, on any machine. A small model is trained on
the texts of `DATA/start.jsonl` and continues, from one bfloat16 checkpoint, with those of
`DATA/later.jsonl` (a list of texts a line) three ways: everything in bfloat16; float32 weights and
moments, computed with in bfloat16; bfloat16 weights and moments, the new weight rounded up or down
by chance. The loss is that of texts held out.
"""

# ruff: noqa: TID251 - runs in the train toolchain

import copy
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3_5ForConditionalGeneration, Qwen3_5Tokenizer

LENGTH, BATCH, HELD_OUT = 192, 4, 16
STEPS_BEFORE, STEPS, EVERY = 250, 160, 40
BETAS, DECAY, EPSILON = (0.9, 0.95), 0.1, 1e-8
FULL_PRECISION = ("A_log", "linear_attn.norm.weight")


def tokens(file: Path, tokenizer: Any) -> list[int]:
    """Return the different texts of a file as one sequence."""
    lines = file.read_text(encoding="utf-8").splitlines()
    texts = dict.fromkeys(text for line in lines for text in json.loads(line))
    end = tokenizer.eos_token_id
    return [token for text in texts for token in [*tokenizer(text).input_ids, end]]


def batches(data: list[int], seed: int) -> Iterator[Any]:
    """Yield batches of random stretches."""
    rng = random.Random(seed)
    while True:
        starts = [rng.randrange(len(data) - LENGTH) for _ in range(BATCH)]
        yield torch.tensor([data[start : start + LENGTH] for start in starts])


def loss(model: Any, batch: Any) -> Any:
    """Return the mean loss of a batch."""
    return model(input_ids=batch, labels=batch).loss


class Stochastic(torch.optim.Optimizer):
    """AdamW with bfloat16 moments, whose new bfloat16 weights are rounded up or down by chance."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})
        self._generator = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # noqa: ARG002
        """Update as in arXiv 1711.05101."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                gradient = weight.grad.float()
                first, second = (
                    beta * state.get(key, torch.zeros_like(gradient)).float() + (1 - beta) * value
                    for key, beta, value in (
                        ("first", BETAS[0], gradient),
                        ("second", BETAS[1], gradient.square()),
                    )
                )
                count = state["count"] = state.get("count", 0) + 1
                state["first"], state["second"] = first.bfloat16(), second.bfloat16()
                scale = (second / (1 - BETAS[1] ** count)).sqrt() + EPSILON
                new = weight.float() * (1 - group["lr"] * DECAY)
                new -= group["lr"] * first / (1 - BETAS[0] ** count) / scale
                weight.copy_(self._rounded(new) if weight.dtype == torch.bfloat16 else new)

    def _rounded(self, values: Any) -> Any:
        noise = torch.randint(0, 1 << 16, values.shape, generator=self._generator)
        return ((values.view(torch.int32) + noise.int()) & -65536).view(torch.float32)


def train(model: Any, data: Any, optimizer: Any, rate: float, steps: int) -> Iterator[int]:
    """Train; yield the number of steps made after each."""
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, step / 10)
        wide = parameters[0].dtype == torch.float32 and rate < 1e-3
        with torch.autocast("cpu", torch.bfloat16, enabled=wide):
            value = loss(model, next(data))
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield step


def main() -> None:
    """Measure, and write the held-out losses as JSON."""
    folder, data, out = (Path(word) for word in sys.argv[1:4])
    tokenizer = Qwen3_5Tokenizer.from_pretrained(folder)
    model = Qwen3_5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.config.text_config.use_cache = False
    model.model.visual.requires_grad_(False)
    model.train()
    later = tokens(data / "later.jsonl", tokenizer)
    held = torch.tensor(later[-LENGTH * HELD_OUT :]).view(HELD_OUT, LENGTH)
    later = later[: -LENGTH * HELD_OUT]

    def held_out() -> float:
        with torch.no_grad():
            return round(float(loss(model, held)), 4)

    def weights() -> list[Any]:
        return [weight for weight in model.parameters() if weight.requires_grad]

    first = torch.optim.AdamW(weights(), betas=BETAS, weight_decay=DECAY)
    start = batches(tokens(data / "start.jsonl", tokenizer), 0)
    for _ in train(model, start, first, 1e-3, STEPS_BEFORE):
        pass
    names = [n for n, _ in model.named_parameters() if not n.endswith(FULL_PRECISION)]
    checkpoint = copy.deepcopy(model.state_dict())
    for name in names:
        checkpoint[name] = checkpoint[name].bfloat16().float()
    found = []
    for rate in (2e-5, 1e-4):
        for kind in ("bfloat16", "float32 masters", "stochastic rounding"):
            model.float().load_state_dict(checkpoint)
            if kind != "float32 masters":
                for name, weight in model.named_parameters():
                    weight.data = weight.data.bfloat16() if name in names else weight.data
            optimizer: Any = (
                Stochastic(weights(), rate)
                if kind == "stochastic rounding"
                else torch.optim.AdamW(weights(), betas=BETAS, weight_decay=DECAY)
            )
            losses = [held_out()]
            for step in train(model, batches(later, 1), optimizer, rate, STEPS):
                if step % EVERY == 0:
                    losses.append(held_out())
            changed = sum(
                int((weight.float() != checkpoint[name]).sum())
                for name, weight in model.named_parameters()
            )
            total = sum(weight.numel() for weight in weights())
            found.append(
                {"kind": kind, "rate": rate, "held_out": losses, "changed": changed / total}
            )
            print(found[-1], flush=True)
            out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
