"""gettext's .po files, with the order of the lines and who speaks.

A catalogue has neither by itself. Order is that of the places in the source (``#: scene.cfg:12``),
or that of a script: ``--script TABLE``, a CSV, TSV or spreadsheet with a row per line, in order,
with columns for the scene, the speaker, and the ``msgid`` or ``msgctxt``. Speakers are the
script's, or what an extracted comment says (``#. speaker=Konrad``, ``#. Character: Konrad``), or,
where nobody is named so, the name before a colon. A .po without places and without a script is
refused.

Obsolete, fuzzy, untranslated and plural entries are skipped and counted.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from cyrene_assets.config.yaml_config import Strict
from cyrene_assets.corpus.importers.catalogue_order import (
    Key,
    Place,
    places_in_script,
    places_in_source,
)
from cyrene_assets.corpus.importers.files import files_at, one_problem, read_text
from cyrene_assets.corpus.importers.imported import (
    Imported,
    ImportHints,
    Line,
    Progress,
    Tally,
    plain_name,
    with_original_first,
)
from cyrene_assets.corpus.importers.languages import codes_of, detect, split_file_name
from cyrene_assets.corpus.importers.speakers import FROM_TEXT, split_prefix
from cyrene_assets.utils.errors import UserError

SUMMARY = "gettext .po files, with places in the source or a script for order and speakers"
EXAMPLES = (
    "cyrene corpus import gettext po/ --character Delfador",
    "cyrene corpus import gettext po/ --script script.csv --character Ada",
)


class Options(Strict):
    """What a person may say of .po files."""

    script: Path | None = Field(
        default=None,
        description="A table with a row per line, in order: scene, speaker, and msgid or msgctxt.",
    )


def read(path: Path, options: Options, hints: ImportHints, progress: Progress) -> Imported:
    """Read the catalogues.

    Raises:
        SourceError: a file is no catalogue, or nothing gives the order.
        UserError: two files are the same language.
    """
    tally = Tally()
    files = files_at(path, (".po", ".pot"))
    catalogues = []
    for number, file in enumerate(files):
        progress(file.name, number, len(files))
        catalogues.append((file, _catalogue(file)))
    entries: dict[Key, Any] = {}
    for file, catalogue in catalogues:
        tally.read["files"] += 1
        for entry in catalogue:
            if _taken(entry, file, tally):
                entries.setdefault((entry.msgctxt, entry.msgid), entry)
    if options.script is None:
        places = places_in_source(path, entries, tally)
    else:
        places = places_in_script(options.script, entries, hints, tally)
    ordered = sorted(places, key=lambda key: places[key].order)
    names = _line_names(ordered, places)
    original = hints.original or detect((key[1] for key in ordered), ImportHints())
    done: dict[str, set[Key]] = {}
    tally.notes.append(f"the original (msgid) is {original} (--original says otherwise)")
    named = any(place.speaker for place in places.values())
    if not named:
        tally.notes.append(FROM_TEXT)
        places = {key: place._replace(in_text=True) for key, place in places.items()}
    languages = {original: [_line(key, key[1], places, names) for key in ordered]}
    called = _called(catalogues, hints)
    codes = codes_of(called.values(), hints)
    for file, catalogue in catalogues:
        if file in called:
            code = codes[called[file]]
            if code != original:
                taken = done.setdefault(code, set())
                lines = _translated(file, catalogue, places, names, taken, tally)
                languages.setdefault(code, []).extend(lines)
    return Imported(with_original_first(languages, ImportHints(original=original)), tally)


def _catalogue(file: Path) -> Any:
    import polib

    text = read_text(file)
    try:
        return polib.pofile(text)
    except (OSError, ValueError) as error:
        line = re.search(r"line (\d+)", str(error))
        raise one_problem(
            file, int(line[1]) if line else 0, f"no .po file: {error}", "check it with msgfmt -c"
        ) from error


def _taken(entry: Any, file: Path, tally: Tally) -> bool:
    """Return whether an entry is a line, and count it; what is none is counted with its reason."""
    tally.read["entries"] += 1
    reason = None
    if entry.obsolete:
        reason = "an obsolete entry"
    elif entry.msgid_plural:
        reason = "an entry with plural forms"
    if reason is not None:
        tally.skip(reason, str(file), entry.linenum, entry.msgid)
        return False
    return tally.usable(entry.msgid, str(file), entry.linenum)


def _line_names(ordered: Iterable[Key], places: dict[Key, Place]) -> dict[Key, str]:
    """Return an id for each line: its msgctxt where that is one, or scene and number."""
    names: dict[Key, str] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for key in ordered:
        scene = places[key].scene
        numbers[scene] = numbers.get(scene, 0) + 1
        name = (key[0] or "").strip()
        if not name or name in taken or not name.isprintable():
            name = f"{scene}-{numbers[scene]:04}"
        while name in taken:
            name += "+"
        taken.add(name)
        names[key] = name
    return names


def _line(key: Key, text: str, places: dict[Key, Place], names: dict[Key, str]) -> Line:
    place = places[key]
    speaker = place.speaker
    if place.in_text:
        said, rest = split_prefix(text)
        if said is not None:
            speaker, text = plain_name(said), rest
    return Line(place.scene, names[key], speaker, text)


def _called(catalogues: Sequence[tuple[Path, Any]], hints: ImportHints) -> dict[Path, str]:
    """Return what each catalogue's language is called: its header's, or its name's; no template."""
    found = {}
    for file, catalogue in catalogues:
        if file.suffix.lower() == ".pot":
            continue
        header = catalogue.metadata.get("Language", "").strip()
        named = header or split_file_name(file, hints)[1] or hints.language
        if named is None:
            raise UserError(
                f"{file}: neither its header (Language:) nor its name says which language it is: "
                "call it CODE.po, or give --language CODE"
            )
        found[file] = named
    return found


def _translated(
    file: Path,
    catalogue: Any,
    places: dict[Key, Place],
    names: dict[Key, str],
    taken: set[Key],
    tally: Tally,
) -> list[Line]:
    """Return the lines that a catalogue translates, but those ``taken`` from another one."""
    lines = []
    for entry in catalogue:
        key = (entry.msgctxt, entry.msgid)
        if entry.obsolete or entry.msgid_plural or key not in places:
            continue
        if not entry.msgstr.strip():
            tally.skip("not translated", str(file), entry.linenum, entry.msgid)
        elif entry.fuzzy:
            tally.skip("a fuzzy translation", str(file), entry.linenum, entry.msgstr)
        elif key in taken:
            tally.skip("translated in another file too", str(file), entry.linenum, entry.msgstr)
        elif tally.usable(entry.msgstr, str(file), entry.linenum):
            taken.add(key)
            lines.append(_line(key, entry.msgstr, places, names))
    return lines
