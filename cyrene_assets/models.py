"""The model sizes: one row each, from which every size-specific number is derived."""

from dataclasses import dataclass

from cyrene_assets.errors import UserError


@dataclass(frozen=True)
class ModelSize:
    """A size of the Qwen3.5 family.

    ``instruct`` is the hub repository of its instruct model, whose base model's is called the same
    with ``-Base``; None where the base is made here.
    ``parameters`` is the text model's nominal count, used for estimates; a base model is accepted
    when its own count lies within ``fits``. CPT must lower the validation loss by at least the
    share ``loss_fall``: random weights have far to fall, a pretrained model only has to. ``shape``
    is the text model's layers and hidden size, where known: the base model must have it.
    """

    name: str
    instruct: str | None
    parameters: float
    fits: tuple[float, float]
    recipe: str
    loss_fall: float
    shape: tuple[int, int] | None = None

    @property
    def repository(self) -> str | None:
        """The hub repository of the base model, or None where it is made here."""
        return None if self.instruct is None else f"{self.instruct}-Base"

    @property
    def expected(self) -> dict[str, int] | None:
        """What the base model's text configuration must say, or None where nothing is known."""
        if self.shape is None:
            return None
        return {"num_hidden_layers": self.shape[0], "hidden_size": self.shape[1]}


SIZES = {
    size.name: size
    for size in (
        ModelSize("tiny", None, 4e6, (1e6, 2e7), "tiny", 0.25),
        ModelSize("2B", "Qwen/Qwen3.5-2B", 1.9e9, (1.4e9, 3.0e9), "seed-v2", 0.0),
        ModelSize("4B", "Qwen/Qwen3.5-4B", 4.2e9, (3.5e9, 6.0e9), "seed-v2", 0.0, (32, 2560)),
        ModelSize("9B", "Qwen/Qwen3.5-9B", 9.0e9, (7.5e9, 1.2e10), "seed-v2", 0.0),
    )
}


def model_size(name: str) -> ModelSize:
    """Return the size called ``name``.

    Raises:
        UserError: there is no such size; the message lists those there are.
    """
    if name not in SIZES:
        raise UserError(f"unknown size {name!r}: the sizes are {', '.join(SIZES)}")
    return SIZES[name]
