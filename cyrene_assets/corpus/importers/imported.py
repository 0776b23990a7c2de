"""What an importer returns: lines by language, who speaks, and a tally of what was skipped."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from cyrene_assets.config.yaml_config import Strict
from cyrene_assets.corpus.presets import Name
from cyrene_assets.corpus.sources.types import LONGEST_LINE, too_long
from cyrene_assets.utils.errors import UserError

# What is at work, how much of it is done, and of how much.
Progress: TypeAlias = Callable[[str, int, int], None]
EXAMPLES_KEPT = 3
SHOWN = 60
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Markup around a name, and what corpus.yaml takes in none.
_NAME_MARKUP = re.compile(r"<[^<>]*>|\{[^{}]*\}|[<>{}]")


class NoOptions(Strict):
    """The options of a format that has none of its own."""


class Line(NamedTuple):
    """A line of dialog, as the plain layout has it; ``speaker`` is None for narration."""

    scene: str
    line: str
    speaker: str | None
    text: str


@dataclass(frozen=True)
class ImportHints:
    """What a person said beforehand.

    ``language`` is that of files that do not say theirs; ``codes`` are the codes that languages get
    by what they are called in the files; ``original`` is the language that others translate.
    """

    language: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    original: str | None = None


@dataclass
class Skipped:
    """What was left out for one reason: how often, and the first few places."""

    count: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Tally:
    """Counts of what was read, of what was skipped and why, and what else is worth knowing."""

    read: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def skip(self, reason: str, file: str, line: int, value: str, count: int = 1) -> None:
        """Count something that is left out; ``value`` is what stands there, for the reader."""
        found = self.skipped.setdefault(reason, Skipped())
        found.count += count
        if len(found.examples) < EXAMPLES_KEPT:
            found.examples.append({"file": file, "line": line, "value": value[:SHOWN]})

    def usable(self, text: str, file: str, line: int) -> bool:
        """Return whether the plain layout can hold a text; count it where it cannot."""
        reason = None
        if not text.strip():
            reason = "no text"
        elif "\0" in text:
            reason = "a NUL character in the text"
        elif _SURROGATE.search(text):
            reason = "half of a surrogate pair in the text"
        elif too_long(text):
            reason = f"a line of over {LONGEST_LINE:,} characters"
        if reason is not None:
            self.skip(reason, file, line, text)
        return reason is None


@dataclass
class Imported:
    """Everything that was read.

    ``languages`` has the lines by code, the original's first; the same line has the same id in all
    of them. ``markup`` are presets, ``patterns`` own patterns for ``markup`` in corpus.yaml.
    ``players`` are the names that the player's lines go under in the original, ``character`` is the
    character's, where the format says so. ``unnamed`` is what the format calls the character where
    it has no names (the role ``assistant``), ``prompts`` the system prompts found, by language.
    """

    languages: dict[str, list[Line]]
    tally: Tally
    markup: tuple[Name, ...] = ()
    patterns: tuple[Mapping[str, Any], ...] = ()
    players: tuple[str, ...] = ()
    character: str | None = None
    unnamed: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)

    @property
    def original(self) -> str:
        """The code of the language that the others are translations of."""
        return next(iter(self.languages))


@lru_cache(maxsize=10_000)
def plain_name(name: str | None) -> str | None:
    """Return a speaker's name without markup and with single blanks, as corpus.yaml takes it."""
    if name is None:
        return None
    written = unicodedata.normalize("NFC", " ".join(name.replace("\0", "").split()))
    return " ".join(_NAME_MARKUP.sub("", _SURROGATE.sub("", written)).split()) or None


def in_order(lines: Sequence[Line], original: Sequence[Line]) -> list[Line]:
    """Return a translation's lines in the order of the original's, each in the original's scene.

    A line that the original does not have keeps its place behind the one before it.
    """
    places = {line.line: (number, line.scene) for number, line in enumerate(original)}
    keyed = []
    last = -1
    for number, line in enumerate(lines):
        last, scene = places.get(line.line, (last, line.scene))
        keyed.append((last, number, line._replace(scene=scene)))
    return [line for _, _, line in sorted(keyed)]


def with_original_first(
    languages: Mapping[str, Sequence[Line]], hints: ImportHints
) -> dict[str, list[Line]]:
    """Return the languages with the original first, the others in its order; empty ones go.

    Raises:
        UserError: the original that was named is none of them.
    """
    found = {code: list(lines) for code, lines in languages.items() if lines}
    original = hints.original or next(iter(found), None)
    if original is None:
        return {}
    if original not in found:
        known = ", ".join(found)
        raise UserError(f"--original {original}: the files have no such language: {known}")
    first = found.pop(original)
    return {original: first} | {code: in_order(lines, first) for code, lines in found.items()}
