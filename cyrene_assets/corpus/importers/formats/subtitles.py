"""Subtitles: .srt, .ass, .ssa, .vtt, a language per file: ``ep1.en.srt``, ``ep1.de.srt``.

Speakers are the actors of .ass events, or, in a file without any, names before the first colon
(``JOHN: Hello.``). Tags are taken out by pysubs2. Comments, drawings and empty events are skipped.
A translation's event is the original's that it shares most of its time with; a pause ends a scene.
"""

import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from cyrene_assets.config.yaml_config import Strict
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
from cyrene_assets.corpus.importers.languages import detect, split_file_name
from cyrene_assets.corpus.importers.speakers import FROM_TEXT, split_prefix
from cyrene_assets.utils.errors import UserError

SUMMARY = "subtitles: .srt, .ass, .ssa, .vtt, a language per file (ep1.en.srt)"
EXAMPLES = (
    "cyrene corpus import subtitles episodes/ --original en --character Ada",
    "cyrene corpus import subtitles ep1.ass --language jp --scene-gap 20",
)
_EVENT = re.compile(r"(?m)^(?:Dialogue|Comment):|^[\d:.,]+ *-->")
SUFFIXES = (".srt", ".ass", ".ssa", ".vtt")


class Options(Strict):
    """What a person may say of subtitles."""

    scene_gap: float = Field(
        default=10.0, gt=0, description="A pause of so many seconds begins a new scene."
    )


class Event(NamedTuple):
    """What is said from ``start`` to ``end`` (milliseconds)."""

    start: int
    end: int
    speaker: str | None
    text: str


def read(path: Path, options: Options, hints: ImportHints, progress: Progress) -> Imported:
    """Read the subtitles, an event each.

    Raises:
        SourceError: a file is no subtitles.
        UserError: two files are the same language of the same episode.
    """
    tally = Tally()
    episodes: dict[str, dict[str, list[Event]]] = defaultdict(dict)
    files = files_at(path, SUFFIXES)
    root = path if path.is_dir() else path.parent
    for number, file in enumerate(files):
        progress(file.name, number, len(files))
        events = _events(file, tally)
        stem, code = split_file_name(file, hints)
        if code is None:
            code = detect((event.text for event in events), hints)
            if hints.language is None:
                tally.notes.append(
                    f"{file.name}: language found: {code} (name it .CODE{file.suffix})"
                )
        name = (file.parent.relative_to(root) / (stem or "episode")).as_posix()
        if code in episodes[name]:
            raise UserError(
                f"{file}: {name} has subtitles in {code} already: keep one file per language"
            )
        episodes[name][code] = events
    languages: dict[str, list[Line]] = defaultdict(list)
    for name, of_language in episodes.items():
        original = _original(of_language, hints)
        lines = _original_lines(name, of_language[original], options.scene_gap)
        languages[original] += lines
        for code, events in of_language.items():
            if code != original:
                languages[code] += _aligned(name, code, events, of_language[original], lines, tally)
    return Imported(with_original_first(languages, hints), tally)


def _original(of_language: Mapping[str, Sequence[Event]], hints: ImportHints) -> str:
    if hints.original in of_language:
        return str(hints.original)
    return "en" if "en" in of_language else next(iter(of_language))


def _events(file: Path, tally: Tally) -> list[Event]:
    import pysubs2

    text = read_text(file)
    try:
        with warnings.catch_warnings():  # Margins and layers that are none: nobody says them.
            warnings.simplefilter("ignore")
            subtitles = pysubs2.SSAFile.from_string(text, format_=_format(file))
    except (pysubs2.exceptions.Pysubs2Error, ValueError, IndexError, KeyError) as error:
        raise one_problem(
            file, 0, f"no {file.suffix[1:]} subtitles: {error}", "export them again"
        ) from error
    if not subtitles.events:
        raise one_problem(file, 0, f"no {file.suffix[1:]} event was found", "export them again")
    written = len(_EVENT.findall(text)) - len(subtitles.events)
    if written > 0:
        tally.skip("an event that cannot be read", str(file), 0, "", written)
    found = []
    named = any(event.name.strip() for event in subtitles.events)
    if not named and FROM_TEXT not in tally.notes:
        tally.notes.append(FROM_TEXT)
    tally.read["files"] += 1
    for number, event in enumerate(subtitles.events, start=1):
        tally.read["events"] += 1
        said = event.plaintext.strip()
        if event.is_comment:
            tally.skip("a comment", str(file), 0, f"event {number}: {said}")
        elif event.is_drawing:
            tally.skip("a drawing", str(file), 0, f"event {number}")
        elif tally.usable(said, str(file), 0):
            speaker, said = (event.name, said) if named else split_prefix(said)
            found.append(Event(event.start, event.end, plain_name(speaker), said))
    return sorted(found, key=lambda one: (one.start, one.end))


def _format(file: Path) -> str:
    return {".vtt": "vtt", ".srt": "srt", ".ssa": "ssa"}.get(file.suffix.lower(), "ass")


def _original_lines(name: str, events: Sequence[Event], gap: float) -> list[Line]:
    lines = []
    scene, last = 1, None
    for number, event in enumerate(events, start=1):
        if last is not None and event.start - last > 1000 * gap:
            scene += 1
        last = max(event.end, last or 0)
        lines.append(Line(f"{name}-{scene:03}", f"{name}-{number:04}", event.speaker, event.text))
    return lines


def _aligned(
    name: str,
    code: str,
    events: Sequence[Event],
    originals: Sequence[Event],
    lines: Sequence[Line],
    tally: Tally,
) -> list[Line]:
    """Return a translation's lines, called as the original's that they share most time with.

    What shares time with none, or with one that is taken, keeps a name of its own; a speaker that
    the translation does not name is the original's.
    """
    found = []
    taken: set[int] = set()
    begin, scene = 0, lines[0].scene if lines else f"{name}-001"
    for number, event in enumerate(events, start=1):
        while begin < len(originals) and originals[begin].end <= event.start:
            begin += 1
        best, most = None, 0
        for at in range(begin, len(originals)):
            if originals[at].start >= event.end:
                break
            shared = min(event.end, originals[at].end) - max(event.start, originals[at].start)
            if shared > most and at not in taken:
                best, most = at, shared
        if best is None:
            tally.read[f"events of {code} that the original has no line for (kept)"] += 1
            found.append(Line(scene, f"{name}-{code}-{number:04}", event.speaker, event.text))
            continue
        taken.add(best)
        scene = lines[best].scene
        speaker = event.speaker or lines[best].speaker
        found.append(Line(scene, lines[best].line, speaker, event.text))
    return found
