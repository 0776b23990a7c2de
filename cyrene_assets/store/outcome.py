"""What the making of an artifact gives: a summary, a page, checks, and numbers for the manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cyrene_assets.utils.counting import counted

# Of what a check found, by name.
SHOWN = 5


@dataclass(frozen=True)
class Markdown:
    """A text of a page."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A PNG of a page."""

    png: bytes


@dataclass(frozen=True)
class Columns:
    """The columns of a table: the kind of each by its name."""

    kinds: Mapping[str, str]


@dataclass(frozen=True)
class Check:
    """A check that the asset evaluates itself; a blocking one stops what is downstream."""

    name: str
    description: str
    blocking: bool = False


@dataclass(frozen=True)
class CheckOutcome:
    """What a check found; ``detail`` says it in one line."""

    name: str
    passed: bool
    detail: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildResult:
    """What a build says of its artifact.

    ``summary`` is one line for people, ``metadata`` is for the UI (numbers, texts, `Markdown`,
    `Picture`, `Columns`), ``measurements`` are JSON values
    for the manifest.
    """

    summary: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[CheckOutcome] = ()
    measurements: Mapping[str, Any] = field(default_factory=dict)


def none_of(
    name: str,
    found: Sequence[str],
    one: str,
    more: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    remedy: str = "",
) -> CheckOutcome:
    """Return a check's outcome: passed when nothing was found, else what, where and the remedy.

    ``one`` is what one of those is called, ``more`` what several are called.
    """
    if not found:
        return CheckOutcome(name, True, f"no {more}", metadata or {})
    rest = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    detail = f"{counted(len(found), one, more)}: {', '.join(found[:SHOWN])}{rest}"
    return CheckOutcome(name, False, f"{detail}; {remedy}" if remedy else detail, metadata or {})
