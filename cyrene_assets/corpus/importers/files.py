"""Files to import: which there are, and their text."""

import codecs
from collections.abc import Sequence
from pathlib import Path

from cyrene_assets.corpus.sources.types import Problem, SourceError, unreadable

_UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def one_problem(file: Path | str, line: int, message: str, remedy: str) -> SourceError:
    """Return the error of a file with one thing wrong."""
    return SourceError([Problem(str(file), line, message, remedy)])


def files_at(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the file at ``path``, or the files with these suffixes in the folder there, by name.

    Raises:
        SourceError: there is none.
    """
    if path.is_file():
        if path.suffix.lower() not in suffixes:
            raise one_problem(
                path, 0, f"its name ends in {path.suffix!r}", f"give a {' or '.join(suffixes)} file"
            )
        return [path]
    if not path.is_dir():
        raise one_problem(path, 0, "no such file or folder", "give one that is there")
    found = sorted(
        one for one in path.rglob("*") if one.suffix.lower() in suffixes and one.is_file()
    )
    if not found:
        raise one_problem(
            path, 0, f"no {' or '.join(suffixes)} file in this folder", "give another one"
        )
    return found


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, or UTF-16 with a byte order mark; line ends are made one.

    Raises:
        SourceError: it cannot be read, or is in another encoding.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError([unreadable(str(path), error)]) from error
    name, encoding = ("UTF-8", "utf-8-sig")
    if content.startswith(_UTF_32):
        raise one_problem(path, 0, "not UTF-8 but UTF-32", "save it as UTF-8")
    if content.startswith(_UTF_16):
        name, encoding = ("UTF-16", "utf-16")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise one_problem(
            path, line, f"not {name} at byte {error.start}", "save it as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
