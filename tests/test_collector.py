import socket
import subprocess
import sys
import threading
import time

import dagster as dg
import pytest
from helpers import Sandbox

from cyrene_assets.collector import collect
from cyrene_assets.errors import BuildError
from cyrene_assets.processes import mark
from cyrene_assets.runs import OWNER_TAG
from cyrene_assets.store_lock import alone, in_use


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
    """Whatever Dagster says of its run: cancelled by force, it may go on for a moment."""
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
    with in_use(root), in_use(root), pytest.raises(BuildError, match="a run is at work in"):
        collect(sandbox.project, sandbox.instance, dry_run=False)
    assert collect(sandbox.project, sandbox.instance, dry_run=False) == []


def test_a_run_waits_for_garbage_to_be_gone(sandbox: Sandbox) -> None:
    """Else it might find the content that it makes in the store, and then it is removed."""
    before = sandbox.digests()
    removing = alone(sandbox.project.store.root)
    removing.__enter__()
    finished = threading.Timer(1.0, removing.__exit__, (None, None, None))
    started = time.monotonic()
    finished.start()
    assert sandbox.run(["sft_chat"], "en").success
    assert time.monotonic() - started >= 1.0
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
