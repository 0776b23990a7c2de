"""Raw files as they lie in a folder: regular ones of the folder's own, read and hashed."""

import errno
import os
import stat
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from cyrene_assets.corpus.sources.types import Problem, SourceError, unreadable
from cyrene_assets.utils.files import sha256

SETTLED_NS = 2_000_000_000


def file_name(path: Path, folder: Path) -> str:
    """Return a file's name below ``folder``, or with its own folder's where it is elsewhere.

    Where the folder itself lies is not in it: a digest is the same after a move.
    """
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return "/".join(path.parts[-2:])


def exists(path: Path) -> bool:
    """Return True if the path exists, even if it is not readable."""
    try:
        path.stat()
    except OSError as error:
        return error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
    return True


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder, as far as the system lets us see."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):  # the latter for a name that none can have
        return False


def checked(path: Path, file: str, folder: Path | None = None) -> os.stat_result:
    """Return a file's status; ``file`` is its name for the reader.

    Raises:
        SourceError: it cannot be found, is no regular file (a directory, a pipe), or is a link out
            of ``folder`` where one is given.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError([unreadable(file, error)]) from error
    if not stat.S_ISREG(status.st_mode):
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        message = f"cannot be read: it is {what}, not a file"
        raise SourceError([Problem(file, 0, message, "put the file itself there")])
    if folder and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        message = "cannot be read: it is a link out of the folder"
        raise SourceError([Problem(file, 0, message, "put the file itself there")])
    return status


def validate_regular_files(paths: Iterable[Path], folder: Path) -> None:
    """Refuse files that are no plain files of the folder's own, all of them at once.

    Raises:
        SourceError: there are some.
    """
    problems = []
    for path in paths:
        try:
            checked(path, file_name(path, folder), folder)
        except SourceError as error:
            problems += error.problems
    if problems:
        raise SourceError(problems)


def read_file(path: Path, file: str, folder: Path) -> bytes:
    """Return what is in a file.

    Raises:
        SourceError: as ``checked``, or the system does not let us read it.
    """
    checked(path, file, folder)
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError([unreadable(file, error)]) from error


def version(path: Path, file: str) -> tuple[int, ...] | None:
    """Return what tells the versions of a file apart: place, size and times.

    Null where it changed in the last two seconds: it may do so again without a new time.

    Raises:
        SourceError: as ``checked``.
    """
    status = checked(path, file)
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) <= SETTLED_NS:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def file_digest(path: Path, file: str) -> str:
    """Return the SHA-256 of a file (hexadecimal), computed once for each ``version`` of it.

    Raises:
        SourceError: as ``read_file``.
    """
    known = version(path, file)
    try:
        return _digest_of(path, known) if known else sha256(path)
    except OSError as error:
        raise SourceError([unreadable(file, error)]) from error


@lru_cache(maxsize=4096)
def _digest_of(path: Path, known: object) -> str:  # noqa: ARG001
    return sha256(path)
