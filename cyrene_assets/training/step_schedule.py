"""The training sequence of a packed set, counted in the steps of a stage."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cyrene_assets.training.batch_plan import Batch, optimizer_steps
from cyrene_assets.utils.errors import UserError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class StepSchedule:
    """How many steps and tokens a training has; ``pass_ends`` are the last steps of its passes."""

    steps: int
    tokens: int
    pass_ends: tuple[int, ...]

    def step_for(self, checkpoint: str) -> int | None:
        """Return the step that ``epoch:N`` means; None for a choice that names no pass.

        Raises:
            UserError: there are fewer passes than that.
        """
        kind, _, number = checkpoint.partition(":")
        if kind != "epoch":
            return None
        if int(number) > len(self.pass_ends):
            raise UserError(
                f"`checkpoint: {checkpoint}`, but the corpus is read in {len(self.pass_ends)} "
                "passes: give an earlier one, or raise `passes` in the recipe"
            )
        return self.pass_ends[int(number) - 1]

    @classmethod
    def of(cls, rows: "pl.DataFrame", *, packed: bool, batch: Batch) -> Self:
        """Count the steps of a packed set's ``rows`` (``row``, ``pack``, ``pass``, ``tokens``).

        A step reads packs, or rows where training does not pack.
        """
        import polars as pl

        sequence = pl.col("pack" if packed else "row")
        sequences = int(rows.select(sequence.max()).item()) + 1
        steps = optimizer_steps(sequences, batch)
        ends = rows.group_by("pass").agg(sequence.max().alias("end")).sort("pass")
        passes = (math.ceil((end + 1) / batch.effective) for end in ends["end"].cum_max())
        return cls(steps, int(rows["tokens"].sum()), tuple(min(p, steps) for p in passes))
