"""Sampling profiles whose answers repeat themselves too often to be used."""

from collections.abc import Iterable

from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.results import ModelKey
from cyrene_assets.evaluation.scoring.score_registry import SCORES

# So much more than the real lines: answers that repeat a phrase over and over, and the share of
# repeated 4-grams. Any reader notices either within a few answers.
RED_FLAGS = {"loop_rate": 0.10, "rep4": 0.20}


def looping_profiles(
    board: Scoreboard, key: ModelKey, profiles: Iterable[str | None]
) -> dict[str | None, str]:
    """Return those of a model's profiles that loop, each with the numbers that say so."""
    found = {}
    for profile in profiles:
        reasons = []
        for name, red_flag in RED_FLAGS.items():
            value, real = board.value(key, name, profile), board.real_value(key, name)
            if value is not None and value.value > (real.value if real else 0.0) + red_flag:
                score = SCORES[name]
                reasons.append(f"{score.title} {score.format(value.value)}")
        if reasons:
            found[profile] = ", ".join(reasons)
    return found
