"""Run in the train toolchain: what the optimizer of bfloat16 weights does, printed as JSON."""

# ruff: noqa: TID251 - runs in the train toolchain

import io
import json
from typing import Any

import torch

from cyrene_assets.workers.train.stochastic_rounding import RoundingAdamW

# Compiling takes half a minute, and computes the same.
torch.compiler.set_stance("force_eager")


def model() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)).bfloat16()


def optimizer(made: Any, seed: int = 42) -> Any:
    return RoundingAdamW(made.parameters(), 1e-4, seed=seed)


def train(made: Any, steps: Any, first: int, last: int, noise: int = 0) -> None:
    for step in range(first, last):
        torch.randn(noise)
        rows = torch.randn(8, 64, generator=torch.Generator().manual_seed(step)).bfloat16()
        made(rows).square().mean().backward()
        steps.step()
        steps.zero_grad()


def same(one: Any, other: Any) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def mean_move(rounding: bool) -> float:
    """Return how far weights of 1 have moved on average after 40 steps of 1e-5."""
    weights = torch.nn.Parameter(torch.ones(4096).bfloat16())
    settings = {"weight_decay": 0.0}
    steps = (
        RoundingAdamW([weights], 1e-5, seed=1, **settings)
        if rounding
        else torch.optim.AdamW([weights], 1e-5, **settings)
    )
    for _ in range(40):
        weights.grad = torch.ones_like(weights)
        steps.step()
    return float((1 - weights.float()).mean())


whole = model()
train(whole, optimizer(whole), 0, 6)
other_seed = model()
train(other_seed, optimizer(other_seed, 43), 0, 6)
first = model()
before = optimizer(first)
train(first, before, 0, 3)
saved = io.BytesIO()
torch.save((first.state_dict(), before.state_dict()), saved)
saved.seek(0)
weights, state = torch.load(saved, weights_only=True)
resumed = model()
resumed.load_state_dict(weights)
after = optimizer(resumed)
after.load_state_dict(state)
# Another device, or a resumed run, has drawn other noise by now.
train(resumed, after, 3, 6, noise=7)
found = {
    "resumed_is_whole": same(resumed, whole),
    "another_seed_is_whole": same(other_seed, whole),
    "moved": mean_move(rounding=True),
    "moved_to_the_nearest": mean_move(rounding=False),
}
torch.manual_seed(5)
drawn = torch.rand(2)
torch.manual_seed(5)
undisturbed = torch.rand(1)
train(whole, optimizer(whole), 6, 7)
found["generator_goes_on"] = torch.equal(torch.cat([undisturbed, torch.rand(1)]), drawn)
print(json.dumps(found))
