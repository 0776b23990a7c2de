"""One writer per artifact: the second one waits, and finds what the first one made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cyrene_assets.utils.disk_errors import disk_errors

_POLL_SECONDS = 0.2


@contextmanager
def artifact_lock(
    work: Path, name: str, run_id: str, say: Callable[[str], object]
) -> Iterator[None]:
    """Hold the artifact's lock; a lock ends with its process, however that ends.

    While another run holds it, say which, and wait: the automation and a `cyrene build` that start
    at the same moment may both want the artifact, and neither is to fail for it.

    Raises:
        BuildError: the disk is full.
    """
    owner = work / "owner"
    with disk_errors(work):
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / "lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            run = owner.read_text(encoding="utf-8") if owner.exists() else "another run"
            say(f"{name} is being built by {run} already: waiting for it to end")
            held = lock.acquire(poll_interval=_POLL_SECONDS)
    with held, disk_errors(work):
        owner.write_text(f"run {run_id}", encoding="utf-8")
        yield
