import os
from pathlib import Path

import pytest
from corpus.sources import game_miniature
from mini_corpus import write_corpus

from cyrene_assets.orchestration.raw_files import (
    FileScan,
    SettleTracker,
    is_settled,
    raw_files_of,
    scan_files,
)
from cyrene_assets.project.folders import PROJECT_ROOT
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import ProjectFile
from cyrene_assets.utils.errors import UserError


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write_corpus(tmp_path / "corpus")
    return Project(tmp_path / "home", ProjectFile(corpus=str(tmp_path / "corpus")))


def test_files_settle_when_two_looks_agree_and_nobody_wrote_for_a_while() -> None:
    tracker = SettleTracker().update(FileScan("a", changed=100.0), now=101.0, settle_seconds=15)
    assert (tracker.seen, tracker.settled) == ("a", "")
    tracker = tracker.update(FileScan("b", changed=109.0), now=111.0, settle_seconds=15)
    tracker = tracker.update(FileScan("b", changed=109.0), now=121.0, settle_seconds=15)
    assert (tracker.seen, tracker.settled) == ("b", "")
    tracker = tracker.update(FileScan("b", changed=109.0), now=124.5, settle_seconds=15)
    assert (tracker.seen, tracker.settled) == ("b", "b")
    # A writer begins again: what settled before stays known.
    tracker = tracker.update(FileScan("c", changed=130.0), now=131.0, settle_seconds=15)
    assert (tracker.seen, tracker.settled) == ("c", "b")


def test_files_that_were_left_alone_for_long_settle_at_the_second_look() -> None:
    tracker = SettleTracker().update(FileScan("a", changed=5.0), now=1000.0, settle_seconds=15)
    assert tracker.settled == ""
    assert tracker.update(FileScan("a", changed=5.0), now=1010.0, settle_seconds=15).settled == "a"


def test_a_clock_that_is_set_back_or_ahead_only_delays() -> None:
    ahead = SettleTracker().update(FileScan("a", changed=9000.0), now=100.0, settle_seconds=15)
    assert ahead.update(FileScan("a", changed=9000.0), now=120.0, settle_seconds=15).settled == "a"
    back = SettleTracker("a", since=5000.0).update(
        FileScan("a", changed=1.0), now=100.0, settle_seconds=15
    )
    assert back.settled == ""
    assert back.update(FileScan("a", changed=1.0), now=116.0, settle_seconds=15).settled == "a"


def test_every_write_shows_and_nothing_else_does(project: Project) -> None:
    root = project.corpus_folder
    first = scan_files(project).fingerprint
    assert scan_files(project).fingerprint == first
    found = {first}

    def wrote() -> None:
        now = scan_files(project).fingerprint
        assert now not in found
        found.add(now)

    (root / "dialog" / ".en.jsonl.part").write_text("half", encoding="utf-8")
    wrote()
    (root / "dialog" / ".en.jsonl.part").rename(root / "dialog" / "fr.jsonl")
    wrote()
    (root / "dialog" / "fr.jsonl").unlink()
    wrote()
    # The same size and the same time as before, but written again.
    file = root / "dialog" / "en.jsonl"
    status = file.stat()
    file.write_bytes(file.read_bytes().swapcase())
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    wrote()
    (root / "corpus.yaml").write_text("name: [", encoding="utf-8")
    wrote()
    file.write_text("", encoding="utf-8")
    wrote()


def test_silence_is_counted_from_the_last_write(project: Project) -> None:
    changed = scan_files(project).changed
    assert not is_settled(project, changed + 14)
    assert is_settled(project, changed + 15)
    file = project.corpus_folder / "dialog" / "en.jsonl"
    os.utime(file, (changed + 50, changed + 50))
    assert not is_settled(project, changed + 60)


def test_raw_files_are_told_apart_by_content(project: Project) -> None:
    file = project.corpus_folder / "dialog" / "en.jsonl"
    first = raw_files_of(project, "en")
    assert sorted(first.files) == ["dialog/en.jsonl", "documents/en.jsonl"]
    file.write_bytes(file.read_bytes())
    assert raw_files_of(project, "en").version == first.version
    file.write_bytes(file.read_bytes() + b"\n")
    changed = raw_files_of(project, "en")
    assert changed.version != first.version
    assert changed.files["documents/en.jsonl"] == first.files["documents/en.jsonl"]


def test_files_that_cannot_be_read_have_a_version_of_their_own(project: Project) -> None:
    for folder in ("dialog", "documents"):
        (project.corpus_folder / folder / "en.jsonl").unlink()
    found = raw_files_of(project, "en")
    assert "dialog/en.jsonl and documents/en.jsonl are both missing" in (found.problem or "")
    assert found.version.startswith("unreadable-")
    # Its folder is watched all the same: the file may come back.
    before = scan_files(project).fingerprint
    (project.corpus_folder / "dialog" / "en.jsonl").touch()
    assert scan_files(project).fingerprint != before


def test_a_corpus_folder_that_is_gone_is_said(project: Project) -> None:
    gone = Project(project.home, ProjectFile(corpus=str(project.home / "gone")))
    with pytest.raises(UserError, match="gone: no such corpus folder"):
        scan_files(gone)


def test_a_game_data_folder_is_watched_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = game_miniature.folder().write(tmp_path / "game")
    monkeypatch.setenv("CYRENE_GAME_DATA", str(root))
    project = Project(tmp_path / "home", ProjectFile(corpus=str(PROJECT_ROOT / "corpora/cyrene")))
    before = {key: raw_files_of(project, key).version for key in ("en", "th")}
    first = scan_files(project).fingerprint
    texts = root / "TextMap" / "TextMapEN.json"
    texts.write_text(texts.read_text(encoding="utf-8").replace("Sit", "Stand"), encoding="utf-8")
    assert scan_files(project).fingerprint != first
    assert raw_files_of(project, "th").version == before["th"]
    assert raw_files_of(project, "en").version != before["en"]
    second = scan_files(project).fingerprint
    (root / "TextMap" / "TextMapTH_3.json").write_text("{}", encoding="utf-8")
    assert scan_files(project).fingerprint != second
    assert raw_files_of(project, "th").version != before["th"]
    monkeypatch.delenv("CYRENE_GAME_DATA")
    assert "CYRENE_GAME_DATA is not set" in (raw_files_of(project, "en").problem or "")
