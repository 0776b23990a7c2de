"""The pictures of the scoreboard's page, with captions that say what is drawn."""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from cyrene_assets.config.model_roles import NAMES
from cyrene_assets.evaluation.scoreboard import figures, plot_style
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.pareto import Candidate
from cyrene_assets.evaluation.scoreboard.results import EvaluationResult
from cyrene_assets.evaluation.scoreboard.standing import standings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PagePicture:
    """A picture with its caption, in base64: for wide pages and phones, light and dark."""

    title: str
    caption: str
    light: str
    dark: str
    narrow_light: str
    narrow_dark: str


def page_pictures(
    board: Scoreboard,
    table: pl.DataFrame,
    candidates: Sequence[Candidate],
    results: Sequence[EvaluationResult],
    languages: Sequence[str],
) -> Iterator[PagePicture]:
    """Yield the pictures that there is something to draw for; ``languages`` is their order."""
    drawn: tuple[tuple[str, str, Callable[..., Figure | None]], ...] = (
        ("Diversity against repetition", "A mark per sampling profile, the star is the real lines, "
         "grey is the base model. Up and to the left is varied and repeats little. Mean over "
         "languages.", partial(figures.plot_tradeoff, board)),
        ("Which checkpoint", _caption_of_choice(board, candidates),
         partial(figures.plot_choice, board, candidates)),
        ("Losses", "Training (thin) and validation loss of the models' trainings; the dotted line "
         "is the checkpoint that was kept.", partial(figures.plot_losses, results)),
        ("Language by language", _caption_of_languages(table),
         partial(figures.plot_languages, board, table, languages)),
    )  # fmt: skip
    for title, caption, draw in drawn:
        wide, narrow = (plot_style.in_both_themes(partial(draw, narrow=n)) for n in (False, True))
        if wide is not None and narrow is not None:
            encoded = (base64.b64encode(image).decode("ascii") for image in (*wide, *narrow))
            yield PagePicture(title, caption, *encoded)


def _caption_of_choice(board: Scoreboard, candidates: Sequence[Candidate]) -> str:
    caption = "Lore, style and loss against regurgitation: models to the left recite less."
    if "unbeaten" in standings(board, candidates).values():
        caption += " A ringed model is beaten by no other in lore, style and regurgitation at once."
    if any(candidate.key.model not in NAMES for candidate in candidates):
        caption += (
            " One to the right of an earlier checkpoint at the same loss has begun to recite, and "
            "its loss does not show it."
        )
    return caption


def _caption_of_languages(table: pl.DataFrame) -> str:
    caption = "Each model under its served profile; the line is the real lines' value."
    if table.filter(pl.col("served"), pl.col("low").is_not_null()).height:
        return f"{caption} Bars are 95% intervals over scenes."
    return f"{caption} There are too few scenes for intervals."
