"""The style of the scoreboard's pictures, each for a light and for a dark page."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """Colours of a page: the colour-blind can distinguish those of models (Okabe and Ito 2008).

    On a light page some are darker, for a contrast of about three to one.
    """

    paper: str
    ink: str
    grid: str
    greys: tuple[str, ...]
    colours: tuple[str, ...]

    def all_colours(self) -> tuple[str, ...]:
        """Return every colour, in the same order in each theme."""
        return (self.paper, self.ink, self.grid, *self.greys, *self.colours)


LIGHT = Theme(
    "#ffffff", "#22262b", "#e4e1dc", ("#7d858e", "#59626c", "#949ca5"),
    ("#0072b2", "#c77f00", "#009e73", "#b85f92", "#3a95cf", "#d55e00", "#7f3c8d"),
)  # fmt: skip
DARK = Theme(
    "#1d2024", "#e6e4e0", "#383e45", ("#8a929b", "#c3c9cf", "#6f7881"),
    ("#56a9e0", "#f0b64a", "#3fc59d", "#e0a3c5", "#8fd0f5", "#f28a4b", "#b98ac6"),
)  # fmt: skip
_DARK_OF = dict(zip(LIGHT.all_colours(), DARK.all_colours(), strict=True))
_COLOURS = re.compile("|".join(_DARK_OF))


def empty_figure(message: str) -> "Figure":
    """Return a figure with a message in place of a drawing."""
    figure, axes = new_figure(LIGHT, 7.6, 4.6)
    axes.text(0.5, 0.5, message, ha="center", transform=axes.transAxes)
    return figure


def render(figure: "Figure", kind: str) -> bytes:
    """Return a figure as PNG or SVG, the same bytes for the same figure."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "scoreboard", "svg.fonttype": "path"}):
        metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=160, metadata=metadata)
    return buffer.getvalue()


def in_both_themes(draw: "Callable[[Theme], Figure | None]") -> tuple[bytes, bytes] | None:
    """Return a picture as SVG for a light and for a dark page; None if there is nothing to draw.

    It is drawn once: on the dark page each colour of the light theme is that of the dark one.
    """
    figure = draw(LIGHT)
    if figure is None:
        return None
    light = render(figure, "svg").decode()
    return light.encode(), _COLOURS.sub(lambda match: _DARK_OF[match[0]], light).encode()


def new_figure(
    theme: Theme, width: float, height: float, *, rows: int = 1, columns: int = 1
) -> "tuple[Figure, Any]":
    """Return a figure, width and height in inches, and its panels: one, or a list row by row."""
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
