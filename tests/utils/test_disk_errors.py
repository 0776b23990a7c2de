import errno
import os
from pathlib import Path

import pytest

from cyrene_assets.utils.disk_errors import disk_errors, free_bytes
from cyrene_assets.utils.errors import BuildError, CyreneError, UserError


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, BuildError, ["is full", "GB free", "cyrene gc", "CYRENE_HOME"]),
        (errno.EDQUOT, BuildError, ["quota", "cyrene gc"]),
        (errno.EROFS, UserError, ["is read-only", "make it writable", "CYRENE_HOME"]),
        (errno.EACCES, UserError, ["denies access", "make it writable"]),
        (errno.EPERM, UserError, ["denies access"]),
        (errno.ENOTDIR, UserError, ["expected a folder, found a file", "CYRENE_HOME"]),
        (errno.EEXIST, UserError, ["expected a folder, found a file"]),
    ],
)
def test_disk_errors_say_what_to_do(
    tmp_path: Path, number: int, kind: type[CyreneError], words: list[str]
) -> None:
    for error, named in (
        (OSError(number, os.strerror(number)), tmp_path / "not" / "there"),
        (OSError(number, os.strerror(number), "/some/file"), Path("/some/file")),
    ):
        with pytest.raises(kind) as caught, disk_errors(tmp_path / "not" / "there"):
            raise error
        assert str(caught.value).startswith(f"{named}: ")
        for word in words:
            assert word in str(caught.value)
        assert caught.value.exit_status == (2 if kind is UserError else 1)


def test_a_full_disk_that_a_library_tells_of_in_words(tmp_path: Path) -> None:
    said = "parquet: underlying IO error: No space left on device (os error 28)"
    with pytest.raises(BuildError, match="the disk is full"), disk_errors(tmp_path):
        raise ValueError(said)
    with pytest.raises(BuildError, match="the disk is full"), disk_errors(tmp_path):
        raise OSError("No space left on device (os error 28)")
    with pytest.raises(UserError, match="parquet"), disk_errors(tmp_path):
        raise UserError(said)
    with pytest.raises(ValueError, match="anything else"), disk_errors(tmp_path):
        raise ValueError("anything else")


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"), disk_errors(tmp_path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_free_bytes_of_a_folder_to_be(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") > 0
    (tmp_path / "file").touch()
    assert free_bytes(tmp_path / "file" / "b") > 0
