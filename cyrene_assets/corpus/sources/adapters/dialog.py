"""The ``dialog`` adapter: plain JSON Lines that a person can write or convert to.

``dialog/<language>.jsonl`` has a line of dialog per line, in order::

    {"scene": "s01", "line": "s01-001", "speaker": "Ada", "text": "Good morning."}

``"only"`` may be added to a line of dialog: "documents" or "chats" if it is for these alone,
"nothing" if it is not trained on.

``speaker`` is null for narration; ``line`` is unique in the file and equal across languages. A
scene may be left and taken up again later in the file: its lines then continue where they stopped.
``documents/<language>.jsonl`` has a document per line::

    {"document": "b01", "kind": "book", "title": "On Tides", "text": "..."}

Either file may be missing for a language, not both.

Nothing is left out: whatever is wrong is an error that names file and line, and so for all lines at
once. That is a file that is no plain file of the corpus folder's own (a directory, a pipe, a link
out of it); text that is not UTF-8; a line that is not a JSON object of these keys and no other,
each once (only ``speaker`` and ``only`` may be null; with ``extra: ignore`` in corpus.yaml other
keys are counted and ignored); another value of ``only``; a blank line but at the end; an id or kind
that is blank; a ``line`` or ``document`` that stands twice; NUL characters and halves of surrogate
pairs; a text with a line of over 100,000 characters. A speaker whom corpus.yaml does not know is
one of the others; `cyrene corpus check` names names of the character and of the player that never
occur.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from cyrene_assets.config.yaml_config import Strict, line_of
from cyrene_assets.corpus.presets import Name
from cyrene_assets.corpus.sources.jsonl import JsonLines
from cyrene_assets.corpus.sources.raw_files import exists, validate_regular_files
from cyrene_assets.corpus.sources.types import ONLY, CorpusSettings, Problem, SourceError, Use

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.corpus.people import Language

FOLDERS = ("dialog", "documents")
# What may be dialog that a person meant to be read: elsewhere in the corpus, and next to it.
JSON_SUFFIXES = frozenset({".jsonl", ".json", ".ndjson"})
TEXT_SUFFIXES = JSON_SUFFIXES | {".csv", ".tsv", ".xlsx", ".ods", ".po", ".srt", ".ass", ".rpy"}
DIALOG_KEYS = ("scene", "line", "speaker", "text")
DOCUMENT_KEYS = ("document", "kind", "title", "text")


# A person's own lines: what markup they have, nobody can know beforehand.
MARKUP: tuple[Name, ...] = ()


class Options(Strict):
    """This adapter has no options."""


def files(root: Path, corpus: CorpusSettings, language: str) -> list[Path]:  # noqa: ARG001
    """Return the language's dialog and document file, those that exist.

    Raises:
        SourceError: neither exists, or one is no plain file of the folder's own.
    """
    paths = [root / folder / f"{language}.jsonl" for folder in FOLDERS]
    found = [path for path in paths if exists(path)]
    validate_regular_files(found, root)
    if not found:
        names = " and ".join(path.relative_to(root).as_posix() for path in paths)
        raise SourceError(
            [
                Problem(
                    "corpus.yaml",
                    line_of(root / "corpus.yaml", "languages", language) or 0,
                    f"lists language {language!r}, but {names} are both missing in {root}",
                    f"add one of them, or take {language!r} off the languages",
                )
            ]
        )
    return found


def unread(root: Path, corpus: CorpusSettings) -> "Iterator[Problem]":
    """Yield the files that look like a language's text and are read for none."""
    own = [root / folder for folder in FOLDERS]
    for path in sorted(found for below in ("*", "*/*", "*/*/*") for found in root.glob(below)):
        name = path.relative_to(root)
        if path.suffix.lower() not in TEXT_SUFFIXES or any(part[0] == "." for part in name.parts):
            continue
        if path.parent in own and path.suffix == ".jsonl":
            if path.stem not in corpus.languages:
                yield Problem(
                    name.as_posix(),
                    0,
                    f"is not read: {path.stem!r} is no language of corpus.yaml",
                    f"add {path.stem!r} to `languages` there, or remove the file",
                )
        elif path.suffix.lower() in JSON_SUFFIXES or path.parent in own:
            yield Problem(
                name.as_posix(),
                0,
                "is not read: the text of a corpus is in dialog/LANGUAGE.jsonl and "
                "documents/LANGUAGE.jsonl",
                "put its lines there (`cyrene corpus import` converts other formats), or move it "
                "out of the corpus",
            )


def read(root: Path, corpus: CorpusSettings, language: str) -> "Iterator[pl.DataFrame | Problem]":
    """Yield the language's rows: dialog in file order, then documents in file order.

    A file with keys that are ignored yields a problem that counts them.

    Raises:
        SourceError: no file, or files with anything wrong in them; up to 20 problems per file, each
            with file, line and remedy.
    """
    problems: list[Problem] = []
    ignored: list[Problem] = []
    tables: list[pl.DataFrame] = []
    for path in files(root, corpus, language):
        file = JsonLines(root, path, ignore_extra=corpus.extra == "ignore")
        if path.parent.name == "dialog":
            tables.append(_dialog_rows(file, language, corpus.language(language)))
        else:
            tables.append(_document_rows(file, language, tables))
        problems += file.reported()
        ignored += file.ignored()
    if problems:
        raise SourceError(problems)
    yield from tables
    yield from ignored


def _dialog_rows(file: JsonLines, language: str, people: "Language") -> "pl.DataFrame":
    import polars as pl

    speaker = pl.col("speaker").str.strip_chars().str.normalize("NFC")
    lines = file.table(DIALOG_KEYS, {ONLY: get_args(Use)}).with_columns(speaker)
    remedy = "name the speaker, or null for narration"
    file.without(lines, pl.col("speaker") == "", "`speaker` is blank", remedy)
    lines = _once(file, file.with_ids(lines, ("scene", "line")), "line")
    role = (
        pl.when(pl.col("speaker").is_null())
        .then(pl.lit("narration"))
        .when(pl.col("speaker").is_in(people.speakers))
        .then(pl.lit("character"))
        .when(pl.col("speaker").is_in(people.players))
        .then(pl.lit("player"))
        .otherwise(pl.lit("other"))
    )
    return lines.select(
        unit="line",
        scene="scene",
        order=pl.int_range(pl.len(), dtype=pl.Int32).over("scene"),
        kind=pl.lit("dialog"),
        speaker="speaker",
        role=role,
        title=pl.lit(None, pl.String),
        text="text",
        language=pl.lit(language),
        file=pl.lit(file.name),
        line="number",
        speaker_id=pl.lit(None, pl.String),
        only=ONLY,
    )


def _document_rows(file: JsonLines, language: str, dialog: "list[pl.DataFrame]") -> "pl.DataFrame":
    import polars as pl

    documents = _once(
        file, file.with_ids(file.table(DOCUMENT_KEYS), ("document", "kind")), "document"
    )
    for rows in dialog:
        taken = pl.concat([rows["unit"], rows["scene"]]).unique()
        file.without(
            documents,
            pl.col("document").is_in(taken.implode()),
            "`document` {document} is also the id of a scene or line of the dialog",
            "give the document an id of its own",
        )
    file.without(
        documents,
        pl.col("kind") == "dialog",
        "`kind` is 'dialog'",
        f"put dialog into dialog/{language}.jsonl, or give the document another kind",
    )
    return documents.select(
        unit="document",
        scene="document",
        order=pl.lit(0, pl.Int32),
        kind="kind",
        speaker=pl.lit(None, pl.String),
        role=pl.lit("document"),
        title="title",
        text="text",
        language=pl.lit(language),
        file=pl.lit(file.name),
        line="number",
        speaker_id=pl.lit(None, pl.String),
    )


def _once(file: JsonLines, table: "pl.DataFrame", key: str) -> "pl.DataFrame":
    """Return the first row with each value of ``key``; note the others."""
    import polars as pl

    first = table.with_columns(first=pl.col("number").first().over(key))
    return file.without(
        first,
        pl.col("number") != pl.col("first"),
        f"`{key}` {{{key}}} is already on line {{first}}",
        f"give each {key} an id of its own, the same in all languages",
    )
