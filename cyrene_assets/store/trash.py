"""The trash: what ``cyrene gc`` takes away lies here for a while, one folder for each time.

``CYRENE_HOME/trash/<time>/`` holds what went at that time under the paths that it had below
CYRENE_HOME: moving a folder back undoes it. A folder is moved by one rename, so that whatever ends
the process leaves it complete in one place or the other.
"""

import errno
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cyrene_assets.utils.files import make_folder, sync_folder

KEPT_FOR = timedelta(days=7)
_TIME = "%Y%m%dT%H%M%SZ"


class Trash:
    """The trash of one home; what is moved by one object lies together.

    ``roots`` are folders that may be on disks of their own (the store, the resume state): what a
    rename cannot take to the home's trash lies in a ``.trash`` of its own disk.
    """

    def __init__(self, home: Path, roots: tuple[Path, ...], now: datetime) -> None:
        self._home = home
        self._roots = roots
        self._now = now
        # Two in a second, or a clock that was set back, do not mix.
        self._name = f"{now.astimezone(UTC):{_TIME}}-{uuid.uuid4().hex[:6]}"

    @property
    def places(self) -> tuple[Path, ...]:
        """Where trash may lie, the usual place first."""
        return self._home / "trash", *(root / ".trash" for root in self._roots)

    def take(self, path: Path) -> Path:
        """Move a file, a folder or a link here; return where it is now.

        Raises:
            OSError: the system refuses.
        """
        for place in self.places:
            target = place / self._name / path.relative_to(self._home)
            # The way to it is on the disk before the folder goes there.
            make_folder(target.parent, place.parent)
            try:
                moved = path.rename(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
            else:
                sync_folder(moved.parent)
                return moved
        raise OSError(errno.EXDEV, "no trash on this disk", str(path))

    def old(self) -> Iterator[Path]:
        """Yield the folders that have lain here for ``KEPT_FOR``."""
        for folder in self.everything():
            try:
                at = datetime.strptime(folder.name.partition("-")[0], _TIME).replace(tzinfo=UTC)
            except ValueError:
                continue  # nothing that was put here by `take`
            if self._now - at >= KEPT_FOR:
                yield folder

    def everything(self) -> list[Path]:
        """Return every folder of trash, the oldest first."""
        folders = [f for place in self.places for f in place.glob("*") if f.is_dir()]
        return sorted(folders, key=lambda folder: folder.name)

    @staticmethod
    def empty(folder: Path) -> None:
        """Remove a folder of trash for good."""
        shutil.rmtree(folder)


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links are not followed."""
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size
    return sum(f.lstat().st_size for f in path.rglob("*") if f.is_file() and not f.is_symlink())
