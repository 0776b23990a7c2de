"""The learning rates that a training of so many steps has, by transformers' own schedules."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.config.architecture import TINY
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.training import swift_args
from workers.conftest import CPU, RunPython

pytestmark = pytest.mark.slow

STEPS = (1, 2, 5, 9, 10, 20, 57, 92, 456)
# What ms-swift makes of the options, and the rate that each step is then made with.
RATES = """
import json, sys
import torch
from swift.trainers import TrainingArguments
from transformers import get_scheduler
for asked in json.loads(sys.argv[1]):
    args = TrainingArguments(
        output_dir="unused", learning_rate=asked["peak"], warmup_ratio=asked["ratio"], use_cpu=True,
        lr_scheduler_type=asked["name"], lr_scheduler_kwargs=asked["kwargs"], report_to=[],
    )
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=args.learning_rate)
    steps = asked["steps"]
    scheduler = get_scheduler(
        args.lr_scheduler_type, optimizer, args.get_warmup_steps(steps), steps,
        scheduler_specific_kwargs=args.lr_scheduler_kwargs,
    )
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    print("RATES", json.dumps(rates))
"""


def asked_for(stage: Stage, steps: int, *, whatever: bool = False) -> dict[str, Any]:
    """Return the options of a training's command; ``whatever`` the number of its steps."""
    folder = Path("/m")
    command = swift_args.StageCommand(
        stage,
        CPU,
        model=folder,
        data=swift_args.Data.of(folder),
        work=folder,
        architecture=TINY,
        steps=None if whatever else steps,
    ).pretrain()
    given = dict(zip(command[2::2], command[3::2], strict=True))
    return {
        "steps": steps,
        "peak": float(given["--learning_rate"]),
        "ratio": float(given["--warmup_ratio"]),
        "name": given["--lr_scheduler_type"],
        "kwargs": json.loads(given.get("--lr_scheduler_kwargs", "{}")),
    }


def by_hand(stage: Stage, step: int, steps: int) -> float:
    """The seeds' schedule: up in a straight line from 0, then down a cosine to ``min_lr``."""
    warm = math.ceil(steps * stage.warmup_ratio)
    if step < warm:
        return stage.learning_rate * step / warm
    low = stage.lr_scheduler_kwargs["min_lr"]
    share = (step - warm) / (steps - warm)
    return low + (stage.learning_rate - low) * (1 + math.cos(math.pi * share)) / 2


def test_every_short_training_trains_and_every_long_one_is_the_recipes(
    run_python: RunPython,
) -> None:
    recipe = load_recipe("seed-v2")
    others = ("cosine", "linear", "constant_with_warmup")
    stages = [
        recipe.cpt,
        recipe.sft,
        *(
            recipe.sft.model_copy(update={"lr_scheduler": name, "lr_scheduler_kwargs": {}})
            for name in others
        ),
    ]
    cases = [(stage, steps) for stage in stages for steps in STEPS]
    asked = [asked_for(stage, steps) for stage, steps in cases]
    plain = [asked_for(stage, steps, whatever=True) for stage, steps in cases]
    printed = run_python("-c", RATES, json.dumps([*asked, *plain]))
    rates = [json.loads(x[6:]) for x in printed.splitlines() if x.startswith("RATES ")]
    assert len(rates) == 2 * len(cases)
    for (stage, steps), ours, own in zip(
        cases, rates[: len(cases)], rates[len(cases) :], strict=True
    ):
        assert len(ours) == steps
        assert max(ours) == stage.learning_rate
        if steps >= 10:
            assert ours == own, (stage.lr_scheduler, steps)
        else:
            # Of itself transformers would begin at 0.
            assert own[0] == 0
            assert min(ours) > 0, (stage.lr_scheduler, steps)
        if steps >= 10 and stage.lr_scheduler == "cosine_with_min_lr":
            expected = [by_hand(stage, step, steps) for step in range(steps)]
            assert ours == pytest.approx(expected, rel=1e-9)
