"""Which column of a table is what: by its heading, or as a person says."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cyrene_assets.corpus.importers.headings import ELSE_TEXT, HEADINGS, NO_ORIGINALS, ROLES, bare
from cyrene_assets.corpus.importers.imported import ImportHints
from cyrene_assets.corpus.importers.languages import codes_of
from cyrene_assets.corpus.languages import find_code
from cyrene_assets.utils.errors import UserError

# Headings of numbers, not of Norwegian.
_NUMBERS = frozenset({"No", "No.", "NO"})
# A second row of headings has at least so many of them.
_FEWEST_HEADINGS = 2


@dataclass
class Columns:
    """Columns by role, and by language; their numbers from 0. ``unused`` are headings left over."""

    roles: dict[str, int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    speakers: dict[str, int] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    @property
    def used(self) -> set[int]:
        """The numbers of the columns that are read."""
        return {*self.roles.values(), *self.texts.values(), *self.speakers.values()}

    def in_words(self, row: Sequence[str]) -> str:
        """Say which heading is what."""
        named = [f"{role} = {row[at]!r}" for role, at in {**self.roles, **self.texts}.items()]
        named += [f"speaker.{code} = {row[at]!r}" for code, at in self.speakers.items()]
        unused = ", ".join(repr(one) for one in self.unused)
        return "columns: " + ", ".join(named) + (f"; not used: {unused}" if unused else "")


def columns_of(row: Sequence[str], given: Mapping[str, str], hints: ImportHints) -> Columns:
    """Return what the headings of a table say; ``given`` are headings by role or language.

    Raises:
        UserError: a heading that was given is not there.
    """
    found = Columns()
    for what, heading in given.items():
        at = next((n for n, one in enumerate(row) if one.strip() == heading.strip()), None)
        if at is None:
            raise UserError(
                f"--column {what}={heading}: no column has this heading; there are {listed(row)}"
            )
        if what.startswith("speaker."):
            found.speakers[what.removeprefix("speaker.")] = at
        else:
            (found.roles if what in ROLES else found.texts)[what] = at
    free = {bare(one): n for n, one in reversed(list(enumerate(row))) if n not in found.used}
    if {"id", "line"} <= free.keys() and "line" not in found.roles:
        # Next to columns of languages, `id` is Indonesian; else `Line` is what is said.
        others = _languages(row, {*found.used, free["id"]}, hints)
        found.roles["line" if others else "text"] = free["line"]
    for role, synonyms in HEADINGS.items():
        at = next((free[one] for one in synonyms if one in free), None)
        if role not in found.roles and at is not None and at not in found.used:
            found.roles[role] = at
    languages = _languages(row, found.used, hints)
    codes = codes_of(languages.values(), hints)
    for n, called in languages.items():
        found.texts.setdefault(codes[called], n)
    second = found.roles.get("text") if found.texts and "text" not in given else None
    # Next to columns of languages only such a one is the original, in a language to be found.
    if second is not None and bare(row[second]) in NO_ORIGINALS:
        del found.roles["text"]
    if not has_text(found):
        _take_else(found, free, given)
    found.unused = [one for n, one in enumerate(row) if n not in found.used and one.strip()]
    return found


def _take_else(found: Columns, free: Mapping[str, int], given: Mapping[str, str]) -> None:
    """Take for the text what has another meaning next to a column of text: `Line`, `Dialogue`."""
    named = {found.roles[role] for role in given if role in found.roles}
    for heading in ELSE_TEXT:
        at = free.get(heading)
        if at is not None and at not in named:
            found.roles = {role: n for role, n in found.roles.items() if n != at} | {"text": at}
            return


def _languages(row: Sequence[str], used: set[int], hints: ImportHints) -> dict[int, str]:
    """Return what the headings of the other columns call languages, by column."""
    return {
        n: called
        for n, one in enumerate(row)
        if n not in used and (called := _language(one, hints)) is not None
    }


def _language(heading: str, hints: ImportHints) -> str | None:
    """Return what a heading calls a language: ``German``, ``de``, ``German (de)``, ``Text_de``."""
    text = heading.strip()
    if text in _NUMBERS:
        return None
    in_brackets = re.match(r"^(.*?)\s*[(\[]([^()\[\]]+)[)\]]$", text)
    options = [in_brackets[2], text, in_brackets[1]] if in_brackets else [text]
    prefix = re.match(r"^(?:text|dialogue|translation|string)[ _.:-]+(.+)$", text, re.IGNORECASE)
    options += [prefix[1]] if prefix else []
    return next((one for one in options if one in hints.codes or find_code(one)), None)


def has_text(columns: Columns) -> bool:
    """Return whether there is a column to take text from."""
    return bool(columns.texts) or "text" in columns.roles


def is_headings(row: Sequence[str], hints: ImportHints) -> bool:
    """Return whether a row reads like headings: most of what stands there is a known one."""
    known = {*ELSE_TEXT, *(one for synonyms in HEADINGS.values() for one in synonyms)}
    filled = [one for one in row if one.strip()]
    headings = [one for one in filled if bare(one) in known or _language(one, hints)]
    return len(headings) >= max(_FEWEST_HEADINGS, len(filled) / 2)


class Cells:
    """A row, by what its columns are."""

    def __init__(self, row: Sequence[str], columns: Columns) -> None:
        self.row = row
        self.columns = columns

    def at(self, column: int) -> str:
        """Return a cell; rows may be shorter than the headings."""
        return self.row[column] if column < len(self.row) else ""

    def role(self, role: str) -> str | None:
        """Return the cell of a role, stripped, or None where there is no such column."""
        assert role in ROLES
        column = self.columns.roles.get(role)
        return None if column is None else self.at(column).strip()

    def speaker(self, language: str) -> str | None:
        """Return the speaker in a language, as it is written."""
        column = self.columns.speakers.get(language, self.columns.roles.get("speaker"))
        return None if column is None else self.at(column)


def listed(headings: Sequence[str]) -> str:
    """Return headings for a message."""
    return ", ".join(repr(one) for one in headings if one.strip())


def option(what: str, heading: str) -> str:
    """Return the option that says what a column is, as a shell takes it."""
    return f"--column {shlex.quote(f'{what}={heading}')}"


def options(columns: Columns, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the options that say where the text is, and what else no column is known for.

    The text is most probably where the cells of ``rows`` are longest.
    """
    free = [n for n, one in enumerate(headings) if one and n not in columns.used]
    lengths = {
        n: sum(len(row[n]) for row in rows if n < len(row)) for n in free or range(len(headings))
    }
    text = headings[max(lengths, key=lengths.__getitem__)]
    lacking = [role for role in ("speaker", "scene", "line") if role not in columns.roles]
    others = f", and in the same way {', '.join(f'{role}=' for role in lacking)}" if lacking else ""
    return f"{option('text', text)}{others}"
