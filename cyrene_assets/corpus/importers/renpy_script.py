"""Ren'Py games: the dialog of a script with the engine's identifiers, and its translations."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cyrene_assets.corpus.importers.imported import Tally
from cyrene_assets.corpus.importers.renpy_lexer import (
    STRING,
    Logical,
    Say,
    digest,
    parse_say,
    string_value,
)
from cyrene_assets.corpus.importers.renpy_people import ASSIGNED, People

_LABEL = re.compile(r"label\s+(\.?\w+(?:\.\w+)?)(\s*\(.*\))?(?P<hide>\s+hide)?\s*:", re.DOTALL)
_MENU = re.compile(r"menu(?:\s+(\.?\w+(?:\.\w+)?))?(\s*\(.*\))?\s*:", re.DOTALL)
_CALL_FROM = re.compile(r"call\s.*\bfrom\s+(\w+)\s*$", re.DOTALL)
_TRANSLATE = re.compile(r"translate\s+(\w+)\s+(\w+)(?:\s+[\w.]+)?\s*:")
# Statements whose blocks hold dialog, and those that belong to the line after them.
_BLOCKS = re.compile(r"(?:if|elif|else|while|for)\b|init(?:\s+-?\d+)?\s*:")
_WITH_DIALOG = re.compile(r"voice\b|nvl\s+clear\s*$")
_NO_DIALOG = re.compile(r"(?:screen|style|transform|image|layeredimage|testcase|translate|show)\b")
# Python of which a line may define somebody.
_PYTHON = re.compile(r"(?:init(?:\s+-?\d+)?\s+)?python\b")
NOBODY = frozenset({"narrator", "centered", "vcentered", "nvl_narrator", "adv", "nvl"})


@dataclass(frozen=True)
class Spoken:
    """A say statement of the script, in its label, with the identifier of its translations.

    One that is ``doubtful`` stands in the block of a statement that the engine does not have.
    """

    file: Path
    label: str
    identifier: str
    say: Say
    doubtful: bool


@dataclass
class Game:
    """A game under reading: who is defined, what is said in order, and its translations."""

    tally: Tally = field(default_factory=Tally)
    people: People = field(default_factory=People)
    spoken: list[Spoken] = field(default_factory=list)
    # By language: say statements by identifier, with file; strings by the original.
    blocks: dict[str, dict[str, tuple[Path, list[Say]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    strings: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    _identifiers: set[str] = field(default_factory=set)

    def add_script(self, file: Path, lines: Sequence[Logical]) -> None:
        """Read a file of the original script."""
        _Script(self, file, lines).read()

    def add_translation(self, file: Path, lines: Sequence[Logical]) -> None:
        """Read a file of a ``tl`` folder."""
        at = 0
        while at < len(lines):
            found = _TRANSLATE.match(lines[at].text)
            end = _block_end(lines, at)
            if found is not None and found[1] != "None":
                self.translated(file, found[1], found[2], lines[at + 1 : end])
            at = end

    def translated(self, file: Path, language: str, name: str, lines: Sequence[Logical]) -> None:
        """Read a block of a translation: a line's, or strings."""
        if name in ("python", "style"):
            self.tally.skip(f"a block of {name} in a translation", str(file), 0, language)
            return
        if name == "strings":
            self._add_strings(language, lines)
            return
        says = [say for line in lines for say in parse_say(line) or ()]
        if name in self.blocks[language]:
            self.tally.skip("a second translation of a line", str(file), lines[0].number, name)
            return
        self.blocks[language][name] = (file, says)

    def _add_strings(self, language: str, lines: Sequence[Logical]) -> None:
        old: str | None = None
        for line in lines:
            word, _, rest = line.text.partition(" ")
            written = STRING.match(rest.strip())
            if written is None:
                continue
            if word == "old":
                old = string_value(written[0])
            elif word == "new" and old is not None:
                self.strings[language].setdefault(old, string_value(written[0]))
                self.tally.read["translated strings"] += 1

    def speaker(self, who: str | None, language: str | None) -> str | None:
        """Return the name of who speaks, in a language (None: the original)."""
        if who is None or who in NOBODY:
            return None
        written = STRING.fullmatch(who)
        name = string_value(who) if written else self.people.names.get(who, who)
        if name is None or language is None:
            return name
        return self.strings[language].get(name) or name

    def identifier(self, label: str | None, codes: list[str], given: str | None) -> str:
        """Return the engine's identifier of a block, which stands once in a game."""
        base = "_".join(filter(None, ((label or "").replace(".", "_"), digest(codes))))
        name, number = base, 0
        while name in self._identifiers:
            number += 1
            name = f"{base}_{number}"
        if given is not None:
            self._identifiers.add(given)
        self._identifiers.add(name)
        return given or name


class _Script:
    """A script file under reading, statement by statement as the engine does."""

    def __init__(self, game: Game, file: Path, lines: Sequence[Logical]) -> None:
        self.game = game
        self.file = file
        self.lines = lines
        self.label: str | None = None
        self._doubtful = 0

    def read(self) -> None:
        """Read all of it."""
        self._block(0, len(self.lines))

    def _block(self, at: int, end: int) -> None:
        group: list[str] = []
        while at < end:
            line = self.lines[at]
            inner = _block_end(self.lines, at)
            if self._is_say(line, inner == at + 1):
                for say in parse_say(line) or ():
                    self._say(group, say)
                    group = []
            elif _WITH_DIALOG.match(line.text):
                group.append(line.text)
            else:
                # Voices without a line are a block of their own for the engine, and none here.
                group = []
                self._statement(line, at, inner)
            at = inner

    def _is_say(self, line: Logical, alone: bool) -> bool:
        if not alone or line.text.endswith(":"):
            return False
        return ASSIGNED.match(line.text) is None and parse_say(line) is not None

    def _say(self, group: list[str], say: Say) -> None:
        if say.what == "{clear}":
            return
        name = self.game.identifier(self.label, [*group, say.code], say.identifier)
        self.game.tally.read["lines of the script"] += 1
        self.game.spoken.append(
            Spoken(self.file, self.label or self.file.stem, name, say, self._doubtful > 0)
        )

    def _statement(self, line: Logical, at: int, end: int) -> None:
        text = line.text
        entered = _LABEL.match(text) or _MENU.match(text) or _CALL_FROM.match(text)
        if entered and entered[1] and not entered.groupdict().get("hide"):
            self._enter(entered[1])
        if _MENU.match(text):
            self._menu(at + 1, end)
        elif entered or _BLOCKS.match(text):
            self._block(at + 1, end)
        elif (found := _TRANSLATE.match(text)) and found[1] != "None":
            self.game.translated(self.file, found[1], found[2], self.lines[at + 1 : end])
        elif _PYTHON.match(text):
            for inner in self.lines[at + 1 : end]:
                self.game.people.define(inner.text)
        elif end == at + 1:
            self.game.people.define(text)
            if STRING.match(text):
                self.game.tally.skip("not understood", str(self.file), line.number, text)
        elif not _NO_DIALOG.match(text):
            self._doubtful += 1
            self._block(at + 1, end)
            self._doubtful -= 1

    def _enter(self, name: str) -> None:
        if name.startswith("."):
            self.label = f"{(self.label or '').split('.')[0]}{name}"
        elif not name.startswith("_"):
            self.label = name

    def _menu(self, at: int, end: int) -> None:
        while at < end:
            line = self.lines[at]
            inner = _block_end(self.lines, at)
            says = None if line.text.endswith(":") else parse_say(line, interact=False)
            if inner > at + 1:
                self.game.tally.skip("a choice of a menu", str(self.file), line.number, line.text)
                self._block(at + 1, inner)
            elif says and says[0].who is not None:
                for say in says:
                    self._say([], say)
            elif STRING.match(line.text):
                self.game.tally.skip("a menu's caption", str(self.file), line.number, line.text)
            at = inner


def _block_end(lines: Sequence[Logical], at: int) -> int:
    """Return where the block of a line ends: the next line that is not further in."""
    end = at + 1
    while end < len(lines) and lines[end].indent > lines[at].indent:
        end += 1
    return end
