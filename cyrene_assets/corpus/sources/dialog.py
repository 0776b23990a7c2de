"""The ``dialog`` adapter: plain JSON Lines that a person can write or convert to.

``dialog/<language>.jsonl`` has a line of dialog per line, in order::

    {"scene": "s01", "line": "s01-001", "speaker": "Ada", "text": "Good morning."}

``speaker`` is null for narration; ``line`` is unique in the file and equal across languages. A
scene may be left and taken up again later in the file: its lines then go on where they stopped.
``documents/<language>.jsonl`` has a document per line::

    {"document": "b01", "kind": "book", "title": "On Tides", "text": "..."}

Either file may be missing for a language, not both.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cyrene_assets.corpus.jsonl import JsonLines
from cyrene_assets.corpus.sources import Problem, Role, Row, SourceError
from cyrene_assets.recipe import Strict

if TYPE_CHECKING:
    from cyrene_assets.corpus.config import Corpus, Language

DIALOG_KEYS = ("scene", "line", "speaker", "text")
DOCUMENT_KEYS = ("document", "kind", "title", "text")


class Options(Strict):
    """This adapter has no options."""


def files(root: Path, corpus: "Corpus", language: str) -> list[Path]:  # noqa: ARG001
    """Return the language's dialog and document file, those that exist.

    Raises:
        SourceError: neither exists.
    """
    paths = [root / folder / f"{language}.jsonl" for folder in ("dialog", "documents")]
    found = [path for path in paths if path.exists()]
    if not found:
        names = " and ".join(path.relative_to(root).as_posix() for path in paths)
        raise SourceError(
            [
                Problem(
                    "corpus.yaml",
                    0,
                    f"lists language {language!r}, but {names} are both missing in {root}",
                    "add one of them, or take the language off the list",
                )
            ]
        )
    return found


def read(root: Path, corpus: "Corpus", language: str) -> Iterator[Row]:
    """Yield the language's rows: dialog in file order, then documents in file order.

    Raises:
        SourceError: no file, or files with anything wrong in them; up to 20 problems per file, each
            with file, line and remedy.
    """
    problems: list[Problem] = []
    rows: list[Row] = []
    dialog_ids: set[str] = set()
    for path in files(root, corpus, language):
        file = JsonLines(root, path)
        if path.parent.name == "dialog":
            rows += _dialog_rows(file, language, corpus.language(language))
            dialog_ids = {row.unit for row in rows} | {row.scene for row in rows}
        else:
            rows += _document_rows(file, language, dialog_ids)
        problems += file.reported()
    if problems:
        raise SourceError(problems)
    yield from rows


def _dialog_rows(file: JsonLines, language: str, people: "Language") -> list[Row]:
    rows: list[Row] = []
    seen: dict[str, int] = {}
    position: Counter[str] = Counter()
    for number, record in file.records(DIALOG_KEYS):
        speaker = record["speaker"]
        if speaker is not None:
            speaker = unicodedata.normalize("NFC", speaker.strip())
            if not speaker:
                file.wrong(number, "`speaker` is blank", "name the speaker, or null for narration")
        if not file.has_ids(number, record, ("scene", "line")):
            continue
        scene, unit = record["scene"], record["line"]
        if unit in seen:
            file.wrong(
                number,
                f"`line` {unit!r} is already on line {seen[unit]}",
                "give each line an id of its own, the same in all languages",
            )
            continue
        seen[unit] = number
        rows.append(
            Row(
                unit=unit,
                scene=scene,
                order=position[scene],
                kind="dialog",
                speaker=speaker,
                role=_role(speaker, people),
                title=None,
                text=record["text"],
                language=language,
                file=file.name,
                line=number,
            )
        )
        position[scene] += 1
    return rows


def _document_rows(file: JsonLines, language: str, dialog_ids: set[str]) -> list[Row]:
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, record in file.records(DOCUMENT_KEYS):
        if not file.has_ids(number, record, ("document", "kind")):
            continue
        document, kind = record["document"], record["kind"]
        if document in seen:
            file.wrong(
                number,
                f"`document` {document!r} is already on line {seen[document]}",
                "give each document an id of its own, the same in all languages",
            )
            continue
        seen[document] = number
        if document in dialog_ids:
            file.wrong(
                number,
                f"`document` {document!r} is also the id of a scene or line of the dialog",
                "give the document an id of its own",
            )
        if kind == "dialog":
            file.wrong(
                number,
                "`kind` is 'dialog'",
                f"put dialog into dialog/{language}.jsonl, or give the document another kind",
            )
        rows.append(
            Row(
                unit=document,
                scene=document,
                order=0,
                kind=kind,
                speaker=None,
                role="document",
                title=record["title"],
                text=record["text"],
                language=language,
                file=file.name,
                line=number,
            )
        )
    return rows


def _role(speaker: str | None, people: "Language") -> Role:
    if speaker is None:
        return "narration"
    if speaker in people.speakers:
        return "character"
    return "player" if speaker == people.player else "other"
