"""The pictures of the scoreboard, each for a light and for a dark page."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import polars as pl

from cyrene_assets.evaluation import pareto
from cyrene_assets.evaluation.answers import REAL_LINES
from cyrene_assets.evaluation.board import Evaluated, labels
from cyrene_assets.evaluation.catalog import BY_NAME
from cyrene_assets.evaluation.scores import MEAN, MODEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Key = tuple[str | None, ...]


@dataclass(frozen=True)
class Theme:
    """Colours of a page: those of models stay apart for the colour-blind (Okabe and Ito 2008)."""

    paper: str
    ink: str
    grid: str
    greys: tuple[str, ...]
    colours: tuple[str, ...]


LIGHT = Theme(
    "#ffffff", "#22262b", "#e4e1dc", ("#8a929b", "#c3c9cf", "#59626c"),
    ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f3c8d"),
)  # fmt: skip
DARK = Theme(
    "#1d2024", "#e6e4e0", "#383e45", ("#8a929b", "#59626c", "#c3c9cf"),
    ("#56a9e0", "#f0b64a", "#3fc59d", "#e0a3c5", "#8fd0f5", "#f28a4b", "#b98ac6"),
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BY_LANGUAGE = ("regurgitation_excess", "style", "language", "length_ratio", "loss", "cloze")


def tradeoff(table: pl.DataFrame, theme: Theme) -> "Figure | None":
    """Draw diversity against repetition: a mark per model and profile, a star for real lines."""
    wide = _wide(table, ("rep4", "distinct_2"))
    if wide.is_empty():
        return None
    names, colours = labels(table), _colours(labels(table), theme)
    figure, axes = _figure(theme, 7.6, 4.6)
    models = wide.filter(pl.col("model") != REAL_LINES)
    profiles = sorted(set(models["profile"].to_list()))
    markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(profiles)}
    for row in models.iter_rows(named=True):
        colour = colours[_key(row)]
        _bars(axes, row, "rep4", "distinct_2", colour)
        axes.plot(row["rep4"], row["distinct_2"], markers[row["profile"]], color=colour,
                  markersize=9 if row["served"] else 7, markeredgecolor=theme.paper)  # fmt: skip
    for key, name in names.items():
        axes.plot([], [], "o", color=colours[key], label=name)
    for name, marker in markers.items():
        axes.plot([], [], marker, color=theme.ink, label=name, markersize=7)
    for row in wide.filter(pl.col("model") == REAL_LINES).iter_rows(named=True):
        axes.plot(row["rep4"], row["distinct_2"], "*", color=theme.ink, markersize=16,
                  label=REAL_LINES)  # fmt: skip
    axes.set_xlabel("rep-4: repeated 4-grams, less is less repetitive")
    axes.set_ylabel("distinct-2, more is more varied")
    _legend(axes, theme)
    return figure


def choice(table: pl.DataFrame, theme: Theme) -> "Figure | None":
    """Draw lore and style against regurgitation; what no other model beats in all is ringed."""
    found = pareto.candidates(table)
    if not found:
        return None
    names, colours = labels(table), _colours(labels(table), theme)
    figure, panels = _figure(theme, 9.6, 3.9, columns=2)
    for axes, score in zip(panels, ("cloze", "style"), strict=True):
        for one in found:
            x, y = one.values["regurgitation_excess"], one.values[score]
            edge = theme.ink if one.best else theme.paper
            axes.plot(x, y, "o", color=colours[one.key], markersize=11, markeredgecolor=edge,
                      markeredgewidth=2, label=names[one.key])  # fmt: skip
        axes.set_xlabel("regurgitation above the real lines, less is better")
        axes.set_ylabel(f"{BY_NAME[score].title.lower()}, more is better")
        axes.axvline(0, color=theme.grid, linewidth=1, zorder=0)
        axes.margins(0.2)
    _legend(panels[-1], theme)
    return figure


def training(evaluated: Sequence[Evaluated], theme: Theme) -> "Figure | None":
    """Draw the losses of every training that is behind a model: training thin, validation bold."""
    found: dict[str, pl.DataFrame] = {}
    for one in evaluated:
        curves = one.curves()
        if curves is not None and not curves.is_empty():
            found[f"{one.identity['size']} {one.identity['recipe']}, {one.corpus}"] = curves
    if not found:
        return None
    figure, panels = _figure(theme, 9.6, 3.6, columns=2)
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
    _legend(panels[0], theme)
    return figure


def by_language(table: pl.DataFrame, theme: Theme) -> "Figure | None":
    """Draw some scores of each model in each language, under the served profile."""
    names, colours = labels(table), _colours(labels(table), theme)
    each = table.filter(pl.col("language") != MEAN, pl.col("served")).drop_nulls("value")
    scores = [name for name in BY_LANGUAGE if len(each.filter(pl.col("score") == name))]
    languages = sorted(set(each["language"].to_list()))
    if not scores:
        return None
    figure, panels = _figure(theme, 9.6, 1.75 * len(scores), rows=len(scores))
    for axes, score in zip(panels, scores, strict=True):
        own = each.filter(pl.col("score") == score)
        shown = [(key, colours[key], names[key]) for key in names]
        shown.append(((None,), theme.ink, REAL_LINES))
        for place, (key, colour, label) in enumerate(shown):
            mine = own.filter(
                pl.col("model") == REAL_LINES
                if len(key) == 1
                else pl.all_horizontal(
                    pl.col(n).eq_missing(pl.lit(v, pl.String))
                    for n, v in zip(MODEL, key, strict=True)
                )
            )
            shift = 0.6 * (place / max(1, len(shown) - 1) - 0.5)
            for row in mine.iter_rows(named=True):
                x = languages.index(row["language"]) + shift
                if row["low"] is not None:
                    axes.vlines(x, row["low"], row["high"], color=colour, alpha=0.5)
                axes.plot(x, row["value"], "_" if len(key) == 1 else "o", color=colour,
                          markersize=5)  # fmt: skip
            axes.plot([], [], "_" if len(key) == 1 else "o", color=colour, label=label)
        axes.set_title(BY_NAME[score].title, loc="left", fontsize=10, color=theme.ink)
        axes.set_xticks(range(len(languages)), languages)
        axes.set_xlim(-0.6, len(languages) - 0.4)
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=5, frameon=False, fontsize=9,
                  labelcolor=theme.ink)  # fmt: skip
    return figure


def nothing(said: str) -> "Figure":
    """Draw why there is nothing to draw."""
    figure, axes = _figure(LIGHT, 7.6, 4.6)
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


def _wide(table: pl.DataFrame, scores: Sequence[str]) -> pl.DataFrame:
    """Return means over languages, a row per model and profile, that have all of the scores."""
    means = table.filter(pl.col("language") == MEAN, pl.col("score").is_in(list(scores)))
    index = [*MODEL, "profile", "served"]
    if means.is_empty():
        return means
    wide = None
    for score in scores:
        own = means.filter(pl.col("score") == score).select(
            *index,
            pl.col("value").alias(score),
            pl.col("low").alias(f"{score}_low"),
            pl.col("high").alias(f"{score}_high"),
        )
        wide = own if wide is None else wide.join(own, on=index, nulls_equal=True)
    assert wide is not None
    return wide.drop_nulls(list(scores))


def _bars(axes: "Axes", row: dict[str, Any], x: str, y: str, colour: str) -> None:
    if row[f"{x}_low"] is not None:
        axes.hlines(row[y], row[f"{x}_low"], row[f"{x}_high"], color=colour, alpha=0.4)
    if row[f"{y}_low"] is not None:
        axes.vlines(row[x], row[f"{y}_low"], row[f"{y}_high"], color=colour, alpha=0.4)


def _key(row: dict[str, Any]) -> Key:
    return tuple(row[name] for name in MODEL)


def _colours(keys: Iterable[Key], theme: Theme) -> dict[Key, str]:
    greys, colours = cycle(theme.greys), cycle(theme.colours)
    return {key: next(greys if key[2] == "base" else colours) for key in keys}


def _figure(
    theme: Theme, width: float, height: float, *, rows: int = 1, columns: int = 1
) -> "tuple[Figure, Any]":
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


def _legend(axes: "Axes", theme: Theme) -> None:
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(frameon=False, fontsize=9, labelcolor=theme.ink,
                    bbox_to_anchor=(1.01, 1), loc="upper left")  # fmt: skip
