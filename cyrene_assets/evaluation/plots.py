"""The picture of the scoreboard."""

import io
import math
from collections.abc import Iterable
from itertools import cycle
from typing import TYPE_CHECKING, Literal

import polars as pl

from cyrene_assets.evaluation.metrics import GAP_RED_FLAG
from cyrene_assets.evaluation.scores import MEAN, MODEL, REAL_LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Key = tuple[str | None, ...]

INK, GRID, FLAG = "#1f2933", "#e3e7ec", "#b00020"
# Colours that stay apart for the colour-blind (Okabe and Ito 2008); greys for base models.
GREYS = ("#8a929b", "#c3c9cf", "#59626c")
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f3c8d")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def scoreboard_png(frame: pl.DataFrame, profile: str) -> bytes:
    """Draw the frame of `scoreboard_table` as a PNG, 2,400 pixels wide, readable at half of it.

    Three panels: repetition against diversity for each model and sampling profile, averaged over
    languages, with the real lines as a star; the validation loss of each model, averaged over
    languages, with its gap to training (in red above `GAP_RED_FLAG`); and the length of the answers
    under ``profile`` in each language, relative to the real lines.
    """
    from matplotlib.figure import Figure

    models = frame.filter(pl.col("model") != REAL_LINES).select(MODEL).unique(maintain_order=True)
    labels = _labels(models)
    colours = _colours(labels)
    figure = Figure(figsize=(12, 8), dpi=200, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
    grid = figure.add_gridspec(2, 5)
    means = frame.filter(pl.col("language") == MEAN)
    _diversity(figure.add_subplot(grid[0, :3]), means, colours)
    _losses(figure.add_subplot(grid[0, 3:]), means, labels, colours)
    languages = frame.filter((pl.col("language") != MEAN) & (pl.col("profile") == profile))
    _lengths(figure.add_subplot(grid[1, :]), languages, labels, colours, profile)
    if labels:
        handles, names = figure.axes[2].get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _labels(models: pl.DataFrame) -> dict[Key, str]:
    """Name each model as briefly as tells it apart: by size, then recipe, then digest."""
    names: dict[Key, str] = {}
    for size, model, recipe, digest in models.rows():
        longer = [" ".join(filter(None, parts)) for parts in (
            (size, model), (size, model, recipe), (size, model, recipe, digest)
        )]  # fmt: skip
        alike = models.filter(pl.col("size").eq_missing(size), model=model)
        same_recipe = alike.filter(pl.col("recipe").eq_missing(recipe))
        names[(size, model, recipe, digest)] = longer[(len(alike) > 1) + (len(same_recipe) > 1)]
    return names


def _colours(keys: Iterable[Key]) -> dict[Key, str]:
    greys, colours = cycle(GREYS), cycle(COLOURS)
    return {key: next(greys if key[1] == "base" else colours) for key in keys}


def _diversity(axes: "Axes", means: pl.DataFrame, colours: dict[Key, str]) -> None:
    models = means.filter(pl.col("model") != REAL_LINES).drop_nulls(["rep4", "distinct_2"])
    profiles = sorted(set(models["profile"].to_list()))
    markers = {name: MARKERS[index % len(MARKERS)] for index, name in enumerate(profiles)}
    for row in models.iter_rows(named=True):
        colour = colours[tuple(row[name] for name in MODEL)]
        axes.plot(row["rep4"], row["distinct_2"], markers[row["profile"]], color=colour,
                  markersize=9, markeredgecolor="white", alpha=0.9)  # fmt: skip
    for name in profiles:
        axes.plot([], [], markers[name], color=INK, label=name, markersize=8)
    real = means.filter(pl.col("model") == REAL_LINES).drop_nulls(["rep4", "distinct_2"])
    if len(real):
        axes.plot(real["rep4"], real["distinct_2"], "*", color=INK, markersize=18, label=REAL_LINES)
    _finish(axes, "Diversity against repetition, mean over languages", "both")
    axes.set_xlabel("rep-4: share of repeated 4-grams (lower is less repetitive)")
    axes.set_ylabel("distinct-2 (higher is more varied)")
    axes.margins(0.12)
    if profiles or len(real):
        axes.legend(frameon=False, title="profile", alignment="left")


def _losses(
    axes: "Axes",
    means: pl.DataFrame,
    labels: dict[Key, str],
    colours: dict[Key, str],
) -> None:
    # A model has the same loss under every sampling profile.
    models = means.drop_nulls("loss").unique(MODEL, keep="first", maintain_order=True)
    ticks = [labels[tuple(row)] for row in models.select(MODEL).iter_rows()]
    for place, row in enumerate(models.iter_rows(named=True)):
        loss, gap = row["loss"], row["gap"]
        length = loss if math.isfinite(loss) else 0
        axes.barh(place, length, color=colours[tuple(row[name] for name in MODEL)])
        note = f"{loss:.2f}" + ("" if gap is None else f"  gap {gap:+.0%}")
        flagged = length != loss or (gap is not None and gap > GAP_RED_FLAG)
        axes.annotate(note, (length, place), xytext=(5, 0), textcoords="offset points",
                      va="center", fontsize=9, color=FLAG if flagged else INK)  # fmt: skip
    _finish(axes, "Validation loss, gap to training", "x")
    axes.set_yticks(range(len(ticks)), ticks)
    axes.invert_yaxis()
    axes.set_xlabel("nats per token, mean over languages")
    axes.margins(x=0.5)
    if not ticks:
        _nothing(axes, "no losses are known")


def _lengths(
    axes: "Axes",
    rows: pl.DataFrame,
    labels: dict[Key, str],
    colours: dict[Key, str],
    profile: str,
) -> None:
    languages = sorted(set(rows["language"].to_list()))
    width = 0.8 / max(1, len(labels))
    for index, (key, label) in enumerate(labels.items()):
        of_model = rows.filter(
            pl.all_horizontal(
                pl.col(name).eq_missing(pl.lit(value, pl.String))
                for name, value in zip(MODEL, key, strict=True)
            )
        )
        ratio = dict(of_model.select("language", "length_ratio").drop_nulls().iter_rows())
        places = [
            languages.index(language) - 0.4 + width * (index + 0.5) for language in ratio
        ]  # fmt: skip
        axes.bar(places, list(ratio.values()), width * 0.92, color=colours[key], label=label)
    axes.axhline(1, color=INK, linewidth=1.2)
    _finish(
        axes,
        f"Length of the answers relative to the real lines (line at 1), profile {profile}",
        "y",
    )
    axes.set_xticks(range(len(languages)), languages)
    axes.set_ylabel("times the real length")
    axes.set_ylim(bottom=0)
    if not languages:
        _nothing(axes, f"no answers under profile {profile}")


def _nothing(axes: "Axes", message: str) -> None:
    axes.text(0.5, 0.5, message, ha="center", color=INK, transform=axes.transAxes)


def _finish(axes: "Axes", title: str, grid: Literal["x", "y", "both"]) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, parse_math=False)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
