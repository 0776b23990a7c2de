"""What a disk refuses, in words that say what to do."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cyrene_assets.utils.errors import BuildError, CyreneError, UserError

_FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "has used up its quota"}
_CLOSED = {errno.EACCES: "denies access", errno.EPERM: "denies access", errno.EROFS: "is read-only"}
_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EEXIST})


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn a full, read-only or closed disk into an error that says what to do.

    Raises:
        BuildError: the disk is full, or over its quota.
        UserError: the folder cannot be written to.
    """
    try:
        yield
    except OSError as error:
        path, number = error.filename or where, _number(error)
        if number in _FULL:
            raise _full(path, _FULL[number], where) from error
        if number in _CLOSED:
            raise UserError(
                f"{path}: the disk or folder {_CLOSED[number]}: make it writable, or set "
                "CYRENE_HOME to a folder that is"
            ) from error
        if number in _IN_THE_WAY:
            raise UserError(
                f"{path}: expected a folder, found a file: move it away, or set "
                "CYRENE_HOME to another folder"
            ) from error
        raise
    except Exception as error:
        # Polars, like other native libraries, tells of a full disk in words only.
        if isinstance(error, CyreneError) or os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise _full(where, _FULL[errno.ENOSPC], where) from error


def _number(error: OSError) -> int | None:
    """Return the system's number of an error; Polars gives it in words: "(os error 28)"."""
    if error.errno is not None:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _full(path: Path | str, what: str, where: Path) -> BuildError:
    free = free_bytes(where)
    return BuildError(
        f"{path}: the disk {what} ({free / 1e9:.1f} GB free): make room (`cyrene gc --now` "
        "removes what nothing refers to) or set CYRENE_HOME to another disk, and run the same "
        "command again"
    )


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that ``folder`` is, or would be, on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
