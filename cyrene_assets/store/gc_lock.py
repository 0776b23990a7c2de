"""The store's reader/writer lock: any number of runs share it, garbage collection excludes them.

The lock is the system's own (flock, or LockFileEx on Windows, through portalocker), so that it ends
with its process, however that ends. filelock 4.2 has a ``ReadWriteLock`` too, which survives
``kill -9`` as well (20 of 20 tries), but is a SQLite database: 1.2 ms a lock instead of 0.03, a
process that is forked while it is held cannot use the store ("was active across fork()"), and runs
of a version with this lock and one with that would not see each other.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker
from portalocker import LockFlags

from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError

_FILE = ".lock"


@contextmanager
def shared_lock(root: Path) -> Iterator[None]:
    """Share the store: nothing is removed from it meanwhile; waits for a removal to end."""
    with _opened(root) as lock:
        portalocker.lock(lock, LockFlags.SHARED)
        yield


@contextmanager
def exclusive_lock(root: Path) -> Iterator[None]:
    """Exclude everybody else from the store.

    Raises:
        BuildError: a run uses it.
    """
    with _opened(root) as lock:
        try:
            portalocker.lock(lock, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except portalocker.AlreadyLocked as error:
            raise BuildError(
                f"a run is active in {root} and may need what would go: wait for it to end, "
                "or cancel it in the UI"
            ) from error
        yield


@contextmanager
def _opened(root: Path) -> Iterator[int]:
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        # No process that is started inherits it: Python opens files so on every system.
        lock = os.open(root / _FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield lock
    finally:
        os.close(lock)
