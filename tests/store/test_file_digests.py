import hashlib
import os
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from cyrene_assets.store import file_digests
from cyrene_assets.store.file_digests import FileDigests

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files are always read there")


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def digests(tmp_path: Path) -> FileDigests:
    return FileDigests(tmp_path / "work" / "digests.sqlite")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file whose last write is long enough ago to be remembered."""
    path = tmp_path / "weights"
    path.write_bytes(b"old!")
    time.sleep(3 * file_digests._TICK_NS / 1e9)
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was read completely, in order."""
    seen: list[Path] = []

    def count(path: Path) -> str:
        seen.append(path)
        return sha256_of(path.read_bytes())

    monkeypatch.setattr(file_digests, "sha256", count)
    return seen


def test_a_file_is_read_once(digests: FileDigests, file: Path, reads: list[Path]) -> None:
    found = [digests.sha256(file) for _ in range(3)]
    assert found == [sha256_of(b"old!")] * 3
    assert reads == [file]


def test_another_process_knows_it(digests: FileDigests, file: Path, reads: list[Path]) -> None:
    digests.sha256(file)
    assert FileDigests(digests._database).sha256(file) == sha256_of(b"old!")
    assert reads == [file]


def test_a_change_of_the_same_length_is_seen_with_the_old_time_put_back(
    digests: FileDigests, file: Path
) -> None:
    digests.sha256(file)
    before = file.stat()
    file.write_bytes(b"new!")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert digests.sha256(file) == sha256_of(b"new!")


def test_another_file_in_its_place_is_seen(digests: FileDigests, file: Path) -> None:
    digests.sha256(file)
    other = file.with_name("other")
    other.write_bytes(b"new!")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.rename(file)
    assert digests.sha256(file) == sha256_of(b"new!")


def test_what_was_written_just_now_is_not_remembered(
    digests: FileDigests, file: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second write within a tick of the clock would leave the same times."""
    written = file.stat().st_ctime_ns
    monkeypatch.setattr(file_digests, "time_ns", lambda: written + file_digests._TICK_NS - 1)
    digests.sha256(file)
    digests.sha256(file)
    assert reads == [file, file]


def test_times_in_full_seconds_take_longer_to_be_believed() -> None:
    full, second = 1_700_000_000 * 10**9, 10**9
    assert not file_digests._is_settled((0, 0, 0, full, full), full + second)
    assert file_digests._is_settled((0, 0, 0, full, full), full + 3 * second)
    assert file_digests._is_settled((0, 0, 0, full, full + 1), full + second)


def test_read_reads_and_remembers(digests: FileDigests, file: Path, reads: list[Path]) -> None:
    digests.sha256(file)
    digests.read(file)
    digests.sha256(file)
    assert reads == [file, file]


def test_a_torn_database_is_made_again(digests: FileDigests, file: Path, reads: list[Path]) -> None:
    digests.sha256(file)
    digests._database.write_bytes(b"SQLite format 3\0" + b"torn" * 1000)
    assert [digests.sha256(file) for _ in range(3)] == [sha256_of(b"old!")] * 3
    # Once for the torn one, once for the new one.
    assert reads == [file] * 3


def test_a_database_that_cannot_be_made_costs_time_alone(tmp_path: Path, file: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    digests = FileDigests(tmp_path / "taken" / "digests.sqlite")
    assert digests.sha256(file) == sha256_of(b"old!")


def test_a_database_that_is_held_costs_time_alone(
    digests: FileDigests, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests.sha256(file)
    monkeypatch.setattr(file_digests, "_WAIT_SECONDS", 0.01)
    holder = sqlite3.connect(digests._database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert digests.sha256(file) == sha256_of(b"old!")
    finally:
        holder.close()


def test_a_missing_file_is_no_digest(digests: FileDigests, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digests.sha256(tmp_path / "nowhere")
