"""How the scoreboard's pictures look, each for a light and for a dark page; and of trainings."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import polars as pl

from cyrene_assets.evaluation.scoreboard.board import Evaluated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """Colours of a page: those of models stay apart for the colour-blind (Okabe and Ito 2008).

    On a light page some are darker, for a contrast of about three to one.
    """

    paper: str
    ink: str
    grid: str
    greys: tuple[str, ...]
    colours: tuple[str, ...]


LIGHT = Theme(
    "#ffffff", "#22262b", "#e4e1dc", ("#7d858e", "#59626c", "#949ca5"),
    ("#0072b2", "#c77f00", "#009e73", "#b85f92", "#3a95cf", "#d55e00", "#7f3c8d"),
)  # fmt: skip
DARK = Theme(
    "#1d2024", "#e6e4e0", "#383e45", ("#8a929b", "#c3c9cf", "#6f7881"),
    ("#56a9e0", "#f0b64a", "#3fc59d", "#e0a3c5", "#8fd0f5", "#f28a4b", "#b98ac6"),
)  # fmt: skip


def training(evaluated: Sequence[Evaluated], theme: Theme) -> "Figure | None":
    """Draw the losses of every training that is behind a model: training thin, validation bold."""
    found: dict[str, pl.DataFrame] = {}
    for one in evaluated:
        curves = one.curves()
        if curves is not None and not curves.is_empty():
            found[f"{one.identity['size']} {one.identity['recipe']}, {one.corpus}"] = curves
    if not found:
        return None
    figure, panels = figure_of(theme, 9.6, 3.6, columns=2)
    stages = (("cpt_checkpoint", "continual pretraining"), ("lora_adapter", "fine-tuning"))
    colours = cycle(theme.colours)
    for name, curves in found.items():
        colour = next(colours)
        for axes, (stage, _) in zip(panels, stages, strict=True):
            own = curves.filter(pl.col("stage") == stage)
            trained, held_out = own.drop_nulls("loss"), own.drop_nulls("eval_loss")
            axes.plot(trained["step"], trained["loss"], color=colour, linewidth=0.8, alpha=0.6)
            axes.plot(held_out["step"], held_out["eval_loss"], "o-", color=colour, markersize=4,
                      label=name)  # fmt: skip
            if not own.is_empty():
                axes.axvline(own["chosen"][0], color=colour, linestyle=":", linewidth=1)
    for axes, (_, title) in zip(panels, stages, strict=True):
        axes.set_title(title, loc="left", fontsize=10, color=theme.ink)
        axes.set_xlabel("step")
        axes.set_ylabel("nats per token")
    legend(panels[0], theme)
    return figure


def nothing(said: str) -> "Figure":
    """Draw why there is nothing to draw."""
    figure, axes = figure_of(LIGHT, 7.6, 4.6)
    axes.text(0.5, 0.5, said, ha="center", transform=axes.transAxes)
    return figure


def render(figure: "Figure", kind: str) -> bytes:
    """Return a figure as PNG or SVG, the same bytes for the same figure."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "scoreboard", "svg.fonttype": "path"}):
        metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=160, metadata=metadata)
    return buffer.getvalue()


def in_both_themes(
    draw: "Callable[[Theme], Figure | None]",
) -> tuple[bytes, bytes] | None:
    """Return a picture as SVG for a light and for a dark page, None where there is nothing."""
    figures = [draw(theme) for theme in (LIGHT, DARK)]
    found = [render(figure, "svg") for figure in figures if figure is not None]
    return (found[0], found[1]) if found else None


def figure_of(
    theme: Theme, width: float, height: float, *, rows: int = 1, columns: int = 1
) -> "tuple[Figure, Any]":
    """Return a figure of so many inches and its panels: one, or a list row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=theme.paper)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_facecolor(theme.paper)
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=theme.ink, labelsize=9)
        axes.xaxis.label.set(color=theme.ink, fontsize=9)
        axes.yaxis.label.set(color=theme.ink, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(theme.grid)
    single = rows == columns == 1
    return figure, panels.flat[0] if single else list(panels.flat)


def legend(axes: "Axes", theme: Theme) -> None:
    """Name what was drawn, next to the panel."""
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(frameon=False, fontsize=9, labelcolor=theme.ink,
                    bbox_to_anchor=(1.01, 1), loc="upper left")  # fmt: skip
