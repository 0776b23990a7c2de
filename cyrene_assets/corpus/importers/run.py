"""An import from beginning to end: read, find who is who, write, and report every count."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from cyrene_assets.corpus.importers.chats import CHARACTER
from cyrene_assets.corpus.importers.config_text import config_text
from cyrene_assets.corpus.importers.imported import (
    Imported,
    ImportHints,
    Line,
    Progress,
    plain_name,
)
from cyrene_assets.corpus.importers.registry import importer
from cyrene_assets.corpus.importers.speakers import (
    Speaker,
    candidates,
    cast_of,
    rename,
    speakers_of,
    unknown_name,
)
from cyrene_assets.corpus.importers.write import validate_new_folder, write_corpus
from cyrene_assets.corpus.names import CONTROL_MARKUP
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import UserError

# Chooses among speakers; None where nobody is there to choose.
Choose: TypeAlias = Callable[[Sequence[Speaker]], str | None]


@dataclass(frozen=True)
class Report:
    """What an import read, skipped and wrote. ``folder`` is None where nothing was written."""

    folder: Path | None
    name: str
    character: list[str]
    player: list[str]
    speakers: list[Speaker]
    imported: Imported

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        tally = self.imported.tally
        return {
            "folder": None if self.folder is None else str(self.folder),
            "name": self.name,
            "character": self.character,
            "player": self.player,
            "languages": {
                code: {"lines": len(lines), "scenes": len({line.scene for line in lines})}
                for code, lines in self.imported.languages.items()
            },
            "speakers": [vars(speaker) for speaker in self.speakers],
            "read": dict(tally.read),
            "skipped": [
                {"reason": reason, **vars(skipped)} for reason, skipped in tally.skipped.items()
            ],
            "notes": tally.notes,
        }


class NoCharacterError(UserError):
    """Nobody said who the character is; ``report`` has the speakers to choose from."""

    def __init__(self, report: Report) -> None:
        super().__init__(
            "which of these is the character? Give --character NAME; nothing was written"
        )
        self.report = report


def run_import(
    form: str,
    path: Path,
    options: Any,
    hints: ImportHints,
    *,
    out: Path,
    name: str,
    character: Sequence[str],
    players: Sequence[str],
    choose: Choose,
    progress: Progress,
) -> Report:
    """Import what is at ``path`` into the new folder ``out``.

    Raises:
        UserError: the files cannot be used, or somebody is not found in them.
        NoCharacterError: it has to be said who the character is.
        BuildError: the folder cannot be written.
    """
    validate_new_folder(out)
    imported = importer(form).read(path, options, hints, progress)
    if not imported.languages:
        reasons = [
            f"{why}: {counted(one.count, 'time')}" for why, one in imported.tally.skipped.items()
        ]
        raise UserError(f"{path}: no line of dialog was read ({'; '.join(reasons) or 'no text'})")
    _validate_unique_ids(path, imported)
    names = _plain(character, "--character")
    players = _named_players(imported, players)
    if imported.unnamed and names and names[0] not in {one.name for one in speakers_of(imported)}:
        rename(imported, imported.unnamed, names[0])
        imported.unnamed = None
    speakers = speakers_of(imported)
    if not speakers:
        raise UserError(
            f"{path}: no line says who speaks, and a corpus is about a character: give a format "
            "that does, such as a table with a column of speakers (cyrene corpus import table)"
        )
    if not names:
        names = _found_character(imported, players, choose)
    if not names:
        raise NoCharacterError(Report(None, name, [], list(imported.players), speakers, imported))
    cast = cast_of(imported, names, players)
    patterns = [
        {**one, "becomes": {"text": names[0]}} if one["becomes"] == {"text": CHARACTER} else one
        for one in imported.patterns
    ]
    prompts = {
        code: prompt
        for code, prompt in imported.prompts.items()
        if not re.search(CONTROL_MARKUP, prompt)
    }
    text = config_text(
        plain_name(name) or "corpus",
        cast.character,
        cast.player,
        prompts=prompts,
        markup=[*imported.markup, *patterns],
        source=f"Made by `cyrene corpus import {form}` from {path.name}.",
        found_player=cast.found_player,
    )
    write_corpus(out, text, imported.languages, progress)
    said = cast.player[imported.original]
    return Report(out, name, names, said, speakers_of(imported), imported)


def _plain(names: Sequence[str], option: str) -> list[str]:
    found = [plain_name(name) for name in names]
    if None in found:
        raise UserError(f"{option}: give a name that is not blank, without markup")
    return [str(name) for name in found]


def _named_players(imported: Imported, players: Sequence[str]) -> list[str]:
    """Return the player's names; the role ``user`` takes the first where a format has no names."""
    names = _plain(players, "--player")
    if names and imported.unnamed and imported.players:
        rename(imported, imported.players[0], names[0])
        imported.players = tuple(names)
    return names


def _found_character(imported: Imported, players: Sequence[str], choose: Choose) -> list[str]:
    found = candidates(imported, players)
    names = [speaker.name for speaker in found]
    if imported.character in names:
        return [str(imported.character)]
    if imported.unnamed is None and len(names) == 1:
        return names
    chosen = choose(speakers_of(imported) if imported.unnamed else found)
    if chosen is None:
        return []
    if imported.unnamed and chosen not in names:
        rename(imported, imported.unnamed, chosen)
        imported.unnamed = None
    elif chosen not in names:
        raise unknown_name(chosen, found, "--character")
    return [chosen]


def _validate_unique_ids(path: Path, imported: Imported) -> None:
    """Refuse lines that share an id in one language.

    Raises:
        UserError: there are some.
    """
    for code, lines in imported.languages.items():
        seen: dict[str, Line] = {}
        for line in lines:
            first = seen.setdefault(line.line, line)
            if first is not line:
                raise UserError(
                    f"{path}: {code} has the id {line.line!r} twice: {first.text[:60]!r} and "
                    f"{line.text[:60]!r}; give each line an id of its own"
                )
