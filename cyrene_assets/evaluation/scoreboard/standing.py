"""How a candidate stands among the others: unbeaten takes a rival, and scenes to compare it on."""

from collections.abc import Sequence
from typing import Literal

from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.pareto import AXES, Candidate
from cyrene_assets.evaluation.scoreboard.results import ModelKey

# "alone" has no rival on the same corpus version; "unknown" has some, and too few scenes.
Standing = Literal["unbeaten", "beaten", "alone", "unknown"]


def standings(board: Scoreboard, candidates: Sequence[Candidate]) -> dict[ModelKey, Standing]:
    """Return how each candidate stands among the candidates of its corpus version."""
    return {one.key: _standing(board, one, candidates) for one in candidates}


def _standing(board: Scoreboard, one: Candidate, candidates: Sequence[Candidate]) -> Standing:
    if one.dominated_by:
        return "beaten"
    rivals = [
        other.key
        for other in candidates
        if other.key != one.key and other.key.corpus == one.key.corpus
    ]
    if not rivals:
        return "alone"
    is_compared = any(
        comparison.verdict != "unknown"
        for rival in rivals
        for comparison in board.compare(rival, one.key, AXES)
    )
    return "unbeaten" if is_compared else "unknown"
