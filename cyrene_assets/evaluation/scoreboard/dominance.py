"""Which of several are beaten: behind in one score, and ahead in none, beyond doubt."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from cyrene_assets.evaluation.scoreboard.comparison import ModelComparison
from cyrene_assets.evaluation.statistics.significance import ERROR, holm, p_above

Entry = TypeVar("Entry")


def beaten_by(
    entries: Sequence[Entry], compare: Callable[[Entry, Entry], Sequence[ModelComparison] | None]
) -> Mapping[Entry, list[Entry]]:
    """Return by whom each of the models or profiles is beaten.

    "A is beaten by B" is a claim with one p-value (`p_dominates`). All claims that could be made
    are one family: that any of those that are made is wrong has at most the probability `ERROR`.

    Args:
        entries: the models or profiles.
        compare: of the first with the second, a comparison for each score; None if they are not to
            be compared.
    """
    claims = [
        (first, second, p_dominates(comparisons))
        for first in entries
        for second in entries
        if first != second and (comparisons := compare(first, second)) is not None
    ]
    beaten: dict[Entry, list[Entry]] = {entry: [] for entry in entries}
    adjusted = holm([p_value for _, _, p_value in claims])
    for (first, second, _), p_value in zip(claims, adjusted, strict=True):
        if p_value < ERROR:
            beaten[second].append(first)
    return beaten


def p_dominates(comparisons: Sequence[ModelComparison]) -> float:
    """Return the p-value of the claim that the first is ahead in some score and level in the rest.

    Level is shown, not the absence of a significant difference: that the first is not behind by
    `Score.smallest`. A lead less than that is none. 1 where a score has no interval, and where the
    first has no value in a language in which the second has: it is not better for its silence.
    """
    leads, setbacks = [], []
    for one in comparisons:
        gain, smallest = one.gain, one.score.smallest
        if gain.value is None or one.only_second:
            return 1.0
        setbacks.append(p_above(gain, -smallest))
        if gain.value >= smallest:
            leads.append(p_above(gain))
    if not leads:
        return 1.0
    # Bonferroni over the scores that it may lead in; that it is level must be true of each.
    return max(min(1.0, len(comparisons) * min(leads)), *setbacks)
