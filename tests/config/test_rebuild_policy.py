from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from cyrene_assets.config.rebuild_policy import Night, Rebuild, RebuildTier

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Night(timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("hour", "minute", "is_open"),
    [(21, 59, False), (22, 0, True), (23, 30, True), (3, 0, True), (5, 59, True), (6, 0, False)],
)
def test_the_window_opens_and_closes(hour: int, minute: int, is_open: bool) -> None:
    now = datetime(2026, 3, 10, hour, minute, 20, tzinfo=BERLIN)
    assert NIGHT.is_open(now) is is_open
    # The same moment in another time zone.
    assert NIGHT.is_open(now.astimezone(UTC)) is NIGHT.is_open(now)


def test_the_window_keeps_its_hours_when_the_clock_is_changed() -> None:
    # In the night to March 29 the clock goes from 2 to 3: eight hours end at 7.
    opened = datetime(2026, 3, 28, 22, 0, tzinfo=BERLIN)
    assert NIGHT.opened(datetime(2026, 3, 29, 6, 30, tzinfo=BERLIN)) == opened
    assert NIGHT.is_open(datetime(2026, 3, 29, 6, 30, tzinfo=BERLIN))
    assert not NIGHT.is_open(datetime(2026, 3, 29, 7, 0, tzinfo=BERLIN))
    assert NIGHT.opens(datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN)) == opened


def test_some_nights_only() -> None:
    weekends = Night(cron="0 20 * * 5", hours=60, timezone="UTC")
    friday = datetime(2026, 3, 13, 20, 0, tzinfo=UTC)
    for hours, is_open in ((-1, False), (0, True), (59, True), (60, False)):
        assert weekends.is_open(friday + timedelta(hours=hours)) is is_open, hours


def test_policies() -> None:
    rebuild = Rebuild(training="never", quantization="always", night=NIGHT)
    noon = datetime(2026, 3, 10, 12, 0, tzinfo=BERLIN)
    midnight = datetime(2026, 3, 10, 0, 0, tzinfo=BERLIN)
    cases: tuple[tuple[RebuildTier, bool, bool], ...] = (
        ("at once", True, True),
        ("training", False, False),
        ("quantization", True, True),
        ("evaluation", False, True),
    )
    for renewal, by_day, by_night in cases:
        assert rebuild.allows(renewal, noon) is by_day
        assert rebuild.allows(renewal, midnight) is by_night
    assert rebuild.described("training", noon) == "by hand"
    assert rebuild.described("at once", noon) == "at once"
    assert rebuild.described("evaluation", noon) == "at night: from 2026-03-10 22:00 CET"
    assert rebuild.described("evaluation", midnight) == "tonight: the window is open"


def test_the_machines_own_time_zone_is_the_default() -> None:
    assert Night().opens(datetime.now(UTC)).hour == 22


@pytest.mark.parametrize(
    "wrong",
    [
        {"night": {"cron": "22 o'clock"}},
        {"night": {"cron": "0 22 30 2 *"}},
        {"night": {"timezone": "Europe/Nowhere"}},
        {"night": {"timezone": "../../etc/passwd"}},
        {"night": {"hours": 0}},
        {"training": "sometimes"},
        {"settle_seconds": 0},
        {"serving": "always"},
    ],
)
def test_mistakes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Rebuild.model_validate(wrong)
