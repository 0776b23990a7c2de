"""The scoreboard's pictures: profiles, the choice, language by language, and losses."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cyrene_assets.config.model_roles import ROLES
from cyrene_assets.evaluation.scoreboard import pareto
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.comparison import Value
from cyrene_assets.evaluation.scoreboard.plot_style import Theme, new_figure
from cyrene_assets.evaluation.scoreboard.results import EvaluationResult, ModelKey
from cyrene_assets.evaluation.scoreboard.standing import standings
from cyrene_assets.evaluation.scoreboard.table import model_rows
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE, REAL_LINES
from cyrene_assets.evaluation.scoring.run_tables import STAGES
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.evaluation.scoring.scores import MEAN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BY_LANGUAGE = ("regurgitation_excess", "style", "language", "length_ratio", "loss", "cloze")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Marks of the stages, and of a model from outside the project.
_STAGES = {role.name: role.marker for role in ROLES}
_EXTERNAL = "D"
_PANELS_PER_ROW = 3
# The width of an axis of shares: two points.
_MIN_WIDTH = 0.02
_INCHES_PER_NAME = 1.5
# The width of a picture for a phone, in inches: its panels are one below the other.
_NARROW = 4.6
_CHOICE = ("cloze", "style", "loss")


def plot_tradeoff(board: Scoreboard, theme: Theme, *, narrow: bool = False) -> "Figure | None":
    """Draw diversity against repetition, a panel for each finished model.

    A mark per profile, the base model's in grey behind them, and a star for the real lines.
    """
    profiles = ((key, _profiles(board, key)) for key in board.served())
    points = {key: values for key, values in profiles if values}
    if not points:
        return None
    names = list(dict.fromkeys(name for values in points.values() for name in values))
    marks = dict(zip(names, zip(_MARKERS, theme.colours, strict=True), strict=False))
    columns = 1 if narrow else min(_PANELS_PER_ROW, len(points))
    rows = math.ceil(len(points) / columns)
    figure, panels = new_figure(theme, 1.8 + 2.7 * columns, 0.9 + 2.7 * rows, rows=rows,
                               columns=columns)  # fmt: skip
    panels = panels if isinstance(panels, list) else [panels]
    for axes, (key, values) in zip(panels, points.items(), strict=False):
        base = board.base_of(key)
        if base is not None:
            for name, (x, y) in _profiles(board, base).items():
                if name in marks:
                    axes.plot(x.value, y.value, marks[name][0], color=theme.greys[0], markersize=5,
                              alpha=0.7)  # fmt: skip
        for name, (x, y) in values.items():
            marker, colour = marks.get(name, (_MARKERS[0], theme.ink))
            _bars(axes, x, y, colour)
            axes.plot(x.value, y.value, marker, color=colour, markersize=8,
                      markeredgecolor=theme.paper, label=name)  # fmt: skip
        repetition, diversity = (board.real_value(key, score) for score in ("rep4", "distinct_2"))
        if repetition is not None and diversity is not None:
            axes.plot(
                repetition.value,
                diversity.value,
                "*",
                color=theme.ink,
                markersize=14,
                label=REAL_LINES,
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


def plot_choice(
    board: Scoreboard,
    candidates: Sequence[pareto.Candidate],
    theme: Theme,
    *,
    narrow: bool = False,
) -> "Figure | None":
    """Draw lore, style and loss against regurgitation, with a ring around unbeaten models."""
    if not candidates:
        return None
    colours, standing = _colours(board, theme), standings(board, candidates)
    if narrow:
        figure, panels = new_figure(theme, _NARROW, 3.2 * len(_CHOICE), rows=len(_CHOICE))
    else:
        figure, panels = new_figure(theme, 11, 4.2, columns=len(_CHOICE))
    for axes, score in zip(panels, _CHOICE, strict=True):
        for candidate in candidates:
            y = board.value(candidate.key, score)
            if y is None:
                continue
            x, edge = (
                candidate.values["regurgitation_excess"],
                theme.ink if standing[candidate.key] == "unbeaten" else theme.paper,
            )
            axes.plot(x, y.value, _mark(candidate.key),
                      color=colours[candidate.key], markersize=9, markeredgecolor=edge,
                      markeredgewidth=1.8, label=board.names[candidate.key])  # fmt: skip
            if _mark(candidate.key) == _EXTERNAL:
                axes.annotate(board.names[candidate.key], (x, y.value), xytext=(6, 5), fontsize=8,
                              textcoords="offset points", color=theme.ink,
                              parse_math=False)  # fmt: skip
        title = SCORES[score].title
        axes.set_title(title, loc="left", fontsize=10, color=theme.ink)
        axes.set_xlabel("recites more than the real lines")
        axes.set_ylabel("less is better" if SCORES[score].better == "low" else "more is better")
        axes.axvline(0, color=theme.grid, linewidth=1.5, zorder=0)
        axes.margins(0.2)
        _in_percent(axes)
    _one_legend(figure, panels[0], theme)
    return figure


def plot_languages(
    board: Scoreboard,
    table: pl.DataFrame,
    order: Sequence[str],
    theme: Theme,
    *,
    narrow: bool = False,
) -> "Figure | None":
    """Draw some scores of the base and finished models in each language, in ``order``."""
    each = table.filter(pl.col("language") != MEAN, pl.col("served")).drop_nulls("value")
    served = board.served()
    bases = list(dict.fromkeys(filter(None, map(board.base_of, served))))
    keys, colours = [*bases, *served], _colours(board, theme)
    scores = [name for name in BY_LANGUAGE if len(each.filter(pl.col("score") == name))]
    present = set(each["language"].to_list())
    languages = [language for language in order if language in present]
    if not scores or not keys:
        return None
    width = _NARROW if narrow else 11
    figure, panels = new_figure(theme, width, 1.8 * len(scores), rows=len(scores))
    panels = panels if isinstance(panels, list) else [panels]
    for axes, score in zip(panels, scores, strict=True):
        values = each.filter(pl.col("score") == score)
        real = values.filter(pl.col("model") == REAL_LINES).unique("language", keep="first")
        at = np.array([languages.index(language) for language in real["language"]])
        axes.hlines(real["value"], at - 0.38, at + 0.38, color=theme.ink, linewidth=1.4)
        axes.plot([], [], "-", color=theme.ink, label=REAL_LINES)
        for place, key in enumerate(keys):
            shift = 0.66 * ((place + 0.5) / len(keys) - 0.5)
            rows = model_rows(values, key)
            at = np.array([languages.index(language) + shift for language in rows["language"]])
            has_interval = rows["low"].is_not_null().to_numpy()
            ends = (rows[name].to_numpy()[has_interval] for name in ("low", "high"))
            axes.vlines(at[has_interval], *ends, color=colours[key], alpha=0.6)
            axes.plot(at, rows["value"], _mark(key), color=colours[key], markersize=4,
                      label=board.names[key])  # fmt: skip
        axes.set_title(SCORES[score].title, loc="left", fontsize=10, color=theme.ink)
        axes.set_xticks(range(len(languages)), languages, fontsize=7 if narrow else 9)
        axes.set_xlim(-0.6, len(languages) - 0.4)
        for place in range(1, len(languages)):
            axes.axvline(place - 0.5, color=theme.grid, linewidth=0.6, zorder=0)
        axes.grid(visible=False, axis="x")
        if SCORES[score].unit == "share":
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    _one_legend(figure, panels[0], theme)
    return figure


def plot_losses(
    results: Sequence[EvaluationResult], theme: Theme, *, narrow: bool = False
) -> "Figure | None":
    """Draw the losses of every model's trainings: training thin, validation bold."""
    curves_of: dict[str, pl.DataFrame] = {}
    for result in results:
        curves = result.curves()
        if curves is not None and not curves.is_empty():
            identity = result.identity
            curves_of[f"{identity.size}, recipe {identity.recipe}, {result.corpus}"] = curves
    if not curves_of:
        return None
    if narrow:
        figure, panels = new_figure(theme, _NARROW, 6.4, rows=2)
    else:
        figure, panels = new_figure(theme, 9.6, 4.0, columns=2)
    for (name, curves), colour in zip(curves_of.items(), cycle(theme.colours), strict=False):
        for axes, (stage, _) in zip(panels, STAGES.items(), strict=True):
            rows = curves.filter(pl.col("stage") == stage)
            trained, held_out = rows.drop_nulls("loss"), rows.drop_nulls("eval_loss")
            axes.plot(trained["step"], trained["loss"], color=colour, linewidth=0.8, alpha=0.6)
            axes.plot(held_out["step"], held_out["eval_loss"], "o-", color=colour, markersize=4,
                      label=name)  # fmt: skip
            if not rows.is_empty():
                axes.axvline(rows["chosen"][0], color=colour, linestyle=":", linewidth=1)
    for axes, (_, title) in zip(panels, STAGES.items(), strict=True):
        axes.set_title(title, loc="left", fontsize=10, color=theme.ink)
        axes.set_xlabel("step")
        axes.set_ylabel("nats per token")
    _one_legend(figure, panels[0], theme)
    return figure


def _profiles(board: Scoreboard, key: ModelKey) -> Mapping[str, tuple[Value, Value]]:
    rows = model_rows(board.means, key).filter(pl.col("profile") != NO_PROFILE)
    values = {}
    for name in rows["profile"].unique(maintain_order=True):
        x, y = (board.value(key, score, name) for score in ("rep4", "distinct_2"))
        if x is not None and y is not None:
            values[name] = (x, y)
    return values


def _bars(axes: "Axes", x: Value, y: Value, colour: str) -> None:
    if x.low is not None and x.high is not None:
        axes.hlines(y.value, x.low, x.high, color=colour, alpha=0.4)
    if y.low is not None and y.high is not None:
        axes.vlines(x.value, y.low, y.high, color=colour, alpha=0.4)


def _mark(key: ModelKey) -> str:
    return _STAGES.get(str(key.model), _EXTERNAL)


def _in_percent(axes: "Axes") -> None:
    low, high = axes.get_xlim()
    if high - low < _MIN_WIDTH:
        # Nearly equal models are not drawn far apart.
        axes.set_xlim((low + high - _MIN_WIDTH) / 2, (low + high + _MIN_WIDTH) / 2)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")


def _one_legend(figure: "Figure", axes: "Axes", theme: Theme) -> None:
    handles, names = axes.get_legend_handles_labels()
    if not handles:
        return
    per_name = max(_INCHES_PER_NAME, 0.6 + 0.075 * max(map(len, names)))
    columns = max(1, min(5, len(names), int(figure.get_figwidth() / per_name)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False,
                  fontsize=9, labelcolor=theme.ink)  # fmt: skip


def _colours(board: Scoreboard, theme: Theme) -> dict[ModelKey, str]:
    """Return a colour for each training, which its stages and checkpoints share; bases are grey."""
    greys, colours = cycle(theme.greys), cycle(theme.colours)
    by_run: dict[ModelKey, str] = {}
    result = {}
    for key in board.find_models():
        is_base = key.model == "base"
        run = key if is_base else key._replace(model=None, digest=None)
        if run not in by_run:
            by_run[run] = next(greys if is_base else colours)
        result[key] = by_run[run]
    return result
