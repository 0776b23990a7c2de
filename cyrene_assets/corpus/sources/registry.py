"""The source adapters, and the rows and digests of a corpus's raw files through them."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cyrene_assets.corpus.sources import adapters as installed
from cyrene_assets.corpus.sources.raw_files import file_digest, file_name
from cyrene_assets.corpus.sources.types import ONLY, Adapter, CorpusSettings, Problem, Row
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.files import short_digest

if TYPE_CHECKING:
    import polars as pl


def unread(root: Path, corpus: CorpusSettings) -> Iterator[Problem]:
    """Yield the files of a corpus that look like a language's and are not read."""
    told = getattr(adapter(corpus.source.adapter), "unread", None)
    yield from told(root, corpus) if told else ()


def adapters() -> list[str]:
    """Return the names of the adapters there are."""
    names = (module.name for module in pkgutil.iter_modules(installed.__path__))
    return sorted(name for name in names if not name.startswith("_"))


def adapter(name: str) -> Adapter:
    """Return the adapter called ``name``.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    if name not in adapters():
        raise UserError(f"unknown source adapter {name!r}; give one of {', '.join(adapters())}")
    return cast(Adapter, importlib.import_module(f"{installed.__name__}.{name}"))


def read_listed(
    root: Path, corpus: CorpusSettings, language: str
) -> tuple["pl.DataFrame", list[Problem]]:
    """Return the ``raw_dialog`` table of a language, and what the adapter left out of it.

    It has no column ``only`` where no row is for documents or for chats alone.

    Raises:
        SourceError: the language's files are missing or wrong.
        UserError: the corpus lists no such language.
    """
    import polars as pl

    from cyrene_assets.corpus.sources.speakers import name_speakers

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


def raw_files(root: Path, corpus: CorpusSettings, language: str) -> dict[str, str]:
    """Return the SHA-256 of each of a language's raw files, by its name.

    Raises:
        SourceError: the language has no file, or one cannot be read.
        UserError: the corpus lists no such language.
    """
    corpus.language(language)
    paths = adapter(corpus.source.adapter).files(root, corpus, language)
    named = [(file_name(path, root), path) for path in paths]
    return {name: file_digest(path, name) for name, path in named}


def raw_digest(root: Path, corpus: CorpusSettings, language: str) -> str:
    """Return the digest of a language's raw files as they are now.

    Raises:
        SourceError, UserError: as ``raw_files``.
    """
    return digest_of(raw_files(root, corpus, language))


def digest_of(files: Mapping[str, str]) -> str:
    """Return the SHA-256 (16 hexadecimal digits) of files by name: their names and contents."""
    return short_digest("".join(f"{name}\0{content}\n" for name, content in files.items()))
