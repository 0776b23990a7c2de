"""The cost of a plan: its steps with their estimates, as a table, as JSON, and in one line."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cyrene_assets.diagnostics.measured_rates import Basis
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.formatting import format_duration
from cyrene_assets.utils.formatting import format_size as shown_size
from cyrene_assets.utils.formatting import table as make_table

if TYPE_CHECKING:
    from rich.table import Table

# A build that may take longer says so before its first step, in seconds.
LONG = 600.0


# Characters of a line that hold the table with all its columns.
_WIDE = 100


@dataclass(frozen=True)
class StepEstimate:
    """One waiting step; None where nothing is known. ``bytes`` is what it adds to the store.

    ``seconds`` lie between ``low`` and ``high``; ``basis`` and ``how`` say where they come from,
    ``counted`` how the ``tokens`` do where they were not counted. A training has
    ``optimizer_steps``, and a ``warning`` where they are too few.
    """

    step: ArtifactKey
    reason: str
    tokens: int | None
    seconds: float | None
    bytes: int | None
    optimizer_steps: int | None = None
    warning: str | None = None
    low: float | None = None
    high: float | None = None
    basis: Basis | None = None
    how: str | None = None
    counted: str | None = None


@dataclass(frozen=True)
class Estimate:
    """A plan's cost."""

    steps: tuple[StepEstimate, ...]
    up_to_date: int
    free_bytes: int

    @property
    def seconds(self) -> float | None:
        """The sum over the steps whose time is known, or None when none is."""
        return sum_known([step.seconds for step in self.steps])

    @property
    def low(self) -> float | None:
        """The least that the steps of known time take together."""
        return sum_known([step.low for step in self.steps])

    @property
    def high(self) -> float | None:
        """The most that the steps of known time take together."""
        return sum_known([step.high for step in self.steps])

    @property
    def long(self) -> bool:
        """Whether the build may take over `LONG` seconds, for all that is known."""
        return self.unknown > 0 or (self.high or 0.0) > LONG

    @property
    def unknown(self) -> int:
        """How many steps have no known time."""
        return sum(step.seconds is None for step in self.steps)

    @property
    def bytes(self) -> int:
        """The sum of the steps' bytes."""
        return sum(step.bytes or 0 for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON value; hours are None where nothing is known."""
        return {
            "up_to_date": self.up_to_date,
            "steps": [{**asdict(step), "step": str(step.step)} for step in self.steps],
            "hours": _hours(self.seconds),
            "hours_low": _hours(self.low),
            "hours_high": _hours(self.high),
            "steps_of_unknown_time": self.unknown,
            "bytes": self.bytes,
            "free_bytes": self.free_bytes,
        }

    def table(self, width: int) -> "Table":
        """Return the plan as a table, one row per asset, for a screen of ``width`` characters.

        What a time is from also stands below the table: a narrow screen shows it there alone.
        """
        rows = [
            [
                str(members[0].step) if len(members) == 1 else f"{asset} x {len(members)}",
                members[0].reason,
                _shown_sum([m.tokens for m in members], "{:,}".format),
                _shown_sum([m.optimizer_steps for m in members], "{:,}".format),
                _shown_sum([m.seconds for m in members], format_duration),
                _range(sum_known([m.low for m in members]), sum_known([m.high for m in members])),
                _basis(members),
                _shown_sum([m.bytes for m in members], shown_size),
            ]
            for asset, members in self._grouped().items()
        ]
        columns = ["step", "why", "tokens", "optimizer steps", "time", "between", "from", "disk"]
        right = {*columns[2:6], "disk"}
        if width < _WIDE:
            columns[3] = "steps"
            columns.pop(6)
            rows = [row[:6] + row[7:] for row in rows]
            right.add("steps")
        result = make_table(None, columns, rows, right=right)
        # The words fold, names and numbers do not.
        for column in result.columns:
            column.no_wrap = column.header != "why"
        return result

    @property
    def warnings(self) -> list[str]:
        """What the waiting steps had better not be, a line each."""
        return [f"{step.step}: {step.warning}" for step in self.steps if step.warning]

    @property
    def notes(self) -> list[str]:
        """How tokens and times were estimated, a line for all that were in the same way."""
        assets_by_note: dict[str, list[str]] = {}
        for asset, members in self._grouped().items():
            for step in members:
                of = [f"tokens: {step.counted}"] if step.counted else []
                of += [f"{step.basis}: {step.how}"] if step.basis else []
                for words in of:
                    assets = assets_by_note.setdefault(words, [])
                    if asset not in assets:
                        assets.append(asset)
        return [
            f"{words} ({', '.join(assets)})" for words, assets in sorted(assets_by_note.items())
        ]

    def summary(self) -> str:
        """Return the plan's sum in one line."""
        if not self.steps:
            return f"nothing to build, {self.up_to_date} up to date"
        time = "unknown time" if self.seconds is None else f"about {format_duration(self.seconds)}"
        if self.seconds is not None:
            time += f", between {_range(self.low, self.high).replace(' - ', ' and ')}"
        if self.unknown and self.seconds is not None:
            time += f", and {counted(self.unknown, 'step')} of unknown time"
        guessed = [step for step in self.steps if step.basis == "guess"]
        if guessed and self._guessed_share() >= _MOSTLY:
            time += " (a guess: nothing like it was measured on this machine)"
        return (
            f"{len(self.steps)} to build, {self.up_to_date} up to date; {time}; "
            f"{shown_size(self.bytes)} of disk, {shown_size(self.free_bytes)} free"
        )

    def _grouped(self) -> dict[str, list[StepEstimate]]:
        grouped: dict[str, list[StepEstimate]] = {}
        for step in self.steps:
            grouped.setdefault(step.step.asset, []).append(step)
        return grouped

    def _guessed_share(self) -> float:
        guessed = sum_known([step.seconds for step in self.steps if step.basis == "guess"])
        return (guessed or 0.0) / max(self.seconds or 0.0, 1e-9)


# Of the time: from this share on, the sum is called a guess.
_MOSTLY = 0.5


def sum_known(values: Iterable[float | None]) -> float | None:
    """Return the sum of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 3600, 3)


def _range(low: float | None, high: float | None) -> str:
    return (
        "" if low is None or high is None else f"{format_duration(low)} - {format_duration(high)}"
    )


def _basis(steps: Sequence[StepEstimate]) -> str:
    """Return what the least certain of the steps rests on."""
    bases = {step.basis for step in steps}
    return next((basis for basis in ("guess", "scaled", "measured") if basis in bases), "")


def _shown_sum(values: Sequence[float | None], shown: Callable[[float], str]) -> str:
    total = sum_known(values)
    return "" if total is None else shown(total)
