"""Every way of losing the database: nothing of the store is lost, and nothing is made again."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from conftest import opened
from helpers import Sandbox

from cyrene_assets.orchestration import lineage, project_state
from cyrene_assets.orchestration.adoption import adopt
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.garbage_collector import collect
from cyrene_assets.orchestration.tags import OWNER_TAG
from cyrene_assets.project.instance import open_instance, prepare
from cyrene_assets.project.project import Project
from cyrene_assets.store import records as store_records
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import CyreneError, UserError
from cyrene_assets.utils.process_identity import mark

TARGETS = ("cpt_documents", "sft_chat")
Reopen = Callable[[Sandbox, pytest.MonkeyPatch], Any]


@pytest.fixture(autouse=True)
def _forget_what_was_read() -> Iterator[None]:
    """No other database has been at this path in the life of a real process."""
    project_state._READ.clear()
    yield
    project_state._READ.clear()


def listing(sandbox: Sandbox) -> list[tuple[str, str, str]]:
    """Return the name, digest and run of every current artifact, as `cyrene artifacts` has them."""
    records = [sandbox.record(name) for name in sandbox.digests()]
    return sorted((str(r.key), r.digest, r.run_id) for r in records)


def times(sandbox: Sandbox) -> list[float]:
    return [sandbox.record(row[0]).created for row in listing(sandbox)]


def folders(sandbox: Sandbox) -> set[Path]:
    return set(sandbox.project.store.folders())


def outdated(sandbox: Sandbox) -> list[str]:
    return [n for t in TARGETS for n, why in sandbox.plan(t).items() if why is not None]


@contextmanager
def another_projects_instance(sandbox: Sandbox, patch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The shell names the DAGSTER_HOME of a project that has nothing to do with this one."""
    other = sandbox.home.parent / "other"
    other.mkdir()
    patch.setenv("DAGSTER_HOME", str(other))
    prepare(Project.load(), other)
    with open_instance(Project.load()) as instance:

        @dg.asset
        def somebodys_table() -> int:
            return 1

        dg.materialize([somebodys_table], instance=instance)
        yield Sandbox(sandbox.home, sandbox.corpus, instance)


@contextmanager
def wiped(sandbox: Sandbox, _patch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """`dagster asset wipe --all`, as its command does it."""
    sandbox.instance.wipe_assets(sandbox.instance.all_asset_keys())
    yield sandbox


@contextmanager
def removed(sandbox: Sandbox, patch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """`rm -r $CYRENE_HOME/dagster`."""
    shutil.rmtree(sandbox.project.dagster_home)
    with opened(sandbox.home.parent, patch) as again:
        yield again


@contextmanager
def another_base_dir(sandbox: Sandbox, _patch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    config = sandbox.project.dagster_home / "dagster.yaml"
    text = config.read_text()
    config.write_text(text.replace("/dagster/one", "/dagster/elsewhere"))
    assert config.read_text() != text
    with open_instance(sandbox.project) as instance:
        yield Sandbox(sandbox.home, sandbox.corpus, instance)


LOST = [another_projects_instance, wiped, removed, another_base_dir]


@pytest.mark.parametrize("lose", LOST, ids=lambda lose: lose.__name__)
def test_adopt_a_lost_database_names_the_same_artifacts_again(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, lose: Reopen
) -> None:
    before, there, made = listing(sandbox), folders(sandbox), times(sandbox)
    with lose(sandbox, monkeypatch) as after:
        assert listing(after) == []
        with pytest.raises(UserError, match=r"knows none of the .* `cyrene artifacts --adopt`"):
            collect(after.project, after.instance, dry_run=False)
        assert folders(after) == there
        done = adopt(after.project, after.instance)
        assert len(done.recorded) == len(before)
        assert done.left == ()
        assert listing(after) == before
        # The store writes it down a moment before Dagster does.
        assert times(after) == pytest.approx(made, abs=5, rel=0)
        assert outdated(after) == []
        assert adopt(after.project, after.instance).recorded == ()
        # Lost a second time, it is found a second time.
        after.instance.wipe_assets(after.instance.all_asset_keys())
        assert len(adopt(after.project, after.instance).recorded) == len(before)
        assert collect(after.project, after.instance, dry_run=False) == []
        assert folders(after) == there


def test_adopt_one_deleted_run_costs_nothing(sandbox: Sandbox) -> None:
    before, there = listing(sandbox), folders(sandbox)
    for run in {run for _, _, run in before}:
        sandbox.instance.delete_run(run)
        # Whatever became of Dagster's word, the store keeps its newest chain.
        with_others = [row for row in before if row[2] != run]
        assert listing(sandbox) == with_others
        if with_others:
            assert collect(sandbox.project, sandbox.instance, dry_run=False) == []
        assert folders(sandbox) == there
        adopt(sandbox.project, sandbox.instance)
        assert listing(sandbox) == before
    assert outdated(sandbox) == []


def test_a_second_home_on_the_same_instance_loses_neither_s_artifacts(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, there = listing(sandbox), folders(sandbox)
    instance_home = sandbox.project.dagster_home
    second = sandbox.home.parent / "second"
    second.mkdir()
    shutil.copy(sandbox.home / "project.yaml", second)
    monkeypatch.setenv("CYRENE_HOME", str(second))
    sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))
    other = Sandbox(second, sandbox.corpus, sandbox.instance)
    prepare(other.project, second)
    assert other.project.dagster_home == instance_home
    adopt(other.project, other.instance)
    for target in TARGETS:
        other.build(target)
    made = folders(other)
    with pytest.raises(UserError, match="belongs to the home"):
        collect(other.project, other.instance, dry_run=False)
    monkeypatch.setenv("CYRENE_HOME", str(sandbox.home))
    sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room two", "room 2"))
    # The home that the instance belongs to may clear up, and keeps what its own store says.
    assert collect(sandbox.project, sandbox.instance, dry_run=False) == []
    assert folders(sandbox) == there
    adopt(sandbox.project, sandbox.instance)
    assert [row[:2] for row in listing(sandbox)] == [row[:2] for row in first]
    assert outdated(sandbox) == []
    assert folders(other) == folders(sandbox)
    assert made == {path for path in made if path.is_dir()}


def test_adopt_a_copied_store_works_in_another_home(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listing(sandbox)
    place = sandbox.home.parent / "machine"
    (place / "home").mkdir(parents=True)
    shutil.copytree(sandbox.corpus, place / "corpus")
    shutil.copytree(sandbox.home / "store", place / "home" / "store")
    with opened(place, monkeypatch) as copied:
        adopt(copied.project, copied.instance)
        assert listing(copied) == before
        assert outdated(copied) == []
        for name in copied.digests():
            path = str(copied.record(name).metadata["path"].value)
            assert Path(path).is_dir()
            assert path.startswith(str(place))


def event(sandbox: Sandbox, name: str) -> dg.AssetMaterialization:
    key = ArtifactKey.parse(name)
    partitions = None if key.partition is None else [key.partition]
    (found,) = sandbox.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(key.asset), asset_partitions=partitions), limit=1
    ).records
    assert found.asset_materialization is not None
    return found.asset_materialization


def test_adopt_reports_what_a_run_would_have(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(sandbox.digests())
    before = {name: event(sandbox, name) for name in names}
    checks = {name: sandbox.record(name).checks for name in names}
    assert any(checks.values())
    with removed(sandbox, monkeypatch) as after:
        adopt(after.project, after.instance)
        for name in names:
            old, new = before[name], event(after, name)
            assert {
                k: v for k, v in new.metadata.items() if k not in ("path", lineage.METADATA_KEY)
            } == {k: v for k, v in old.metadata.items() if k not in ("path", lineage.METADATA_KEY)}
            pointers = "dagster/input_event_pointer/"
            assert {k: v for k, v in (new.tags or {}).items() if not k.startswith(pointers)} == {
                k: v for k, v in (old.tags or {}).items() if not k.startswith(pointers)
            }
            assert after.record(name).checks == checks[name]
        key = dg.AssetCheckKey(dg.AssetKey("parallel_corpus"), "no_leak")
        storage = after.instance.event_log_storage
        (latest,) = storage.get_latest_asset_check_execution_by_key([key]).values()
        assert latest.status.value == "SUCCEEDED"


def forget_records(sandbox: Sandbox) -> None:
    """Make the store one of an older version: manifests alone, which say nothing of checks."""
    from cyrene_assets.store import manifest as manifests

    shutil.rmtree(sandbox.project.store.root / store_records.FOLDER)
    for artifact in sandbox.project.store.artifacts():
        fields = {k: v for k, v in artifact.manifest.items() if k not in ("seal", "checks")}
        manifests.write(artifact.path, fields)


def test_adopt_an_older_store_believes_what_its_manifests_prove(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sandbox.digests()
    forget_records(sandbox)
    with removed(sandbox, monkeypatch) as after:
        done = adopt(after.project, after.instance)
        # Nothing was made from these, and nothing says that their blocking checks passed.
        unproven = {
            name
            for name in before
            if (asset := ArtifactKey.parse(name).asset) in TARGETS
            and any(c.blocking for c in SPECS[asset].checks)
        }
        assert after.digests() == {n: d for n, d in before.items() if n not in unproven}
        assert {line.partition(":")[0] for line in done.left} == unproven
        assert all(not r.failed_checks for r in done.recorded)


def test_adopt_an_older_store_that_is_known_writes_its_records_down(sandbox: Sandbox) -> None:
    forget_records(sandbox)
    assert adopt(sandbox.project, sandbox.instance).recorded == ()
    written = {(str(r.key), r.digest): r for r in store_records.everything(sandbox.project.store)}
    for name, digest in sandbox.digests().items():
        assert list(map(dict, sandbox.record(name).checks)) == written[name, digest].checks


def test_adopt_a_damaged_record_or_artifact_is_not_believed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = sandbox.digests()["raw_dialog[en]"]
    for file in (sandbox.project.store.root / store_records.FOLDER).glob("raw_dialog/en/*"):
        file.write_text(file.read_text().replace('"passed"', '"passed_"').replace("en", "EN"))
    (found,) = store_records.of_artifact(sandbox.project.store, ArtifactKey("raw_dialog", "en"))
    assert found.metadata is None  # the manifest's word
    data = sandbox.artifact("raw_dialog", "en") / "raw_dialog.parquet"
    data.write_bytes(data.read_bytes()[:-1])
    with removed(sandbox, monkeypatch) as after:
        done = adopt(after.project, after.instance)
        assert "raw_dialog[en]" not in {str(r.key) for r in done.recorded}
        assert digest not in {r.digest for r in done.recorded}


def test_a_literal_run_on_a_lost_database_finds_its_inputs(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = sandbox.digests()
    with removed(sandbox, monkeypatch) as after:
        result = after.run(["sft_chat"], "en", tags={})
        assert result.success
        assert after.digests() == digests
        (made,) = result.asset_materializations_for_node("sft_chat")
        assert (made.tags or {})["cyrene/reused"] == "true"


_KILLED = """
import os, signal, sys
from unittest import mock
from cyrene_assets.orchestration.garbage_collector import collect
from cyrene_assets.definitions import defs
from cyrene_assets.project.instance import open_instance
from cyrene_assets.orchestration.adoption import adopt
from cyrene_assets.project.project import Project
from cyrene_assets.store.trash import Trash
import dagster as dg

left, before = int(sys.argv[2]), sys.argv[3] == "before"
target, name = {
    "gc": (Trash, "take"), "adopt": (dg.DagsterInstance, "report_runless_asset_event")
}[sys.argv[1]]
plain = getattr(target, name)

def counted(*arguments, **more):
    global left
    left -= 1
    if left == 0 and before:
        os.kill(os.getpid(), signal.SIGKILL)
    done = plain(*arguments, **more)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

defs()
project = Project.load()
with open_instance(project) as instance, mock.patch.object(target, name, counted):
    adopt(project, instance) if sys.argv[1] == "adopt" else collect(
        project, instance, dry_run=False)
"""


def killed(what: str, at: int, moment: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, what, str(at), moment],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def test_adopt_killed_at_any_event_the_next_one_does_the_rest(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listing(sandbox)
    with removed(sandbox, monkeypatch) as after:
        for at, moment in ((1, "before"), (4, "after"), (9, "before")):
            assert killed("adopt", at, moment) == -signal.SIGKILL
            known = {row[0] for row in listing(after)}
            assert set(listing(after)) <= set(before)
        assert known
        project_state._READ.clear()
        adopt(after.project, after.instance)
        assert listing(after) == before
        assert outdated(after) == []


def test_gc_killed_at_any_move_loses_nothing_that_is_kept(sandbox: Sandbox) -> None:
    store = sandbox.project.store
    sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))
    for target in TARGETS:
        sandbox.build(target)
    kept = set(sandbox.digests().items())
    everything = {(str(a.key), a.digest) for a in store.artifacts()}
    assert everything - kept
    # This process made them and lives: gc in another would wait for it to record them.
    ended = subprocess.Popen(["sleep", "60"])
    tag = f"{socket.gethostname()}:{mark(ended.pid)}"
    ended.kill()
    ended.wait()
    for run in sandbox.instance.get_runs():
        sandbox.instance.add_run_tags(run.run_id, {OWNER_TAG: tag})
    for at, moment in ((1, "before"), (1, "after"), (2, "after")):
        assert killed("gc", at, moment) == -signal.SIGKILL
        left = {(str(a.key), a.digest) for a in store.artifacts()}
        assert kept <= left
        trash = sandbox.home / "trash"
        moved = {
            (json.loads(m.read_text())["asset"], json.loads(m.read_text())["digest"])
            for m in trash.glob("*/store/*/*/*/manifest.json")
        }
        # Complete in one place or the other.
        assert {(ArtifactKey.parse(n).asset, d) for n, d in everything - left} == moved
    collect(sandbox.project, sandbox.instance, dry_run=False)
    assert {(str(a.key), a.digest) for a in store.artifacts()} == kept
    assert outdated(sandbox) == []
    for artifact in store.artifacts():
        artifact.verify(contents=True)


def test_gc_keeps_the_newest_chain_where_the_database_names_an_older_one(
    sandbox: Sandbox,
) -> None:
    """The newest runs were deleted: what Dagster names now is what the store had before."""
    store = sandbox.project.store
    old = sandbox.digests()
    sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))
    for target in TARGETS:
        sandbox.build(target)
    new = sandbox.digests()
    runs = {sandbox.record(n).run_id for n in new if new[n] != old[n]}
    for run in runs:
        sandbox.instance.delete_run(run)
    assert sandbox.digests() != new
    collect(sandbox.project, sandbox.instance, dry_run=False)
    left = {(str(a.key), a.digest) for a in store.artifacts()}
    assert set(new.items()) <= left
    adopt(sandbox.project, sandbox.instance)
    assert sandbox.digests() == new
    assert outdated(sandbox) == []


def test_gc_on_another_homes_instance_is_refused(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = sandbox.home.parent / "place"
    (place / "home").mkdir(parents=True)
    monkeypatch.setenv("CYRENE_HOME", str(place / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(sandbox.home / "dagster"))
    prepare(Project.load(), place)
    with pytest.raises(CyreneError, match=r"belongs to the home .*unset DAGSTER_HOME"):
        collect(Project.load(), sandbox.instance, dry_run=True)
