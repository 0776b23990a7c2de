import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cyrene_assets.store.trash import KEPT_FOR, Trash, size

NOW = datetime(2030, 1, 8, tzinfo=UTC)


def folder(home: Path, name: str) -> Path:
    path = home / "store" / name
    path.mkdir(parents=True)
    (path / "data").write_bytes(b"12345")
    return path


def test_take_a_folder_lies_under_its_own_path_and_can_be_put_back(tmp_path: Path) -> None:
    path = folder(tmp_path, "thing/en/d1")
    trash = Trash(tmp_path, (), NOW)
    moved = trash.take(path)
    assert not path.exists()
    (day,) = trash.everything()
    assert moved.relative_to(day) == path.relative_to(tmp_path)
    assert size(day) == 5
    moved.rename(path)
    assert (path / "data").read_bytes() == b"12345"


def test_old_counts_from_the_time_of_taking(tmp_path: Path) -> None:
    trash = Trash(tmp_path, (), NOW)
    trash.take(folder(tmp_path, "a/_/d1"))
    for later, expected in ((KEPT_FOR - timedelta(seconds=1), 0), (KEPT_FOR, 1)):
        assert len(list(Trash(tmp_path, (), NOW + later).old())) == expected
    (tmp_path / "trash" / "of-somebody").mkdir()
    assert len(list(Trash(tmp_path, (), NOW + KEPT_FOR).old())) == 1


def test_take_another_disk_uses_the_trash_of_that_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, "a/_/d1")
    rename = Path.rename

    def on_two_disks(self: Path, target: Path) -> Path:
        if (tmp_path / "trash") in target.parents:
            raise OSError(errno.EXDEV, "another disk")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", on_two_disks)
    trash = Trash(tmp_path, (tmp_path / "store",), NOW)
    moved = trash.take(path)
    assert moved.is_relative_to(tmp_path / "store" / ".trash")
    assert (moved / "data").is_file()
    assert moved in [p for day in trash.everything() for p in day.rglob("*")]


def test_take_a_disk_that_refuses_leaves_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, "a/_/d1")

    def refuse(_self: Path, _target: Path) -> Path:
        raise OSError(errno.EACCES, "denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="denied"):
        Trash(tmp_path, (), NOW).take(path)
    assert (path / "data").is_file()
