"""In which order the entries of gettext's catalogues are said, where, and by whom."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from cyrene_assets.corpus.importers.columns import columns_of
from cyrene_assets.corpus.importers.files import files_at, one_problem
from cyrene_assets.corpus.importers.imported import ImportHints, Tally, plain_name
from cyrene_assets.corpus.importers.sheets import SUFFIXES, read_sheets

_SPEAKER = re.compile(
    r"(?im)^.*?\b(?:speaker|character|actor|spoken by|who)\s*[=:]\s*\"?([^\"\n;]+?)\"?\s*$"
)
_NOBODY = frozenset({"narrator", "narration", "none", "-"})
# What identifies an entry: its msgctxt and its msgid.
Key: TypeAlias = tuple[str | None, str]


class Place(NamedTuple):
    """Where a line stands, and who says it: ``in_text`` that the text begins with the name."""

    scene: str
    order: tuple[int, ...]
    speaker: str | None
    in_text: bool = False


def places_in_source(path: Path, entries: Mapping[Key, Any], tally: Tally) -> dict[Key, Place]:
    """Return the places that the entries name (``#: file:line``), and the speakers they comment on.

    Raises:
        SourceError: no entry names a place with a line.
    """
    places: dict[Key, Place] = {}
    files: dict[str, int] = {}
    for key, entry in entries.items():
        found = [(file, int(line)) for file, line in entry.occurrences if str(line).isdecimal()]
        if not found:
            continue
        for file, _ in found:
            files.setdefault(file, len(files))
        file, line = found[0]
        if len(found) > 1:
            tally.skip("said again elsewhere, taken once", str(file), line, key[1], len(found) - 1)
        comment = "\n".join(filter(None, (entry.comment, entry.tcomment)))
        speaker = _SPEAKER.search(comment)
        name = speaker[1] if speaker else None
        places[key] = Place(
            Path(file).with_suffix("").as_posix(),
            (files[file], line, entry.linenum),
            None if name is None or name.casefold() in _NOBODY else plain_name(name),
        )
    if not places:
        raise one_problem(
            path,
            0,
            "a .po file has no order of its own, and these have no places with lines (#: file:12)",
            "give --script TABLE with a row per line: scene, speaker, and msgid or msgctxt",
        )
    for key, entry in entries.items():
        if key not in places:
            tally.skip("no place in the source, so no order", str(path), entry.linenum, key[1])
    return places


def places_in_script(
    script: Path, entries: Mapping[Key, Any], hints: ImportHints, tally: Tally
) -> dict[Key, Place]:
    """Return the places that the rows of a table give to the entries.

    Raises:
        SourceError: the table has no column of entries, or none of them.
    """
    [file] = files_at(script, SUFFIXES)
    [sheet], _ = read_sheets(file, ())
    headings = [cell.strip() for cell in sheet.rows[0]] if sheet.rows else []
    renamed = ["text" if cell.casefold() == "msgid" else cell for cell in headings]
    renamed = ["id" if cell.casefold() == "msgctxt" else cell for cell in renamed]
    columns = columns_of(renamed, {}, hints).roles
    if not {"text", "line"} & columns.keys():
        raise one_problem(
            file, 1, f"no column of msgid or msgctxt among {', '.join(headings)}", "add one of them"
        )
    by_text: dict[str, Key] = {}
    for key in entries:
        by_text.setdefault(key[1], key)
    by_context = {key[0]: key for key in entries if key[0] is not None}
    places: dict[Key, Place] = {}
    for number, row in zip(sheet.numbers[1:], sheet.rows[1:], strict=True):

        def cell(role: str, row: Sequence[str] = row) -> str:
            at = columns.get(role)
            return row[at].strip() if at is not None and at < len(row) else ""

        if not any(one.strip() for one in row):
            continue
        found = by_context.get(cell("line")) or by_text.get(cell("text"))
        if found is None:
            value = cell("text") or cell("line")
            tally.skip("a line of the script that no .po has", str(file), number, value)
        elif found in places:
            tally.skip("said again elsewhere, taken once", str(file), number, found[1])
        else:
            scene = cell("scene") or file.stem
            places[found] = Place(scene, (number,), plain_name(cell("speaker") or None))
    if not places:
        raise one_problem(
            file, 1, "none of its lines is an entry of the .po files", "compare text and msgid"
        )
    for key, entry in entries.items():
        if key not in places:
            tally.skip("not in the script, so no order", str(file), entry.linenum, key[1])
    return places
