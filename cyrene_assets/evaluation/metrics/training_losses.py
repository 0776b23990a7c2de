"""The losses of one training run: read from its log, and summarized."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from cyrene_assets.utils.errors import UserError

SCHEMA = pl.Schema(
    {
        "step": pl.Int64, "epoch": pl.Float64, "loss": pl.Float64, "eval_loss": pl.Float64,
        "learning_rate": pl.Float64,
    }
)  # fmt: skip
LANGUAGE_SCHEMA = pl.Schema({"language": pl.String, "step": pl.Int64, "eval_loss": pl.Float64})
# The gap between training and validation loss above which a run memorizes its texts.
GAP_RED_FLAG = 0.1
# The last validation loss has not recovered if it is this share above the lowest.
RISE_RED_FLAG = 0.05
# Nor if it has stayed above the lowest for this share of the run, by more than a plateau.
UNRECOVERED_RED_FLAG, PLATEAU = 1 / 3, 0.001


@dataclass(frozen=True)
class LossSummary:
    """The losses of a run in short; None where nothing was logged.

    ``train_loss`` is the mean training loss over the last evaluation interval, and ``gap`` is
    ``(val - train) / val`` at its end. ``fall`` is how far the validation loss has fallen as a
    share of the first, and ``rise`` how far it is above the lowest, as a share of that.
    ``last_eval_step`` is that of the last evaluation. ``not_finite`` counts the losses that were
    NaN or infinite: they are left out of everything else.
    """

    first_eval_loss: float | None
    last_eval_loss: float | None
    min_eval_loss: float | None
    min_eval_step: int | None
    train_loss: float | None
    gap: float | None
    not_finite: int
    last_eval_step: int | None = None

    @property
    def since_lowest(self) -> float | None:
        """Share of the run since the lowest validation loss."""
        if self.min_eval_step is None or not self.last_eval_step:
            return None
        return (self.last_eval_step - self.min_eval_step) / self.last_eval_step

    @property
    def recovered(self) -> bool:
        """Whether the validation loss is at its lowest again, or was recently."""
        if self.rise is None or self.rise > RISE_RED_FLAG:
            return False
        long = self.since_lowest is not None and self.since_lowest >= UNRECOVERED_RED_FLAG
        return not long or self.rise <= PLATEAU

    @property
    def fall(self) -> float | None:
        """``(first - last) / first`` validation loss."""
        if self.first_eval_loss is None or self.last_eval_loss is None:
            return None
        return (self.first_eval_loss - self.last_eval_loss) / self.first_eval_loss

    @property
    def rise(self) -> float | None:
        """``(last - lowest) / lowest`` validation loss."""
        if self.min_eval_loss is None or self.last_eval_loss is None:
            return None
        return (self.last_eval_loss - self.min_eval_loss) / self.min_eval_loss


def relative_loss_gap(train: float | None, validation: float | None) -> float | None:
    """Return ``(validation - train) / validation`` of two mean losses, a sign of overfitting."""
    if train is None or validation is None or not math.isfinite(train + validation):
        return None
    return (validation - train) / validation if validation else None


def read_losses(path: Path) -> pl.DataFrame:
    """Read a run's ``losses.jsonl``: a row per step, in order, null where nothing was logged.

    Rows of the same step are joined, and a step that was logged again after a resume counts as it
    was logged last. Rows of one language and other keys are ignored.

    Raises:
        UserError: a line is not a JSON object with an integer ``step``; the message names the line.
    """
    rows = [
        {"step": row["step"]} | {name: _float(row.get(name)) for name in SCHEMA.names()[1:]}
        for row in _rows(path)
        if row.get("language") is None
    ]
    values = pl.all().exclude("step").drop_nulls().last()
    return pl.DataFrame(rows, schema=SCHEMA).group_by("step").agg(values).sort("step")


def read_language_losses(path: Path) -> pl.DataFrame:
    """Read the validation losses of each language from a run's ``losses.jsonl``.

    Returns `LANGUAGE_SCHEMA`, sorted by language and step, as logged last.

    Raises:
        UserError: as `read_losses`.
    """
    rows = [
        {name: row.get(name) for name in LANGUAGE_SCHEMA.names()}
        for row in _rows(path)
        if row.get("language") is not None
    ]
    return (
        pl.DataFrame(rows, schema=LANGUAGE_SCHEMA)
        .unique(["language", "step"], keep="last")
        .sort("language", "step")
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row["step"] = int(row["step"])
            for name in SCHEMA.names()[1:]:
                _float(row.get(name))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}:{number}: not a row of losses: {line[:80]!r}; "
                'expected {"step": 10, "loss": 1.5, "eval_loss": null, ...}: train again to '
                "write the file again"
            ) from error
        yield row


def summary(losses: pl.DataFrame) -> LossSummary:
    """Summarize the losses of `read_losses`."""
    finite = losses.with_columns(finite_only("loss"), finite_only("eval_loss"))
    evaluations = finite.drop_nulls("eval_loss")
    train_loss = _last_interval_loss(finite, evaluations)
    last = evaluations["eval_loss"].last() if len(evaluations) else None
    lowest = evaluations.sort("eval_loss", maintain_order=True).head(1)
    not_finite = sum(
        finite[name].null_count() - losses[name].null_count() for name in ("loss", "eval_loss")
    )
    return LossSummary(
        first_eval_loss=_float(evaluations["eval_loss"].first()) if len(evaluations) else None,
        last_eval_loss=_float(last),
        min_eval_loss=lowest["eval_loss"].item() if len(lowest) else None,
        min_eval_step=lowest["step"].item() if len(lowest) else None,
        train_loss=train_loss,
        gap=relative_loss_gap(train_loss, _float(last)),
        not_finite=not_finite,
        last_eval_step=evaluations["step"].to_list()[-1] if len(evaluations) else None,
    )


def _last_interval_loss(losses: pl.DataFrame, evaluations: pl.DataFrame) -> float | None:
    steps = evaluations["step"].to_list()
    if steps:
        start = steps[-2] if len(steps) > 1 else -1
        losses = losses.filter((pl.col("step") > start) & (pl.col("step") <= steps[-1]))
    return _float(losses["loss"].mean())


def finite_only(column: str) -> pl.Expr:
    """Return a column with null in place of NaN and infinity."""
    return pl.when(pl.col(column).is_finite()).then(pl.col(column)).alias(column)


def _float(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    raise TypeError(f"{value!r} is not a number")
