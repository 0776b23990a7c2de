"""When what is out of date is rebuilt by itself: the ``rebuild`` section of ``project.yaml``."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from cyrene_assets.config.yaml_config import Strict

When = Literal["never", "at night", "always"]
# What is rebuilt at once whatever the policy says, and what the policy is about.
RebuildTier = Literal["at once", "training", "quantization", "evaluation"]


def _cron(value: str) -> str:
    try:
        next(CronSim(value, datetime(2000, 1, 1)))
    except (CronSimError, StopIteration) as error:
        raise ValueError("is no cron expression; write five fields, as '0 22 * * *'") from error
    return value


def _timezone(value: str | None) -> str | None:
    try:
        return value and ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is no time zone; write one as 'Europe/Berlin'") from error


class Night(Strict):
    """The window in which what is rebuilt `at night` may start."""

    cron: Annotated[str, AfterValidator(_cron)] = Field(
        default="0 22 * * *", description="When the window opens"
    )
    hours: float = Field(default=8, gt=0, le=168, description="How long it stays open")
    timezone: Annotated[str | None, AfterValidator(_timezone)] = Field(
        default=None, description="The time zone of `cron`; the machine's own where left out"
    )

    def is_open(self, now: datetime) -> bool:
        """Return whether the window is open at ``now``, a time with a time zone."""
        return now - self.opened(now).astimezone(UTC) < timedelta(hours=self.hours)

    def opened(self, now: datetime) -> datetime:
        """Return when the window last opened, at ``now`` or before."""
        # The minute that has begun counts: cron expressions know no seconds.
        start = self._local(now).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return next(_times(self.cron, start, reverse=True))

    def opens(self, now: datetime) -> datetime:
        """Return when the window opens next, after ``now``."""
        return next(_times(self.cron, self._local(now), reverse=False))

    def _local(self, now: datetime) -> datetime:
        return now.astimezone(ZoneInfo(self.timezone) if self.timezone else None)


def _times(cron: str, start: datetime, *, reverse: bool) -> Iterator[datetime]:
    return iter(CronSim(cron, start, reverse=reverse))


class Rebuild(Strict):
    """When what a changed corpus puts out of date is rebuilt by itself.

    Corpus assets, base models and training sets are rebuilt at once: they take processor time
    alone. The other stages use the GPU for minutes to days, and follow as is said here.
    """

    training: When = "at night"
    quantization: When = "at night"
    evaluation: When = "at night"
    night: Night = Night()
    settle_seconds: float = Field(
        default=15,
        ge=1,
        le=3600,
        description="How long no file of the corpus may change before the change counts; more for "
        "a folder that is copied over a network with pauses",
    )

    def allows(self, tier: RebuildTier, now: datetime) -> bool:
        """Return whether what belongs to ``tier`` may start at ``now``."""
        when = self.when(tier)
        return when == "always" or (when == "at night" and self.night.is_open(now))

    def when(self, tier: RebuildTier) -> When:
        """Return the policy of ``tier``."""
        if tier == "at once":
            return "always"
        found: When = getattr(self, tier)
        return found

    def described(self, tier: RebuildTier, now: datetime) -> str:
        """Say when what belongs to ``tier`` is rebuilt, for a person."""
        when = self.when(tier)
        if when == "always":
            return "at once"
        if when == "never":
            return "by hand"
        if self.night.is_open(now):
            return "tonight: the window is open"
        return f"at night: from {self.night.opens(now):%Y-%m-%d %H:%M %Z}"
