"""The losses of one training run: what they come to, and the curve."""

import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cyrene_assets.errors import UserError
from cyrene_assets.evaluation.metrics import perplexity_gap

SCHEMA = pl.Schema(
    {
        "step": pl.Int64,
        "epoch": pl.Float64,
        "loss": pl.Float64,
        "eval_loss": pl.Float64,
        "learning_rate": pl.Float64,
    }
)
TRAINING, VALIDATION, CHECKPOINT = "#3b6fb6", "#d1495b", "#1f2933"


@dataclass(frozen=True)
class LossSummary:
    """What a run's losses come to; None where nothing was logged.

    ``train_loss`` is the mean training loss over the last evaluation interval, and ``gap`` is
    ``(val - train) / val`` at its end. ``not_finite`` counts the losses that were NaN or infinite:
    they are left out of everything else.
    """

    first_eval_loss: float | None
    last_eval_loss: float | None
    min_eval_loss: float | None
    min_eval_step: int | None
    train_loss: float | None
    gap: float | None
    not_finite: int


def read_losses(path: Path) -> pl.DataFrame:
    """Read a run's ``losses.jsonl``: a row per step, in order, null where nothing was logged.

    Rows of the same step are joined, and a step that was logged again after a resume counts as it
    was logged last. Other keys are ignored.

    Raises:
        UserError: a line is not a JSON object with a whole ``step``; the message names the line.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append(
                {"step": int(row["step"])}
                | {name: _float(row.get(name)) for name in SCHEMA.names()[1:]}
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}:{number}: not a row of losses: {line[:80]!r}; "
                'expected {"step": 10, "loss": 1.5, "eval_loss": null, ...}: train again to '
                "write the file anew"
            ) from error
    values = pl.all().exclude("step").drop_nulls().last()
    return pl.DataFrame(rows, schema=SCHEMA).group_by("step").agg(values).sort("step")


def summary(losses: pl.DataFrame) -> LossSummary:
    """Sum up the losses of `read_losses`."""
    finite = losses.with_columns(_finite("loss"), _finite("eval_loss"))
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
        gap=perplexity_gap(train_loss, _float(last)),
        not_finite=not_finite,
    )


def loss_curve_png(losses: pl.DataFrame, title: str, checkpoint: int | None = None) -> bytes:
    """Draw the losses of `read_losses` as a PNG of 1600 by 800 pixels, readable at half the size.

    The band is 10% of the validation loss either way: training loss below it is the red flag of
    `perplexity_gap`. ``checkpoint`` is the step of the checkpoint that was kept.
    """
    from matplotlib.figure import Figure

    finite = losses.with_columns(_finite("loss"), _finite("eval_loss"))
    training, evaluations = finite.drop_nulls("loss"), finite.drop_nulls("eval_loss")
    figure = Figure(figsize=(8, 4), dpi=200, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    axes = figure.add_subplot()
    if len(training):
        steps, values = training["step"], training["loss"]
        window = max(1, len(training) // 20)
        smooth = values.rolling_mean(window, min_samples=1, center=True)
        axes.plot(steps, values, color=TRAINING, linewidth=0.7, alpha=0.4)
        axes.plot(steps, smooth, color=TRAINING, linewidth=2, label="training")
    if len(evaluations):
        steps, values = evaluations["step"], evaluations["eval_loss"]
        axes.fill_between(
            steps, values * 0.9, values * 1.1, color=VALIDATION, alpha=0.1, linewidth=0
        )
        axes.plot(
            steps,
            values,
            "o-",
            color=VALIDATION,
            linewidth=1.5,
            markersize=5,
            label="validation ±10%",
        )
    if checkpoint is not None:
        axes.axvline(checkpoint, color=CHECKPOINT, linewidth=0.8, linestyle=":", zorder=1)
        label = f"checkpoint (step {checkpoint:,})"
        at_step = evaluations.filter(pl.col("step") == checkpoint)
        height = at_step["eval_loss"].to_list() or [math.nan]
        axes.plot(
            [checkpoint], height, "D", color="white", markeredgecolor=CHECKPOINT,
            markeredgewidth=1.6, markersize=8, zorder=5, label=label,
        )  # fmt: skip
    if not len(training) and not len(evaluations):
        axes.text(0.5, 0.5, "no losses were logged", ha="center", transform=axes.transAxes)
    else:
        axes.legend(frameon=False, fontsize=11)
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", parse_math=False)
    axes.set_xlabel("step", fontsize=11)
    axes.set_ylabel("loss (nats per token)", fontsize=11)
    axes.grid(axis="y", color="#e3e7ec", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _last_interval_loss(losses: pl.DataFrame, evaluations: pl.DataFrame) -> float | None:
    steps = evaluations["step"].to_list()
    if steps:
        start = steps[-2] if len(steps) > 1 else -1
        losses = losses.filter((pl.col("step") > start) & (pl.col("step") <= steps[-1]))
    return _float(losses["loss"].mean())


def _finite(column: str) -> pl.Expr:
    return pl.when(pl.col(column).is_finite()).then(pl.col(column)).alias(column)


def _float(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    raise TypeError(f"{value!r} is not a number")
