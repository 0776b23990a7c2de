"""Who speaks: names by number of lines, which of them is the character, and who is the player."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cyrene_assets.corpus.importers.imported import Imported, Line
from cyrene_assets.utils.errors import UserError

LISTED = 20
# What stands before a colon at the begin of a line is a name where it looks like one.
_COLON = ":\N{FULLWIDTH COLON}"
_PREFIX = re.compile(
    rf"^\s*([^\W_][^{_COLON}\n\"“”<>{{}}()\[\]]{{0,39}}?)\s*[{_COLON}](?!//)\s*(?=\S)"
)
_END = re.compile(r"[.,;!?\N{HORIZONTAL ELLIPSIS}\u3002\uff0c\uff01\uff1f]$")
_PLAYERS = frozenset({"player", "you", "me", "mc", "user", "protagonist", "the player"})
FALLBACK_PLAYER = "Player"


@dataclass(frozen=True)
class Speaker:
    """A name, its lines in the original, their share of all that somebody says, and one of them."""

    name: str
    lines: int
    share: float
    example: str


@dataclass(frozen=True)
class Cast:
    """Whose names are whose, by language; the first name of each list is the one to show."""

    character: dict[str, list[str]]
    player: dict[str, list[str]]
    found_player: bool


def speakers_of(imported: Imported) -> list[Speaker]:
    """Return the original's speakers, those with most lines first."""
    spoken = [line for line in imported.languages[imported.original] if line.speaker is not None]
    counts = Counter(str(line.speaker) for line in spoken)
    examples: dict[str, str] = {}
    for line in spoken:
        examples.setdefault(str(line.speaker), line.text)
    return [
        Speaker(name, number, number / len(spoken), " ".join(examples[name].split()))
        for name, number in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def candidates(imported: Imported, players: Sequence[str]) -> list[Speaker]:
    """Return those who can be the character: all but the player and the nameless role."""
    known = {*(players or imported.players), imported.unnamed}
    return [speaker for speaker in speakers_of(imported) if speaker.name not in known]


def rename(imported: Imported, role: str, name: str) -> None:
    """Give a role that the format has no name for (``assistant``) the name of a person."""
    for code, lines in imported.languages.items():
        imported.languages[code] = [
            line._replace(speaker=name) if line.speaker == role else line for line in lines
        ]


def unknown_name(name: str, speakers: Sequence[Speaker], option: str) -> UserError:
    """Return the error of a name that nobody has, with those that are nearly it."""
    names = [speaker.name for speaker in speakers]
    folded = {one.casefold(): one for one in names}
    near = [folded[one] for one in difflib.get_close_matches(name.casefold(), list(folded), 3)]
    known = ", ".join(repr(one) for one in near or names[:LISTED])
    there = "nearly" if near else "there are"
    return UserError(f"{option} {name!r}: nobody is called so; {there} {known}")


def cast_of(imported: Imported, character: Sequence[str], players: Sequence[str]) -> Cast:
    """Return the names of character and player in every language.

    ``character`` and ``players`` are names of the original; those of a translation are the ones
    that its same lines have for the most part.

    Raises:
        UserError: nobody has one of the names.
    """
    speakers = speakers_of(imported)
    names = {speaker.name for speaker in speakers}
    for name in character:
        if name not in names:
            raise unknown_name(name, speakers, "--character")
    for name in players:
        if name in character:
            raise UserError(f"--player {name!r} is the character too: give another name")
    said = [name for name in players or imported.players if name not in character]
    if not said:
        likely = [name for name in names if name.casefold() in _PLAYERS and name not in character]
        said = likely if len(likely) == 1 else []
    who = {line.line: line.speaker for line in imported.languages[imported.original]}
    found = Cast({}, {}, found_player=bool(said))
    for code, lines in imported.languages.items():
        mine = _names(lines, who, list(character))
        theirs = _names(lines, who, said)
        found.character[code] = mine or list(character)
        taken = found.character[code]
        fallback = [name for name in said or [FALLBACK_PLAYER] if name not in taken]
        found.player[code] = [name for name in theirs if name not in taken] or (
            fallback or [FALLBACK_PLAYER]
        )
    return found


def _names(lines: Sequence[Line], who: dict[str, str | None], wanted: Sequence[str]) -> list[str]:
    """Return what a language calls those who are called ``wanted`` in the original."""
    mine: Counter[str] = Counter()
    all_of: Counter[str] = Counter()
    for line in lines:
        if line.speaker is None:
            continue
        all_of[line.speaker] += 1
        mine[line.speaker] += who.get(line.line) in wanted
    named = [name for name, number in mine.items() if 2 * number > all_of[name]]
    first = {name: number for number, name in enumerate(wanted)}
    return sorted(named, key=lambda name: (first.get(name, len(first)), -mine[name], name))


FROM_TEXT = "speakers are the names that stand before a colon in the text"


def split_prefix(text: str) -> tuple[str | None, str]:
    """Return the name before a line's first colon (None where none is there), and what is said."""
    found = _PREFIX.match(text)
    if found is None or len(found[1].split()) > 4 or _END.search(found[1]):
        return None, text
    return found[1].strip(), text[found.end() :]
