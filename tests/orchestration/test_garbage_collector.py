import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import dagster as dg
import pytest
from helpers import CYRENE, Sandbox, linked_root

from cyrene_assets.orchestration import lineage
from cyrene_assets.orchestration.garbage_collector import collect
from cyrene_assets.orchestration.tags import OWNER_TAG
from cyrene_assets.store.gc_lock import alone, in_use
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.utils.process_identity import mark


def paths(sandbox: Sandbox) -> set[str]:
    return {f"{a.name}/{a.digest}" for a in sandbox.project.store.artifacts() if a.path.is_dir()}


def test_what_is_current_is_kept(sandbox: Sandbox) -> None:
    before = paths(sandbox)
    assert collect(sandbox.project, sandbox.instance, dry_run=False) == []
    assert paths(sandbox) == before


def test_what_nothing_refers_to_goes(sandbox: Sandbox) -> None:
    old = sandbox.digests()
    sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))
    sandbox.build("cpt_documents")
    new = sandbox.digests()
    replaced = {f"{name}/{old[name]}" for name in old if old[name] != new[name]}
    # The chats still are of the old table: what they were made from stays.
    kept = {f"parallel_corpus/{old['parallel_corpus']}", f"raw_dialog[en]/{old['raw_dialog[en]']}"}
    everything = paths(sandbox)
    would = collect(sandbox.project, sandbox.instance, dry_run=True)
    assert paths(sandbox) == everything
    gone = collect(sandbox.project, sandbox.instance, dry_run=False)
    assert gone == would
    assert (
        everything - paths(sandbox)
        == replaced - kept
        == {f"cpt_documents[en]/{old['cpt_documents[en]']}"}
    )
    assert all(garbage.bytes > 0 and garbage.why for garbage in gone)
    sandbox.build("sft_chat")
    collect(sandbox.project, sandbox.instance, dry_run=False)
    # The other language's chats came out as they were. Their manifest names the first table still,
    # their record the one that they were made from last: only that is needed.
    assert paths(sandbox) == {f"{name}/{digest}" for name, digest in sandbox.digests().items()}
    assert set(sandbox.plan("cpt_documents").values()) == {None}
    assert set(sandbox.plan("sft_chat").values()) == {None}


def test_what_was_evaluated_is_kept_with_all_that_it_was_made_from(sandbox: Sandbox) -> None:
    """An old evaluation stays comparable on the scoreboard: its model must stay, too."""
    store = sandbox.project.store

    def publish(asset: str, partition: str, content: str, inputs: dict[str, str]) -> str:
        with store.stage(asset) as out:
            (out / "x").write_text(content)
            return store.publish(out, asset, partition, {"inputs": inputs}).digest

    before = paths(sandbox)
    model = publish("fp8_model", "tiny", "old model", {})
    unused = publish("fp8_model", "tiny", "a model that was never evaluated", {})
    generations = publish("generations", "tiny", "said", {"fp8_model[tiny]": model})
    report = publish("eval_report", "en|tiny", "scores", {"generations[tiny]": generations})
    collect(sandbox.project, sandbox.instance, dry_run=False)
    assert paths(sandbox) == before | {
        f"fp8_model[tiny]/{model}",
        f"generations[tiny]/{generations}",
        f"eval_report[en|tiny]/{report}",
    }
    assert f"fp8_model[tiny]/{unused}" not in paths(sandbox)


def test_what_a_living_process_published_and_has_to_record_yet_is_kept(sandbox: Sandbox) -> None:
    """Whatever Dagster says of its run: cancelled by force, it may run for a moment longer."""
    store = sandbox.project.store
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    job = dg.job(name="toy")(lambda: None)
    tags = {OWNER_TAG: f"{socket.gethostname()}:{mark(process.pid)}"}
    run = sandbox.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.CANCELED)
    with store.stage("sft_chat") as out:
        (out / "x").write_text("published, not recorded")
        made = store.publish(out, "sft_chat", "en", {"run_id": run.run_id})
    assert collect(sandbox.project, sandbox.instance, dry_run=False) == []
    process.communicate()
    gone = collect(sandbox.project, sandbox.instance, dry_run=False)
    assert [garbage.path for garbage in gone] == [made.path]


def publish_chain(sandbox: Sandbox, rate: float, text: str, recorded: float) -> tuple[str, str]:
    """Publish a checkpoint of a recipe and what was made from it, with their records."""
    from cyrene_assets.store import records

    store = sandbox.project.store
    made: dict[str, str] = {}
    for asset, params in (("cpt_checkpoint", {"learning_rate": rate}), ("merged_model", {})):
        with store.stage(asset) as out:
            (out / "x").write_text(f"{asset} {text}")
            fields = {"code_version": "1", "params": params, "inputs": dict(made), "run_id": ""}
            digest = store.publish(out, asset, "tiny", fields).digest
        record = records.StoredRecord(
            asset=asset, partition="tiny", digest=digest, code_version="1", params=params,
            inputs=dict(made), seconds=1.0, checks=[], sources={}, run_id="", recorded=recorded,
        )  # fmt: skip
        records.write(store, record)
        made = {f"{asset}[tiny]": digest}
        if asset == "cpt_checkpoint":
            first = digest
    return first, digest


def test_gc_keeps_the_newest_chain_of_every_recipe_that_no_database_names(
    sandbox: Sandbox,
) -> None:
    """Two recipes, the second one's chain made twice, and once more without its checkpoint."""
    before = paths(sandbox)
    first = publish_chain(sandbox, 1e-5, "first recipe", 100.0)
    old = publish_chain(sandbox, 2e-5, "second recipe", 200.0)
    new = publish_chain(sandbox, 2e-5, "second recipe again", 300.0)
    torn = publish_chain(sandbox, 2e-5, "second recipe, incomplete", 400.0)
    store = sandbox.project.store
    (store.locate("cpt_checkpoint", "tiny", torn[0]).path / "x").unlink()
    gone = collect(sandbox.project, sandbox.instance, dry_run=False)
    kept = {f"cpt_checkpoint[tiny]/{chain[0]}" for chain in (first, new)}
    kept |= {f"merged_model[tiny]/{chain[1]}" for chain in (first, new)}
    assert paths(sandbox) == before | kept
    why = {garbage.path.name: garbage.why for garbage in gone}
    assert why == {
        old[0]: f"replaced by {new[0]}",
        old[1]: f"replaced by {new[1]}",
        torn[0]: "its files are not what its manifest says",
        torn[1]: "what it was made from is gone or incomplete: cpt_checkpoint[tiny]",
    }
    (moved,) = (sandbox.home / "trash").iterdir()
    assert (moved / "store" / "merged_model" / "tiny" / old[1] / "x").is_file()
    assert len(list((moved / "store" / ".records" / "merged_model" / "tiny").iterdir())) == 2


def test_gc_after_a_deleted_run_keeps_the_state_that_a_training_would_resume_from(
    sandbox: Sandbox,
) -> None:
    """The database knows the inputs no more; the store has them, and the next build takes them."""
    made = lineage.latest(sandbox.instance, "sft_chat", "en")
    table = lineage.latest(sandbox.instance, "parallel_corpus", None)
    assert made is not None
    assert table is not None
    place = sandbox.project.work / "sft_chat" / "en"
    resumed, abandoned = place / made.lineage.fingerprint, place / "0123456789abcdef"
    for state in (resumed, abandoned):
        state.mkdir(parents=True)
        (state / "half-trained").write_text("days of work")
    sandbox.instance.delete_run(table.run_id)
    assert lineage.latest(sandbox.instance, "parallel_corpus", None) is None
    gone = collect(sandbox.project, sandbox.instance, dry_run=False)
    assert [garbage.path for garbage in gone] == [abandoned]
    assert (resumed / "half-trained").is_file()
    assert not abandoned.exists()


def test_gc_empties_the_trash_after_its_time_or_at_once(sandbox: Sandbox) -> None:
    publish_chain(sandbox, 1e-5, "old", 100.0)
    publish_chain(sandbox, 1e-5, "new", 200.0)
    assert len(collect(sandbox.project, sandbox.instance, dry_run=False)) == 2
    trash = sandbox.home / "trash"
    (day,) = trash.iterdir()
    assert collect(sandbox.project, sandbox.instance, dry_run=False) == []
    past = day.rename(trash / "20200101T000000Z-abc")
    (found,) = collect(sandbox.project, sandbox.instance, dry_run=True)
    assert (found.path, found.for_good) == (past, True)
    assert past.is_dir()
    collect(sandbox.project, sandbox.instance, dry_run=False)
    assert not past.exists()
    publish_chain(sandbox, 1e-5, "newest", 300.0)
    assert len(collect(sandbox.project, sandbox.instance, dry_run=False, now=True)) == 2
    assert list(trash.iterdir()) == []


@pytest.fixture
def sandbox(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The project, whose commands know a root of their own: the checkout's .env is no test's."""
    monkeypatch.setenv("PYTHONPATH", str(linked_root(sandbox.home.with_name("root"))))
    return sandbox


def cyrene_gc(sandbox: Sandbox, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(CYRENE), "gc", *options],
        cwd=sandbox.home,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_gc_command_without_a_terminal_needs_yes(sandbox: Sandbox) -> None:
    publish_chain(sandbox, 1e-5, "old", 100.0)
    publish_chain(sandbox, 1e-5, "new", 200.0)
    before = paths(sandbox)
    refused = cyrene_gc(sandbox)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert "add --yes" in refused.stderr
    shown = cyrene_gc(sandbox, "--dry-run")
    assert shown.stdout.count("would move to the trash") == 2
    assert "replaced by" in shown.stdout
    assert paths(sandbox) == before
    done = cyrene_gc(sandbox, "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("moved to the trash") == 2
    assert len(paths(sandbox)) == len(before) - 2


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("answer", ["n", "y"])
def test_gc_command_in_a_terminal_asks(sandbox: Sandbox, answer: str) -> None:
    import pty

    publish_chain(sandbox, 1e-5, "old", 100.0)
    publish_chain(sandbox, 1e-5, "new", 200.0)
    before = paths(sandbox)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(CYRENE), "gc"], cwd=sandbox.home, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 4096)
    assert paths(sandbox) == before
    assert said.count(b"would move to the trash") == 2
    os.write(ours, f"{answer}\n".encode())
    with suppress(OSError):  # the other end is closed
        while os.read(ours, 4096):
            pass
    assert process.wait() == (0 if answer == "y" else 1)
    assert len(before) - len(paths(sandbox)) == (2 if answer == "y" else 0)


def test_an_old_scoreboard_goes(sandbox: Sandbox) -> None:
    store = sandbox.project.store
    with store.stage("scoreboard") as out:
        (out / "x").write_text("a page that nobody asked for again")
        made = store.publish(out, "scoreboard", None, {})
    assert [g.path for g in collect(sandbox.project, sandbox.instance, dry_run=False)] == [
        made.path
    ]


def test_what_was_set_aside_goes(sandbox: Sandbox) -> None:
    store = sandbox.project.store
    artifact = next(store.artifacts("sft_chat"))
    aside = store.set_aside(artifact)
    sandbox.build("sft_chat")
    assert [g.path for g in collect(sandbox.project, sandbox.instance, dry_run=False)] == [aside]


def test_an_unreadable_manifest_does_not_take_what_others_need(sandbox: Sandbox) -> None:
    digests, before = sandbox.digests(), paths(sandbox)
    (sandbox.artifact("cpt_documents", "en") / "manifest.json").write_text("{")
    assert collect(sandbox.project, sandbox.instance, dry_run=False) == []
    assert paths(sandbox) == before
    sandbox.build("cpt_documents")
    assert sandbox.digests() == digests
    # What an evaluation was made from is known from its manifest alone.
    store = sandbox.project.store
    with store.stage("eval_report") as out:
        (out / "x").write_text("scores")
        report = store.publish(out, "eval_report", "en|tiny", {"inputs": {}})
    (report.path / "manifest.json").write_text("{")
    with pytest.raises(BuildError, match=r"eval_report\[en\|tiny\] .* is corrupt"):
        collect(sandbox.project, sandbox.instance, dry_run=False)


def test_not_while_any_run_makes_something(sandbox: Sandbox) -> None:
    """A literal run holds no build lock."""
    root = sandbox.project.store.root
    with in_use(root), in_use(root), pytest.raises(BuildError, match="a run is active in"):
        collect(sandbox.project, sandbox.instance, dry_run=False)
    assert collect(sandbox.project, sandbox.instance, dry_run=False) == []


def test_a_run_waits_for_garbage_to_be_gone(sandbox: Sandbox) -> None:
    """Else it might find the content that it makes in the store, and then it is removed."""
    before = sandbox.digests()
    removing = alone(sandbox.project.store.root)
    removing.__enter__()
    gone = threading.Event()

    def finish() -> None:
        gone.set()
        removing.__exit__(None, None, None)

    threading.Timer(1.0, finish).start()
    assert sandbox.run(["sft_chat"], "en").success
    assert gone.is_set()
    assert sandbox.digests() == before


def test_not_while_a_build_is_at_work(sandbox: Sandbox) -> None:
    (sandbox.home / "work").mkdir(exist_ok=True)
    code = (
        "import sys, time, filelock\n"
        "with filelock.FileLock(sys.argv[1]):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(sandbox.home / "work" / "build.lock")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(BuildError, match="another `cyrene build` is at work"):
            collect(sandbox.project, sandbox.instance, dry_run=False)
    finally:
        holder.kill()
        holder.wait()
