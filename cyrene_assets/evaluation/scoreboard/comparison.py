"""Two models compared by one score: which is better, by how much, and how certain that is."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cyrene_assets.evaluation.scoring.score_registry import Score
from cyrene_assets.evaluation.statistics import significance
from cyrene_assets.evaluation.statistics.bootstrap import TOO_FEW, Estimate

Verdict = Literal["better", "worse", "level", "same", "unknown"]

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
    value. All are over the languages that both have; ``only_first`` and ``only_second`` are those
    that the other one lacks.

    ``verdict`` is "better" or "worse" where the difference is significant among the ``family``
    comparisons that are told together, and not less than is worth naming (`Score.smallest`);
    "level" where the complete interval is less, "unknown" without an interval, else "same".
    """

    score: Score
    first: Value
    second: Value
    difference: Estimate
    verdict: Verdict
    reference: float | None = None
    family: int = 1
    only_first: tuple[str, ...] = ()
    only_second: tuple[str, ...] = ()

    @property
    def gain(self) -> Estimate:
        """The difference, turned so that more is better."""
        one = self.difference
        if _DIRECTIONS[self.score.better] > 0 or one.value is None:
            return one
        low, high = (None if end is None else -end for end in (one.high, one.low))
        return replace(one, value=-one.value, low=low, high=high)

    def describe(self) -> str:
        """Return it as one line, with numbers."""
        shown, signed = self.score.format, self.score.format_difference
        values = f"{shown(self.first.value)} against {shown(self.second.value)}"
        line = f"{self.score.title_within} {values}"
        if self.reference is not None:
            what = "real lines" if self.score.better == "real" else "ideal"
            line += f" ({what} {shown(self.reference)})"
        line += f", {self.describe_difference()}"
        if self.difference.low is not None and self.difference.high is not None:
            line += f" [{signed(self.difference.low)}, {signed(self.difference.high)}]"
        line += f"{self._describe_missing()}: "
        verdicts = {
            "same": self._describe_same(),
            "level": f"level, within {self.score.format_smallest()}",
            "unknown": f"{self.difference.note}, so neither is called better",
        }
        return line + verdicts.get(self.verdict, self.verdict)

    def _describe_same(self) -> str:
        p_value = significance.p_differs(self.difference)
        if p_value >= significance.ERROR:
            return _SAME
        if abs(self.difference.value or 0.0) < self.score.smallest:
            return f"less than {self.score.format_smallest()}, too little to name"
        return f"not significant as one of {self.family} comparisons"

    def _describe_missing(self) -> str:
        sides = (("first", self.only_second), ("second", self.only_first))
        return "".join(
            f", without {', '.join(languages)} (the {side} has no value there)"
            for side, languages in sides
            if languages
        )

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
    """Decide which is better by this difference alone: see `as_family`."""
    alone = ModelComparison(score, first, second, difference, "unknown", reference)
    return replace(alone, verdict=_verdict(alone, significance.p_differs(difference)))


def as_family(comparisons: Sequence[ModelComparison]) -> list[ModelComparison]:
    """Return the comparisons with the verdicts that hold together.

    The probability that any of them is called better or worse although there is no difference is
    at most `significance.ERROR` (Holm). Those without an interval do not count.
    """
    told = [one for one in comparisons if one.difference.low is not None]
    p_values = significance.holm([significance.p_differs(one.difference) for one in told])
    adjusted = dict(zip(map(id, told), p_values, strict=True))
    return [
        replace(one, verdict=_verdict(one, adjusted.get(id(one), 1.0)), family=len(told))
        for one in comparisons
    ]


def _verdict(comparison: ModelComparison, p_value: float) -> Verdict:
    gain, smallest = comparison.gain, comparison.score.smallest
    if gain.value is None or gain.low is None or gain.high is None:
        return "unknown"
    if -smallest < gain.low and gain.high < smallest:
        return "level"
    if p_value >= significance.ERROR or abs(gain.value) < smallest:
        return "same"
    return "better" if gain.value > 0 else "worse"


def unpaired_difference(
    first: Value, second: Value, reference: Value | None, freedom: float
) -> Estimate:
    """Return the difference of two values without their scenes.

    Its half-width is the root of the sum of squares of both, as if their errors were independent:
    the cautious side, because the models answered the same prompts. ``freedom`` is that of both
    intervals.
    """
    values = (first, second)
    difference = first.value - second.value
    if reference is not None:
        difference = abs(first.value - reference.value) - abs(second.value - reference.value)
    widths = [value.half_width for value in values if value.half_width is not None]
    if len(widths) < len(values):
        return Estimate(difference, note=TOO_FEW)
    reach = math.hypot(*widths)
    return Estimate(difference, difference - reach, difference + reach, freedom=freedom)


def headline(
    comparisons: Sequence[ModelComparison], leads: tuple[str, str, str] = ("Yes", "No", "In part")
) -> str:
    """Summarize comparisons in one sentence that names all of them; there is no total.

    ``leads`` begin a sentence of nothing but better scores, of nothing but worse ones, and of both.
    """
    by_verdict: dict[Verdict, list[str]] = {}
    for item in comparisons:
        equal = item.verdict in ("same", "level")
        detail = "" if equal else f" ({item.describe_difference()})"
        by_verdict.setdefault(item.verdict, []).append(item.score.title_within + detail)
    phrases: tuple[tuple[Verdict, str], ...] = (
        ("better", "better in"), ("worse", "worse in"), ("level", "level in"),
        ("same", f"{_SAME} in"), ("unknown", "too little data in"),
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
    return f"{lead}: {'; '.join([*parts, *_missing(comparisons)])}"


def _missing(comparisons: Sequence[ModelComparison]) -> Iterator[str]:
    """Yield what either lacks: nobody is better for silence, and the reader is told of it."""
    for side, name in (("only_second", "first"), ("only_first", "second")):
        scores_of: dict[tuple[str, ...], list[str]] = {}
        for one in comparisons:
            languages: tuple[str, ...] = getattr(one, side)
            if languages:
                scores_of.setdefault(languages, []).append(one.score.title_within)
        for languages, scores in scores_of.items():
            where = "" if len(scores) == len(comparisons) else f" of {', '.join(scores)}"
            yield f"compared without {', '.join(languages)}, where the {name} has no value{where}"
