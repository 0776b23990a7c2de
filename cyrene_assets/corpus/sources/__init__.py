"""Source adapters: what turns a corpus folder's files into canonical rows.

An adapter is a module of this package, known by its file name, with

- ``Options``: a pydantic model of what ``source`` in corpus.yaml says besides ``adapter``;
- ``MARKUP``: the presets of markup (``presets``) that hold where corpus.yaml has no ``markup``;
- ``files(root, corpus, language) -> list[Path]``: the raw files that the language's rows come from;
- ``read(root, corpus, language) -> Iterator[Row | DataFrame | Problem]``: the rows, dialog in
  order, then documents, singly or many in a table; and a ``Problem`` for what it leaves out. Raises
  ``SourceError`` with everything that is wrong with the files;
- ``unread(root, corpus) -> Iterator[Problem]``, where it can tell: the files that look like those
  of a language and are read for none.

Nothing else has to be edited to add one. A module with a leading underscore is no adapter.
"""

import hashlib
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias, cast

from pydantic import BaseModel

from cyrene_assets.corpus.presets import Name
from cyrene_assets.errors import UserError
from cyrene_assets.plain import plain

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.corpus.config import Corpus

# In characters. Longer lines would be cut out of every training set anyway.
LONGEST_LINE = 100_000

Role = Literal["character", "player", "other", "narration", "document"]
Use = Literal["documents", "chats", "nothing"]
# The column that says what a row is for; a table in which every row is for both has none.
ONLY = "only"


class Row(NamedTuple):
    """One row of ``raw_dialog``: a line of dialog, or a whole document.

    ``unit`` aligns languages: the line's id or the document's. ``scene`` is the scene's id or the
    document's, ``order`` the position in it, ``file`` relative to the corpus root (or to the folder
    that the adapter reads) and ``line`` counted from 1. ``speaker_id`` is the source's own id of
    the speaker, the same in all languages, where it has one. ``only`` is None of what is for
    documents and chats alike; what is for nothing is aligned and checked, and not trained on.
    """

    unit: str
    scene: str
    order: int
    kind: str
    speaker: str | None
    role: Role
    title: str | None
    text: str
    language: str
    file: str
    line: int
    speaker_id: str | None = None
    only: Use | None = None


@dataclass(frozen=True)
class Problem:
    """Something wrong at a place of a corpus, and its remedy; ``line`` 0 means the whole file."""

    file: str
    line: int
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return plain(f"{place}: {self.message}; {self.remedy}")


class SourceError(UserError):
    """A corpus whose files cannot be used; ``problems`` says why, place by place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


def too_long(text: str) -> bool:
    """Return whether a line of the text has over ``LONGEST_LINE`` characters: no one says that."""
    lines = re.split(r"\\n|\n", text) if len(text) > LONGEST_LINE else []
    return any(len(line) > LONGEST_LINE for line in lines)


Batch: TypeAlias = "Row | pl.DataFrame | Problem"


class Adapter(Protocol):
    """What a module of this package provides."""

    Options: type[BaseModel]
    MARKUP: tuple[Name, ...]

    def files(self, root: Path, corpus: "Corpus", language: str) -> list[Path]:
        """Return the raw files of ``language``, those that exist, in a fixed order."""
        ...

    def read(self, root: Path, corpus: "Corpus", language: str) -> "Iterator[Batch]":
        """Yield the rows of ``language``, and a problem for what is left out of them.

        Raises:
            SourceError: its files cannot be used.
        """
        ...


def unread(root: Path, corpus: "Corpus") -> "Iterator[Problem]":
    """Yield the files of a corpus that look like a language's and are not read."""
    told = getattr(adapter(corpus.source.adapter), "unread", None)
    yield from told(root, corpus) if told else ()


def adapters() -> list[str]:
    """Return the names of the adapters there are."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))


def adapter(name: str) -> Adapter:
    """Return the adapter called ``name``.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    if name not in adapters():
        raise UserError(f"unknown source adapter {name!r}; give one of {', '.join(adapters())}")
    return cast(Adapter, importlib.import_module(f"{__name__}.{name}"))


def read_listed(
    root: Path, corpus: "Corpus", language: str
) -> tuple["pl.DataFrame", list[Problem]]:
    """Return the ``raw_dialog`` table of a language, and what the adapter left out of it.

    It has no column ``only`` where no row is for documents or for chats alone.

    Raises:
        SourceError: the language's files are missing or wrong.
        UserError: the corpus lists no such language.
    """
    import polars as pl

    from cyrene_assets.corpus.speakers import name_speakers

    corpus.language(language)
    names = corpus.named_speakers(language)
    schema = dict.fromkeys(Row._fields, pl.String()) | {"order": pl.Int32(), "line": pl.Int32()}
    tables: list[pl.DataFrame] = []
    rows: list[Row] = []
    left_out: list[Problem] = []

    def singly_read() -> pl.DataFrame:
        columns = zip(*rows, strict=True) if rows else [()] * len(schema)
        return pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema)

    for item in adapter(corpus.source.adapter).read(root, corpus, language):
        if isinstance(item, Problem):
            left_out.append(item)
        elif isinstance(item, pl.DataFrame):
            tables += [singly_read(), item]
            rows.clear()
        else:
            rows.append(item)
    found = pl.concat([*tables, singly_read()], how="diagonal")
    if found[ONLY].null_count() == len(found):
        found = found.drop(ONLY)
    return name_speakers(found, corpus.language(language), names), left_out


def raw_files(root: Path, corpus: "Corpus", language: str) -> dict[str, str]:
    """Return the SHA-256 of each of a language's raw files, by its name.

    Raises:
        SourceError: the language has no file, or one cannot be read.
        UserError: the corpus lists no such language.
    """
    from cyrene_assets.corpus.sources._raw_files import file_digest

    corpus.language(language)
    paths = adapter(corpus.source.adapter).files(root, corpus, language)
    named = [(file_name(path, root), path) for path in paths]
    return {name: file_digest(path, name) for name, path in named}


def raw_digest(root: Path, corpus: "Corpus", language: str) -> str:
    """Return the digest of a language's raw files as they are now.

    Raises:
        SourceError, UserError: as ``raw_files``.
    """
    return digest_of(raw_files(root, corpus, language))


def digest_of(files: Mapping[str, str]) -> str:
    """Return the SHA-256 (16 hexadecimal digits) of files by name: their names and contents."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def file_name(path: Path, folder: Path) -> str:
    """Return a file's name below ``folder``, or with its own folder's where it is elsewhere.

    Where the folder itself lies is not in it: a digest is the same after a move.
    """
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return "/".join(path.parts[-2:])


def unreadable(file: str, error: OSError) -> Problem:
    """Return the problem of a file that the system does not let us read."""
    return Problem(file, 0, f"cannot be read: {error.strerror}", "make it a readable file")
