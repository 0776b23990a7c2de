"""The model sizes: one row each, from which every size-specific number is derived."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from cyrene_assets.config.architecture import (
    QWEN_0_8B,
    QWEN_2B,
    QWEN_4B,
    QWEN_9B,
    TINY,
    Architecture,
)
from cyrene_assets.utils.errors import UserError

# The asset that a build of a size makes where none is named.
DEFAULT_TARGET = "fp8_model"
# Of the text configuration: what tells the sizes apart, whatever a fine-tuning changed.
_TOLD_APART = (
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "linear_num_value_heads",
)
_TOLERANCE = 0.05


class ParameterRange(NamedTuple):
    """The fewest and the most parameters that are allowed."""

    low: float
    high: float


@dataclass(frozen=True)
class ModelSize:
    """A size of the Qwen3.5 family.

    ``instruct`` is the hub repository of its instruct model, whose base model's is called the same
    with ``-Base``; None where the base is made here. CPT must lower the validation loss by at
    least the share ``min_loss_drop``: random weights have far to fall, a pretrained model only has
    to fall at all. As text it is its name.
    """

    name: str
    instruct: str | None
    architecture: Architecture
    recipe: str
    min_loss_drop: float = 0.0

    def __str__(self) -> str:
        return self.name

    @property
    def is_embedded(self) -> bool:
        """Whether its base model is made here, from random weights."""
        return self.instruct is None

    @property
    def repository(self) -> str | None:
        """The hub repository of the base model, or None where it is made here."""
        return None if self.instruct is None else f"{self.instruct}-Base"

    @property
    def parameters(self) -> int:
        """The language model's parameters."""
        return self.architecture.parameters

    @property
    def parameter_range(self) -> ParameterRange:
        """The parameters of a base model's folder that counts as this size.

        With and without the vision tower and multi-token prediction, a twentieth left for another
        vocabulary. The embedded model's place takes any small model.
        """
        if self.instruct is None:
            return ParameterRange(1e6, 2e7)
        with_frozen = self.parameters + self.architecture.untrained_parameters
        return ParameterRange(self.parameters * (1 - _TOLERANCE), with_frozen * (1 + _TOLERANCE))

    @property
    def expected(self) -> dict[str, Any] | None:
        """What the base model's text configuration must say, or None where any will do."""
        if self.instruct is None:
            return None
        return {key: self.architecture.text_config[key] for key in _TOLD_APART}


SIZES = {
    size.name: size
    for size in (
        ModelSize("tiny", None, TINY, "tiny", 0.25),
        ModelSize("0.8B", "Qwen/Qwen3.5-0.8B", QWEN_0_8B, "small"),
        ModelSize("2B", "Qwen/Qwen3.5-2B", QWEN_2B, "seed-v2"),
        ModelSize("4B", "Qwen/Qwen3.5-4B", QWEN_4B, "seed-v2"),
        ModelSize("9B", "Qwen/Qwen3.5-9B", QWEN_9B, "seed-v2"),
    )
}


def model_size(name: str | None) -> ModelSize:
    """Return the size of this name, as an option or a partition key has it.

    Raises:
        UserError: there is no such size; the message lists those there are.
    """
    if name is None or name not in SIZES:
        raise UserError(f"unknown size {name!r}: the sizes are {', '.join(SIZES)}")
    return SIZES[name]
