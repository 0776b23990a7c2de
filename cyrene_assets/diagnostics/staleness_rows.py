"""What is out of date, artifact by artifact, and the rows of a table that it makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cyrene_assets.diagnostics.estimate_table import sum_known
from cyrene_assets.orchestration.failed_attempts import FailedRun
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.utils.formatting import format_duration

_DIGEST_LENGTH = 8
_SHOWN_CHANGES = 3


@dataclass(frozen=True)
class Item:
    """One artifact that is out of date.

    ``rebuilt`` says when that happens by itself, ``run`` is the run that is about to make it or
    something before it. ``seconds`` and ``bytes`` are None where nothing is known. ``failure`` is
    the run that could not make it, ``blocked_by`` an artifact before it that could not be made.
    """

    step: Step
    rebuilt: str
    run: str | None
    seconds: float | None
    bytes: int | None
    failure: FailedRun | None = None
    blocked_by: str | None = None

    @property
    def when(self) -> str:
        """When it is rebuilt, in a few words: a date stands in the line of the cost."""
        if self.failure is not None:
            return "after a fix" if self.failure.bad_input else self.failure.outcome
        return self.rebuilt.partition(":")[0]

    @property
    def why(self) -> str:
        """The reason, and whether a run is about to fix it."""
        return f"{self.step.reason}{' (a run is at work)' if self.run else ''}"

    def as_dict(self) -> dict[str, Any]:
        """Return the item as a JSON value."""
        return {
            "artifact": str(self.step.key),
            "asset": self.step.key.asset,
            "partition": self.step.key.partition,
            "reason": self.step.reason,
            "changes": [
                {"kind": c.kind, "name": c.name, "from": c.old, "to": c.new}
                for c in self.step.changes
            ],
            "rebuilt": self.rebuilt,
            "blocked_by": self.blocked_by,
            "error": None if self.failure is None else self.failure.error,
            "run": self.run,
            "seconds": self.seconds,
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class Row:
    """Items of one asset that are out of date for one reason."""

    items: Sequence[Item]

    @property
    def name(self) -> str:
        """The artifact, or the asset and how many partitions of it."""
        first = self.items[0].step
        return str(first.key) if len(self.items) == 1 else f"{first.key.asset} x {len(self.items)}"

    @property
    def why(self) -> str:
        """The reason."""
        return self.items[0].why

    @property
    def rebuilt(self) -> str:
        """When it is rebuilt by itself."""
        return self.items[0].rebuilt

    @property
    def when(self) -> str:
        """When it is rebuilt, in a few words."""
        return self.items[0].when

    @property
    def settings(self) -> str:
        """The settings then and now, of the first changes; digests of files say nothing."""
        changes = [
            change
            for change in self.items[0].step.changes
            if change.kind == "setting" and not isinstance(change.new, list | dict)
        ]
        shown = [f"{_short(c.old)} -> {_short(c.new)}" for c in changes[:_SHOWN_CHANGES]]
        return ", ".join(shown) + (" ..." if len(changes) > _SHOWN_CHANGES else "")

    @property
    def change(self) -> str:
        """The values or digests then and now, of the first changes."""
        changes = self.items[0].step.changes
        shown = [f"{_short(c.old)} -> {_short(c.new)}" for c in changes[:_SHOWN_CHANGES]]
        return ", ".join(shown) + (" ..." if len(changes) > _SHOWN_CHANGES else "")

    @property
    def time(self) -> str:
        """About how long it takes."""
        return time_of(self.items)


def time_of(items: Sequence[Item]) -> str:
    """Return about how long items take together."""
    seconds = sum_known(item.seconds for item in items)
    unknown = sum(item.seconds is None for item in items)
    if seconds is None:
        return "unknown time"
    return format_duration(seconds) + (f" and {unknown} of unknown time" if unknown else "")


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 2 * _DIGEST_LENGTH else f"{text[:_DIGEST_LENGTH]}..."
