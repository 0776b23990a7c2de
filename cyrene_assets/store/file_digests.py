"""SHA-256 of files that are read once on this machine, and again only when they may have changed.

A file that has the path, the inode, the size and both times (of its content, and of its inode,
which no program can set back) that it had when it was read is taken to hold what it held then. What
a disk loses by itself has the same times: ``cyrene artifacts --verify`` reads everything.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import time_ns

from cyrene_assets.utils.files import sha256

_TABLE = """
CREATE TABLE IF NOT EXISTS digests (
    path TEXT PRIMARY KEY, device INTEGER, inode INTEGER, bytes INTEGER,
    content_changed INTEGER, inode_changed INTEGER, sha256 TEXT
) WITHOUT ROWID
"""
_IDENTITY = "device = ? AND inode = ? AND bytes = ? AND content_changed = ? AND inode_changed = ?"
_WAIT_SECONDS = 5.0
# Two writes within a tick of the file system's clock leave the same times: a file is remembered if
# its last write was so long before it was read. The clock ticks 100 times a second or faster, or
# every second or two.
_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000


class FileDigests:
    """What was read, in a database of this machine; several processes may use it at once.

    A database that cannot be used costs time alone: files are read then.
    """

    def __init__(self, database: Path) -> None:
        self._database = database

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file's content, in hexadecimal digits."""
        identity = _identity(path)
        with self._opened() as database:
            if database is None:
                return sha256(path)
            row = None
            with suppress(sqlite3.OperationalError):  # held by another process for too long
                row = database.execute(
                    f"SELECT sha256 FROM digests WHERE path = ? AND {_IDENTITY}",  # noqa: S608
                    (str(path), *identity),
                ).fetchone()
            return self._read(database, path) if row is None else str(row[0])

    def read(self, path: Path) -> str:
        """Return the SHA-256 of a file's content, read now whatever is remembered."""
        with self._opened() as database:
            return sha256(path) if database is None else self._read(database, path)

    def _read(self, database: sqlite3.Connection, path: Path) -> str:
        before, began = _identity(path), time_ns()
        digest = sha256(path)
        if _identity(path) == before and _is_settled(before, began):
            with suppress(sqlite3.OperationalError):  # the same, or the disk is full
                database.execute(
                    "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (str(path), *before, digest),
                )
        return digest

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection | None]:
        """Yield the open database, or None where there can be none.

        On Windows the second time is when a file was made: it would not show every change.
        """
        if sys.platform == "win32":
            yield None
            return
        try:
            self._database.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._database, timeout=_WAIT_SECONDS, isolation_level=None
            )
        except (OSError, sqlite3.Error):
            yield None
            return
        with closing(connection):
            yield connection if self._is_usable(connection) else None

    def _is_usable(self, connection: sqlite3.Connection) -> bool:
        try:
            # What is lost with the power is read again.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(_TABLE)
        except sqlite3.OperationalError:
            return False  # another process holds it, or the disk is full or read-only
        except sqlite3.DatabaseError:
            self._database.unlink(missing_ok=True)  # torn by a power cut: the next one is new
            return False
        return True


def _identity(path: Path) -> tuple[int, int, int, int, int]:
    status = path.stat()
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _is_settled(identity: tuple[int, ...], began: int) -> bool:
    """Return whether a write after ``began`` (nanoseconds) would show in a file's times."""
    changed = max(identity[-2:])
    tick = _TICK_NS if changed % _SECOND_NS else _COARSE_TICK_NS
    return changed + tick < began
