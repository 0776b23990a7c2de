"""What the making of an artifact gives: a summary, a page, checks, and numbers for the manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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
    what: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    remedy: str = "",
) -> CheckOutcome:
    """Return a check's outcome: passed when nothing was found, else what, where and the remedy."""
    if not found:
        return CheckOutcome(name, True, f"no {what}", metadata or {})
    more = f" and {len(found) - 5:,} more" if len(found) > 5 else ""
    detail = f"{len(found):,} {what}: {', '.join(found[:5])}{more}"
    return CheckOutcome(name, False, f"{detail}; {remedy}" if remedy else detail, metadata or {})
