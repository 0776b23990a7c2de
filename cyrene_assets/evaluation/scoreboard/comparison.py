"""Two models compared by one score: which is better, by how much, and how certain that is."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cyrene_assets.evaluation.scoring.score_registry import Score
from cyrene_assets.evaluation.statistics.bootstrap import TOO_FEW, Estimate

Verdict = Literal["better", "worse", "same", "unknown"]

_DIRECTIONS: Mapping[str, int] = {"high": 1, "low": -1, "real": -1, "half": -1}
_SAME = "no significant difference"


@dataclass(frozen=True)
class Value:
    """A score's mean over languages, with the ends of its 95% interval."""

    value: float
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half of its interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class ModelComparison:
    """One score of two models, or of one model under two sampling profiles.

    ``difference`` is the first less the second; of a score that is better near a reference (the
    real lines, or one half) it is how much farther from it the first is, and ``reference`` is that
    value.
    """

    score: Score
    first: Value
    second: Value
    difference: Estimate
    verdict: Verdict
    reference: float | None = None

    def describe(self) -> str:
        """Return it as one line, with numbers."""
        shown, signed = self.score.format, self.score.format_difference
        line = f"{_name(self.score)} {shown(self.first.value)} against {shown(self.second.value)}"
        if self.reference is not None:
            what = "real lines" if self.score.better == "real" else "ideal"
            line += f" ({what} {shown(self.reference)})"
        line += f", {self.describe_difference()}"
        if self.difference.low is not None and self.difference.high is not None:
            line += f" [{signed(self.difference.low)}, {signed(self.difference.high)}]"
        verdicts = {
            "same": _SAME,
            "unknown": f"{self.difference.note}, so neither is called better",
        }
        return f"{line}: {verdicts.get(self.verdict, self.verdict)}"

    def describe_difference(self) -> str:
        """Return the difference with its unit."""
        value = self.difference.value or 0.0
        signed = self.score.format_difference(value)
        signed += " points" if self.score.unit == "share" else ""
        if self.reference is None:
            return signed
        return f"{signed[1:]} farther" if value > 0 else f"{signed[1:]} nearer"


def judge(
    score: Score, first: Value, second: Value, difference: Estimate, reference: float | None = None
) -> ModelComparison:
    """Decide which is better by the interval of the difference; without one it is unknown."""
    if difference.value is None or difference.low is None or difference.high is None:
        verdict: Verdict = "unknown"
    elif difference.low <= 0 <= difference.high:
        verdict = "same"
    else:
        verdict = "better" if _DIRECTIONS[score.better] * difference.value > 0 else "worse"
    return ModelComparison(score, first, second, difference, verdict, reference)


def unpaired_difference(first: Value, second: Value, reference: Value | None) -> Estimate:
    """Return the difference of two values without their scenes.

    Its half-width is the root of the sum of squares of both, as if their errors were independent:
    the cautious side, because the models answered the same prompts.
    """
    values = (first, second)
    difference = first.value - second.value
    if reference is not None:
        difference = abs(first.value - reference.value) - abs(second.value - reference.value)
    widths = [value.half_width for value in values if value.half_width is not None]
    if len(widths) < len(values):
        return Estimate(difference, note=TOO_FEW)
    return Estimate(difference, difference - math.hypot(*widths), difference + math.hypot(*widths))


def headline(
    comparisons: Iterable[ModelComparison], leads: tuple[str, str, str] = ("Yes", "No", "In part")
) -> str:
    """Summarize comparisons in one sentence that names all of them; there is no total.

    ``leads`` begin a sentence of nothing but better scores, of nothing but worse ones, and of both.
    """
    by_verdict: dict[Verdict, list[str]] = {}
    for item in comparisons:
        detail = f" ({item.describe_difference()})" if item.verdict != "same" else ""
        by_verdict.setdefault(item.verdict, []).append(_name(item.score) + detail)
    phrases: tuple[tuple[Verdict, str], ...] = (
        ("better", "better in"), ("worse", "worse in"), ("same", f"{_SAME} in"),
        ("unknown", "too little data in"),
    )  # fmt: skip
    parts = [
        f"{phrase} {', '.join(by_verdict[verdict])}"
        for verdict, phrase in phrases
        if verdict in by_verdict
    ]
    if {"better", "worse"} <= by_verdict.keys():
        lead = leads[2]
    elif "better" in by_verdict:
        lead = leads[0]
    elif "worse" in by_verdict:
        lead = leads[1]
    else:
        lead = "Unknown" if "unknown" in by_verdict else "No difference"
    return f"{lead}: {'; '.join(parts)}"


def dominates(comparisons: Sequence[ModelComparison]) -> bool:
    """Return whether the first is ahead or level in every score, and significantly ahead in one."""
    ahead_or_level = (
        _DIRECTIONS[item.score.better] * (item.difference.value or 0.0) >= 0 for item in comparisons
    )
    return all(ahead_or_level) and any(item.verdict == "better" for item in comparisons)


def _name(score: Score) -> str:
    return score.title if score.title.isupper() else score.title[0].lower() + score.title[1:]
