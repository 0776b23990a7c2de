import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cyrene_assets.store import manifest as manifests
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import (
    LOG,
    Artifact,
    CorruptArtifactError,
    Store,
    fingerprint,
)
from cyrene_assets.store.manifest import MANIFEST
from cyrene_assets.store.trash import Trash
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.process_identity import mark

FILES = {"data.txt": b"the data\n", "inner/more.bin": bytes(range(256))}


def publish(
    store: Store,
    files: Mapping[str, bytes] = FILES,
    asset: str = "thing",
    partition: str | None = "en",
    **fields: object,
) -> Artifact:
    with store.stage(asset) as out:
        for name, content in files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return store.publish(out, ArtifactKey(asset, partition), fields)


@pytest.fixture
def store(quick_path: Path) -> Store:
    return Store(quick_path / "store")


def staged(store: Store) -> list[Path]:
    return list((store.root / ".staging").glob("*"))


def test_publishes_a_folder_named_by_its_content(store: Store) -> None:
    artifact = publish(store, run_id="run 1")
    assert artifact.path == store.root / "thing" / "en" / artifact.digest
    assert len(artifact.digest) == 16
    assert artifact.path.stat().st_mode & 0o777 == 0o755
    assert {
        path.relative_to(artifact.path).as_posix()
        for path in artifact.path.rglob("*")
        if path.is_file()
    } == {"data.txt", "inner/more.bin", MANIFEST}
    assert artifact.manifest["files"] == {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in FILES.items()
    }
    assert artifact.manifest["asset"] == "thing"
    assert artifact.manifest["partition"] == "en"
    assert artifact.manifest["digest"] == artifact.digest
    assert artifact.manifest["run_id"] == "run 1"
    assert artifact.manifest["created"].endswith("+00:00")
    assert not staged(store)
    assert store.open(ArtifactKey("thing", "en"), artifact.digest) == artifact


def test_the_digest_is_that_of_names_and_contents(store: Store) -> None:
    listed = [[name, hashlib.sha256(FILES[name]).hexdigest()] for name in sorted(FILES)]
    assert publish(store).digest == fingerprint(listed)
    other = [
        publish(store, {"data.txt": b"the data\n"}),
        publish(store, {**FILES, "data.txt": b"The data\n"}),
        publish(store, {"renamed.txt": FILES["data.txt"], "inner/more.bin": bytes(range(256))}),
    ]
    assert len({artifact.digest for artifact in other} | {publish(store).digest}) == 4


def test_equal_content_reuses_its_folder(store: Store) -> None:
    first = publish(store, run_id="run 1")
    again = publish(store, run_id="run 2")
    assert again == first
    assert again.manifest["run_id"] == "run 1"
    assert not staged(store)


def test_log_and_manifest_are_no_part_of_the_digest(store: Store) -> None:
    first = publish(store, {**FILES, LOG: b"took 3 s\n"}, run_id="run 1")
    assert publish(store, {**FILES, LOG: b"took 4 s\n"}, run_id="run 2").digest == first.digest
    assert publish(store).digest == first.digest
    assert (first.path / LOG).read_bytes() == b"took 3 s\n"
    assert LOG not in first.manifest["files"]
    # It belongs to the artifact all the same.
    (first.path / LOG).write_bytes(b"took 2 s\n")
    with pytest.raises(CorruptArtifactError, match=r"the content of log\.txt has changed"):
        store.open(ArtifactKey("thing", "en"), first.digest)


def test_assets_without_partitions_and_with_two(store: Store) -> None:
    alone = publish(store, partition=None)
    assert alone.path.parent.name == "_"
    assert str(alone.key) == "thing"
    pair = publish(store, partition="en|tiny")
    assert str(pair.key) == "thing[en|tiny]"
    assert [a.key.partition for a in store.artifacts("thing")] == [None, "en|tiny"]


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "inner/more.bin").read_bytes())
    content[7] ^= 1
    (folder / "inner/more.bin").write_bytes(content)


def replace_by_a_link(folder: Path) -> None:
    (folder / "data.txt").rename(folder.parent / "elsewhere.txt")
    (folder / "data.txt").symlink_to(folder.parent / "elsewhere.txt")


def rewrite_manifest(**changes: object) -> Callable[[Path], None]:
    """Write another manifest, sealed as one should be."""

    def rewrite(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        del manifest["seal"]
        manifests.write(folder, {**manifest, **changes})

    return rewrite


def edit_manifest(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"run 1"', '"run 2"'))


def truncate(folder: Path) -> None:
    os.truncate(folder / "data.txt", 3)


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (truncate, "data.txt has 3 bytes, not 9"),
    (lambda folder: (folder / "data.txt").unlink(), "data.txt is missing"),
    (lambda folder: shutil.rmtree(folder / "inner"), "inner/more.bin is missing"),
    (lambda folder: (folder / "new.txt").touch(), "new.txt is not in the manifest"),
    (replace_by_a_link, "plain files only, no links"),
    (lambda folder: os.mkfifo(folder / "pipe"), "plain files only"),
    (lambda folder: (folder / MANIFEST).unlink(), "cannot be read"),
    (lambda folder: (folder / MANIFEST).write_bytes(b'{"asset": '), "cannot be read"),
    (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe"), "cannot be read"),
    (lambda folder: (folder / MANIFEST).write_text("[]"), "is not a manifest"),
    (rewrite_manifest(files=[]), "is not a manifest"),
    (rewrite_manifest(partition="de"), "belongs to another artifact"),
    (rewrite_manifest(asset="other"), "belongs to another artifact"),
    (rewrite_manifest(files={}), "is not in the manifest"),
    (rewrite_manifest(files={"data.txt": 5}), "is not a manifest"),
    (rewrite_manifest(inputs=7), "is not a manifest"),
    (edit_manifest, "checksum mismatch"),
]


@pytest.mark.parametrize(("damage", "problem"), [*DAMAGES, (flip_a_byte, "more.bin has changed")])
def test_every_damage_is_found_and_named(
    store: Store, damage: Callable[[Path], object], problem: str
) -> None:
    artifact = publish(store, run_id="run 1")
    damage(artifact.path)
    with pytest.raises(CorruptArtifactError) as caught:
        store.open(ArtifactKey("thing", "en"), artifact.digest)
    message = str(caught.value)
    assert message.startswith(f"thing[en] {artifact.digest} is corrupt: ")
    assert problem in message
    assert "run `cyrene build` again" in message


@pytest.mark.parametrize(("damage", "problem"), DAMAGES)
def test_all_but_changed_content_is_found_without_reading_it(
    store: Store, damage: Callable[[Path], object], problem: str
) -> None:
    artifact = publish(store, run_id="run 1")
    damage(artifact.path)
    with pytest.raises(CorruptArtifactError, match=problem):
        store.open(ArtifactKey("thing", "en"), artifact.digest, contents=False)


def test_every_byte_of_a_manifest_counts(store: Store) -> None:
    artifact = publish(store)
    path = artifact.path / MANIFEST
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        )
        with pytest.raises(CorruptArtifactError):
            store.open(ArtifactKey("thing", "en"), artifact.digest, contents=False)


def test_a_link_in_an_artifacts_place_is_corrupt_and_goes_alone(store: Store) -> None:
    artifact, other = publish(store), publish(store, {"x": b"y"})
    elsewhere = store.root.parent / "elsewhere"
    artifact.path.rename(elsewhere)
    artifact.path.symlink_to(elsewhere)
    with pytest.raises(CorruptArtifactError, match="is a link"):
        store.open(ArtifactKey("thing", "en"), artifact.digest)
    assert sorted(store.folders()) == sorted([artifact.path, other.path])
    trash = Trash(store.root.parent, (), datetime.now(UTC))
    moved = trash.take(artifact.path)
    assert moved.is_symlink()
    Trash.empty(moved.parents[3])
    assert (elsewhere / MANIFEST).is_file()


def test_nothing_outside_the_store_is_swept(store: Store) -> None:
    artifact = publish(store)
    elsewhere = store.root.parent / "elsewhere"
    artifact.path.parent.rename(elsewhere)
    artifact.path.parent.symlink_to(elsewhere)
    assert list(store.folders()) == []
    assert (elsewhere / artifact.digest / MANIFEST).is_file()


def test_setting_aside_twice_at_the_same_time_of_a_clock_set_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime as dates

    from cyrene_assets.store import artifact_store as module

    class Stopped(dates.datetime):
        @classmethod
        def now(cls, tz: dates.tzinfo | None = None) -> "Stopped":
            return cls(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr(module, "datetime", Stopped)
    asides = {store.set_aside(publish(store)) for _ in range(2)}
    assert len(asides) == 2
    assert all(path.is_dir() for path in asides)


def test_changed_content_is_not_looked_for_where_it_need_not_be(store: Store) -> None:
    artifact = publish(store)
    flip_a_byte(artifact.path)
    store.open(ArtifactKey("thing", "en"), artifact.digest, contents=False)


def test_an_artifact_that_is_gone_or_under_another_name_is_corrupt(store: Store) -> None:
    artifact = publish(store)
    artifact.path.rename(artifact.path.with_name("0" * 16))
    with pytest.raises(CorruptArtifactError, match="is gone"):
        store.open(ArtifactKey("thing", "en"), artifact.digest)
    with pytest.raises(CorruptArtifactError, match="not the digest of its files"):
        store.open(ArtifactKey("thing", "en"), "0" * 16)


@pytest.mark.parametrize("damage", [flip_a_byte, *(damage for damage, _ in DAMAGES)])
def test_publishing_over_a_corrupt_artifact_sets_it_aside(
    store: Store, damage: Callable[[Path], object]
) -> None:
    first = publish(store, run_id="run 1")
    damage(first.path)
    second = publish(store)
    assert second.path == first.path
    second.verify(contents=True)
    aside = [path for path in first.path.parent.iterdir() if ".corrupt-" in path.name]
    assert len(aside) == 1
    assert aside[0].name.startswith(f"{first.digest}.corrupt-")
    assert list(store.artifacts()) == [second]


def test_only_plain_files_and_at_least_one_are_published(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"thing\[en\] wrote no files"):
        publish(store, {})
    with pytest.raises(BuildError, match="wrote no files"):
        publish(store, {LOG: b"only a log"})
    with store.stage("thing") as out:
        (out / "data.txt").write_bytes(b"data")
        (out / "link").symlink_to(tmp_path)
        with pytest.raises(BuildError, match="no links"):
            store.publish(out, ArtifactKey("thing", "en"), {})
    assert not list(store.artifacts())
    assert not staged(store)


@pytest.mark.parametrize("part", ["../thing", "thing/x", "", ".hidden", "a b", "a\nb"])
def test_no_name_leads_out_of_the_store(store: Store, part: str) -> None:
    with pytest.raises(UserError, match="cannot be part of an artifact's path"):
        store.locate(ArtifactKey(part, "en"), "0" * 16)
    with pytest.raises(UserError, match="cannot be part of an artifact's path"):
        store.locate(ArtifactKey("thing", "en"), part)


def test_a_staged_folder_goes_whatever_happens(store: Store) -> None:
    def fail(out: Path) -> None:
        (out / "half.txt").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), store.stage("thing") as out:
        fail(out)
    assert not staged(store)
    assert not list(store.artifacts())


def ended_process() -> str:
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    word = mark(process.pid)
    process.communicate()
    return word


def test_folders_and_what_is_left_half_made_are_all_there_is(store: Store) -> None:
    kept, old, corrupt = publish(store), publish(store, {"x": b"old"}), publish(store, {"x": b"12"})
    aside = store.set_aside(corrupt)
    for name in (f"thing-{ended_process()}-abc", "left_by_something_else"):
        (store.root / ".staging" / name).mkdir(parents=True)
    with store.stage("thing") as alive:
        dead = [f for f in (store.root / ".staging").iterdir() if f != alive]
        assert len(dead) == 2
        assert store.abandoned_folders() == sorted(dead)
    assert list(store.folders()) == sorted([kept.path, old.path, aside])


def test_lists_artifacts_in_order_and_nothing_else(store: Store) -> None:
    assert not list(store.artifacts())
    b, a = publish(store, asset="b"), publish(store, asset="a", partition=None)
    store.set_aside(publish(store, {"x": b"y"}, asset="a"))
    with store.stage("a"):
        assert list(store.artifacts()) == [a, b]
        assert list(store.artifacts("b")) == [b]


def test_a_file_in_the_way_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    for root in (tmp_path / "home", tmp_path / "home" / "store"):
        with pytest.raises(UserError, match="expected a folder, found a file"):
            publish(Store(root))


_ON_A_DISK = """
import sys
from pathlib import Path
from cyrene_assets.utils.errors import CyreneError
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Store
store = Store(Path(sys.argv[1]) / "store")
try:
    with disk_errors(store.root), store.stage("thing") as out:
        (out / "big").write_bytes(bytes(int(sys.argv[2])))
        store.publish(out, ArtifactKey("thing"), {})
except CyreneError as error:
    print(error)
    sys.exit(error.exit_status)
finally:
    print(sum(1 for path in store.root.rglob("*") if path.is_file()), "files left")
"""


@pytest.mark.parametrize(
    ("options", "size", "status", "said"),
    [
        ("size=512k", 2_000_000, 1, "is full (0.0 GB free): make room"),
        ("size=512k,ro", 10, 2, "is read-only: make it writable"),
        ("size=4m", 2_000_000, 0, "2 files left"),
    ],
)
def test_a_real_disk_that_is_full_or_read_only(
    mounted: Callable[..., "subprocess.CompletedProcess[str]"],
    options: str,
    size: int,
    status: int,
    said: str,
) -> None:
    done = mounted(options, [sys.executable, "-c", _ON_A_DISK, "{mount}", str(size)])
    assert said in done.stdout, done.stdout + done.stderr
    assert done.returncode == status
    assert status == 0 or "0 files left" in done.stdout


def test_a_fingerprint_ignores_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1, "b": [1, 2]}) != fingerprint({"a": 1, "b": [2, 1]})
    # SHA-256 of {"é":"ü"} in UTF-8.
    assert fingerprint({"é": "ü"}) == hashlib.sha256('{"é":"ü"}'.encode()).hexdigest()[:16]
