"""AdamW over bfloat16 weights whose updates are not lost: rounded up or down by chance.

Near a weight bfloat16 numbers are 0.4 to 0.8% apart, and a step of fine-tuning is smaller than
that: rounded to the nearest, most weights never move. Rounded up with the probability of the
distance (arXiv 2010.06192), a weight moves by its step on average, as a float32 copy would, without
the memory of one. Moments are in the weights' dtype, arithmetic is in float32.
"""

from typing import Any

import torch
from torchao.optim import _AdamW

_SEED_STRIDE = 1_000_003


class RoundingAdamW(_AdamW):  # type: ignore[misc]
    """torchao's AdamW, its chance drawn from ``seed`` and the number of the step.

    So a resumed training rounds as an uninterrupted one, and every device rounds as the others do:
    their own generators have drawn different noise by then, and weights would drift apart.
    """

    def __init__(self, parameters: Any, lr: float, *, seed: int, **settings: Any) -> None:
        super().__init__(parameters, lr, bf16_stochastic_round=True, **settings)
        self._seed = seed

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> Any:
        """Make a step; other users of the random generators notice nothing."""
        weights = [weight for group in self.param_groups for weight in group["params"]]
        made = next((int(state["step"]) for state in self.state.values()), 0)
        devices = sorted({weight.device.index for weight in weights if weight.is_cuda})
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._seed * _SEED_STRIDE + made)
            return super().step(closure)
