"""The lock of a project: one `cyrene build` at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from cyrene_assets.project.project import Project
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError


@contextmanager
def build_lock(project: Project) -> Iterator[None]:
    """Hold the project's build lock.

    Raises:
        BuildError: another process holds it.
    """
    with disk_errors(project.work):
        project.work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(project.work / "build.lock")
        try:
            # A process that only tests whether a build is at work holds the lock for a moment.
            held = lock.acquire(timeout=1, poll_interval=0.05)
        except Timeout as error:
            raise BuildError(
                f"another `cyrene build` is at work in {project.home}: wait for it to end, "
                "or watch it with `make ui`"
            ) from error
    with held:
        yield


def is_build_running(project: Project) -> bool:
    """Return whether another process is in ``build_lock``."""
    if not (project.work / "build.lock").exists():
        return False
    with disk_errors(project.work):
        try:
            with FileLock(project.work / "build.lock", timeout=0):
                return False
        except Timeout:
            return True
