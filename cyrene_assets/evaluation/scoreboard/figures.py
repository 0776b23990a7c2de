"""The scoreboard's pictures of models: profiles, the choice, and language by language."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cyrene_assets.config.model_roles import ROLES
from cyrene_assets.evaluation.scoreboard import pareto
from cyrene_assets.evaluation.scoreboard.board import of_model
from cyrene_assets.evaluation.scoreboard.comparison import Board, Key, Value
from cyrene_assets.evaluation.scoreboard.plot_style import Theme, figure_of
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE, REAL_LINES
from cyrene_assets.evaluation.scoring.score_registry import BY_NAME
from cyrene_assets.evaluation.scoring.scores import MEAN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BY_LANGUAGE = ("regurgitation_excess", "style", "language", "length_ratio", "loss", "cloze")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# A stage's own mark; a model of somebody's own has another.
_STAGES = {role.name: role.marker for role in ROLES}
_OWN = "D"
_PANELS_A_ROW = 3
# Of an axis of shares: two points.
_NARROWEST = 0.02
_INCHES_A_NAME = 1.5
_CHOICE = ("cloze", "style", "loss")


def tradeoff(board: Board, theme: Theme) -> "Figure | None":
    """Draw diversity against repetition, a panel for each finished model.

    A mark per profile, the base model's in grey behind them, and a star where the real lines stand.
    """
    points = {key: found for key in board.served() if (found := _profiles(board, key))}
    if not points:
        return None
    names = list(dict.fromkeys(name for found in points.values() for name in found))
    marks = dict(zip(names, zip(_MARKERS, theme.colours, strict=True), strict=False))
    columns = min(_PANELS_A_ROW, len(points))
    rows = math.ceil(len(points) / columns)
    figure, panels = figure_of(theme, 1.8 + 2.7 * columns, 0.9 + 2.7 * rows, rows=rows,
                               columns=columns)  # fmt: skip
    panels = panels if isinstance(panels, list) else [panels]
    for axes, (key, found) in zip(panels, points.items(), strict=False):
        base = board.base_of(key)
        if base is not None:
            for name, (x, y) in _profiles(board, base).items():
                if name in marks:
                    axes.plot(x.value, y.value, marks[name][0], color=theme.greys[0], markersize=5,
                              alpha=0.7)  # fmt: skip
        for name, (x, y) in found.items():
            marker, colour = marks.get(name, (_MARKERS[0], theme.ink))
            _bars(axes, x, y, colour)
            axes.plot(x.value, y.value, marker, color=colour, markersize=8,
                      markeredgecolor=theme.paper, label=name)  # fmt: skip
        repeated, varied = (board.real(key, score) for score in ("rep4", "distinct_2"))
        if repeated is not None and varied is not None:
            axes.plot(
                repeated.value, varied.value, "*", color=theme.ink, markersize=14, label=REAL_LINES
            )
        axes.plot([], [], "v", color=theme.greys[0], markersize=5, label="the base model")
        axes.set_title(board.names[key], loc="left", fontsize=10, color=theme.ink)
        axes.set_xlabel("rep-4, less repeats less")
        axes.set_ylabel("distinct-2, more is more varied")
        axes.margins(0.15)
        _in_percent(axes)
    for axes in panels[len(points) :]:
        axes.set_axis_off()
    _one_legend(figure, panels[0], theme)
    return figure


def choice(board: Board, found: Sequence[pareto.Candidate], theme: Theme) -> "Figure | None":
    """Draw lore, style and loss against regurgitation; what no other model beats is ringed."""
    if not found:
        return None
    colours = _colours(board, theme)
    figure, panels = figure_of(theme, 11, 4.2, columns=len(_CHOICE))
    for axes, score in zip(panels, _CHOICE, strict=True):
        for one in found:
            y = board.value(one.key, score)
            if y is None:
                continue
            x, edge = one.values["regurgitation_excess"], theme.ink if one.best else theme.paper
            axes.plot(x, y.value, _mark(one.key),
                      color=colours[one.key], markersize=9, markeredgecolor=edge,
                      markeredgewidth=1.8, label=board.names[one.key])  # fmt: skip
            if _mark(one.key) == _OWN:
                axes.annotate(board.names[one.key], (x, y.value), xytext=(6, 5), fontsize=8,
                              textcoords="offset points", color=theme.ink,
                              parse_math=False)  # fmt: skip
        title = BY_NAME[score].title
        axes.set_title(title, loc="left", fontsize=10, color=theme.ink)
        axes.set_xlabel("recites more than the real lines")
        axes.set_ylabel("less is better" if BY_NAME[score].better == "low" else "more is better")
        axes.axvline(0, color=theme.grid, linewidth=1.5, zorder=0)
        axes.margins(0.2)
        _in_percent(axes)
    _one_legend(figure, panels[0], theme)
    return figure


def by_language(board: Board, table: pl.DataFrame, theme: Theme) -> "Figure | None":
    """Draw some scores of the base and finished models in each language, as served."""
    each = table.filter(pl.col("language") != MEAN, pl.col("served")).drop_nulls("value")
    served = board.served()
    bases = list(dict.fromkeys(filter(None, map(board.base_of, served))))
    keys, colours = [*bases, *served], _colours(board, theme)
    scores = [name for name in BY_LANGUAGE if len(each.filter(pl.col("score") == name))]
    languages = sorted(set(each["language"].to_list()))
    if not scores or not keys:
        return None
    figure, panels = figure_of(theme, 11, 1.8 * len(scores), rows=len(scores))
    panels = panels if isinstance(panels, list) else [panels]
    for axes, score in zip(panels, scores, strict=True):
        own = each.filter(pl.col("score") == score)
        real = own.filter(pl.col("model") == REAL_LINES).unique("language", keep="first")
        at = np.array([languages.index(language) for language in real["language"]])
        axes.hlines(real["value"], at - 0.38, at + 0.38, color=theme.ink, linewidth=1.4)
        axes.plot([], [], "-", color=theme.ink, label=REAL_LINES)
        for place, key in enumerate(keys):
            shift = 0.66 * ((place + 0.5) / len(keys) - 0.5)
            mine = of_model(own, key)
            at = np.array([languages.index(language) + shift for language in mine["language"]])
            known = mine["low"].is_not_null().to_numpy()
            ends = (mine[name].to_numpy()[known] for name in ("low", "high"))
            axes.vlines(at[known], *ends, color=colours[key], alpha=0.6)
            axes.plot(at, mine["value"], _mark(key), color=colours[key], markersize=4,
                      label=board.names[key])  # fmt: skip
        axes.set_title(BY_NAME[score].title, loc="left", fontsize=10, color=theme.ink)
        axes.set_xticks(range(len(languages)), languages)
        axes.set_xlim(-0.6, len(languages) - 0.4)
        for place in range(1, len(languages)):
            axes.axvline(place - 0.5, color=theme.grid, linewidth=0.6, zorder=0)
        axes.grid(visible=False, axis="x")
        if BY_NAME[score].unit == "share":
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    _one_legend(figure, panels[0], theme)
    return figure


def _profiles(board: Board, key: Key) -> Mapping[str, tuple[Value, Value]]:
    own = of_model(board.means, key).filter(pl.col("profile") != NO_PROFILE)
    found = {}
    for name in own["profile"].unique(maintain_order=True):
        x, y = (board.value(key, score, name) for score in ("rep4", "distinct_2"))
        if x is not None and y is not None:
            found[name] = (x, y)
    return found


def _bars(axes: "Axes", x: Value, y: Value, colour: str) -> None:
    if x.low is not None and x.high is not None:
        axes.hlines(y.value, x.low, x.high, color=colour, alpha=0.4)
    if y.low is not None and y.high is not None:
        axes.vlines(x.value, y.low, y.high, color=colour, alpha=0.4)


def _mark(key: Key) -> str:
    return _STAGES.get(str(key[2]), _OWN)


def _in_percent(axes: "Axes") -> None:
    low, high = axes.get_xlim()
    if high - low < _NARROWEST:
        # Models that recite alike are not drawn apart.
        axes.set_xlim((low + high - _NARROWEST) / 2, (low + high + _NARROWEST) / 2)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")


def _one_legend(figure: "Figure", axes: "Axes", theme: Theme) -> None:
    handles, names = axes.get_legend_handles_labels()
    columns = min(5, len(names), int(figure.get_figwidth() / _INCHES_A_NAME))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False,
                  fontsize=9, labelcolor=theme.ink)  # fmt: skip


def _colours(board: Board, theme: Theme) -> dict[Key, str]:
    """Return a colour for each training, which its stages and checkpoints share; bases are grey."""
    greys, colours = cycle(theme.greys), cycle(theme.colours)
    runs: dict[Sequence[str | None], str] = {}
    found = {}
    for key in board.keys_of():
        run = key if key[2] == "base" else (*key[:2], key[3])
        if run not in runs:
            runs[run] = next(greys if key[2] == "base" else colours)
        found[key] = runs[run]
    return found
