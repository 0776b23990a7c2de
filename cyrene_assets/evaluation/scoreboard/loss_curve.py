"""The picture of a training run's losses."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from cyrene_assets.evaluation.metrics.training_losses import GAP_RED_FLAG, finite_only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAINING, VALIDATION, INK, LANGUAGE = "#3b6fb6", "#d1495b", "#1f2933", "#9aa3ad"
# The distance between labels of languages, as a share of the picture's height.
_LABEL_HEIGHT = 0.037


def loss_curve_png(
    losses: pl.DataFrame,
    title: str,
    *,
    checkpoint: int | None = None,
    passes: Sequence[int] = (),
    languages: pl.DataFrame | None = None,
) -> bytes:
    """Draw the losses of `read_losses` as a PNG of 1600 by 800 pixels.

    It is readable at half the size. The band is `GAP_RED_FLAG` of the validation loss either way:
    training loss below it is the red flag of `relative_loss_gap`. ``checkpoint`` is the step of the
    checkpoint that was kept, ``passes`` are the steps at which each pass over the corpus ends,
    ``languages`` the losses of `read_language_losses`, a thin line each.
    """
    from matplotlib.figure import Figure

    finite = losses.with_columns(finite_only("loss"), finite_only("eval_loss"))
    training, evaluations = finite.drop_nulls("loss"), finite.drop_nulls("eval_loss")
    figure = Figure(figsize=(8, 4), dpi=200, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    axes = figure.add_subplot()
    _training(axes, training)
    _validation(axes, evaluations)
    if languages is not None:
        _languages(axes, languages.with_columns(finite_only("eval_loss")).drop_nulls("eval_loss"))
    if checkpoint is not None:
        _checkpoint(axes, checkpoint, evaluations)
    for number, step in enumerate(passes, start=1):
        axes.axvline(step, color=LANGUAGE, linewidth=0.8, linestyle="--", zorder=0)
        axes.annotate(f"pass {number}", (step, 0), xycoords=("data", "axes fraction"),
                      xytext=(-3, 3), textcoords="offset points", rotation=90, ha="right",
                      va="bottom", fontsize=8, color=INK)  # fmt: skip
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


def _training(axes: "Axes", training: pl.DataFrame) -> None:
    if not len(training):
        return
    steps, values = training["step"], training["loss"]
    window = max(1, len(training) // 20)
    smooth = values.rolling_mean(window, min_samples=1, center=True)
    axes.plot(steps, values, color=TRAINING, linewidth=0.7, alpha=0.4)
    axes.plot(steps, smooth, color=TRAINING, linewidth=2, label="training")


def _validation(axes: "Axes", evaluations: pl.DataFrame) -> None:
    if not len(evaluations):
        return
    steps, values = evaluations["step"], evaluations["eval_loss"]
    low, high = values * (1 - GAP_RED_FLAG), values * (1 + GAP_RED_FLAG)
    axes.fill_between(steps, low, high, color=VALIDATION, alpha=0.1, linewidth=0)
    label = f"validation ±{GAP_RED_FLAG:.0%}"
    axes.plot(steps, values, "o-", color=VALIDATION, linewidth=1.5, markersize=5, label=label)


def _languages(axes: "Axes", languages: pl.DataFrame) -> None:
    ends = []
    for (language,), rows in languages.group_by("language", maintain_order=True):
        axes.plot(rows["step"], rows["eval_loss"], color=LANGUAGE, linewidth=0.8, zorder=1)
        ends.append((rows["eval_loss"][-1], rows["step"][-1], str(language)))
    low, high = axes.get_ylim()
    heights = spread([loss for loss, _, _ in sorted(ends)], _LABEL_HEIGHT * (high - low))
    for height, (loss, step, language) in zip(heights, sorted(ends), strict=True):
        axes.annotate(language, (step, loss), xytext=(1.005, (height - low) / (high - low)),
                      textcoords=("axes fraction"), va="center", fontsize=8, color=INK,
                      arrowprops={"arrowstyle": "-", "color": LANGUAGE, "linewidth": 0.4,
                                  "shrinkA": 0, "shrinkB": 0},
                      annotation_clip=False, parse_math=False)  # fmt: skip


def spread(values: Sequence[float], distance: float) -> list[float]:
    """Move ascending values apart until neighbours are ``distance`` apart, as little as possible.

    Neighbours that would touch become a block around their rows mean.
    """
    blocks: list[list[float]] = []
    for value in values:
        blocks.append([value])
        while len(blocks) > 1 and _top(blocks[-2], distance) > _bottom(blocks[-1], distance):
            last = blocks.pop()
            blocks[-1] += last
    return [
        _bottom(block, distance) + distance * (index + 0.5)
        for block in blocks
        for index in range(len(block))
    ]


def _bottom(block: Sequence[float], distance: float) -> float:
    return sum(block) / len(block) - distance * len(block) / 2


def _top(block: Sequence[float], distance: float) -> float:
    return sum(block) / len(block) + distance * len(block) / 2


def _checkpoint(axes: "Axes", checkpoint: int, evaluations: pl.DataFrame) -> None:
    axes.axvline(checkpoint, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    at_step = evaluations.filter(pl.col("step") == checkpoint)
    height = at_step["eval_loss"].to_list() or [math.nan]
    axes.plot([checkpoint], height, "D", color="white", markeredgecolor=INK, markeredgewidth=1.6,
              markersize=8, zorder=5, label=f"checkpoint (step {checkpoint:,})")  # fmt: skip
