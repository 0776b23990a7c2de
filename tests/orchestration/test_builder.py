import subprocess
import sys

import dagster as dg
import pytest
from filelock import FileLock
from helpers import Sandbox
from ticks import Ticks

from cyrene_assets.orchestration import build_lock, builder
from cyrene_assets.orchestration.tags import OWNER_TAG
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.process_identity import owner

_HOLD = (
    "import sys, time, filelock\n"
    "with filelock.FileLock(sys.argv[1]):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)"
)


def test_runs_show_in_the_instance_with_their_owner(sandbox: Sandbox) -> None:
    sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "Ad'a nu."))
    before = sandbox.instance.get_runs_count()
    assert sandbox.build("sft_chat")[0] == ["sft_chat[xq7]"]
    assert sandbox.instance.get_runs_count() == before + 1
    (run,) = sandbox.instance.get_runs(limit=1)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.tags["dagster/partition"] == "xq7"
    assert run.tags[OWNER_TAG] == owner()
    assert run.asset_selection == {dg.AssetKey("sft_chat")}


def test_the_first_failure_ends_the_build_with_the_steps_own_words(empty: Sandbox) -> None:
    empty.edit("dialog/en.jsonl", lambda text: text.replace('"line": "s0-1"', '"line": "s0-0"'))
    with pytest.raises(UserError) as caught:
        empty.build("cpt_documents")
    assert str(caught.value).startswith("raw_dialog[en]: dialog/en.jsonl:2: `line` 's0-0' is")
    assert caught.value.exit_status == 2
    assert empty.digests() == {}
    # Once that is fixed, the next build resumes.
    empty.edit("dialog/en.jsonl", lambda text: text.replace('"line": "s0-0"', '"line": "s0-1"', 2))
    empty.edit("dialog/en.jsonl", lambda text: text.replace('"line": "s0-1"', '"line": "s0-0"', 1))
    assert empty.build("raw_dialog")[0] == ["raw_dialog[en]", "raw_dialog[xq7]"]


def test_what_was_done_before_a_failure_is_not_done_again(empty: Sandbox) -> None:
    good = (empty.corpus / "dialog/xq7.jsonl").read_text(encoding="utf-8")
    empty.edit("dialog/xq7.jsonl", lambda text: "{}\n" + text)
    with pytest.raises(UserError, match=r"dialog/xq7\.jsonl:1"):
        empty.build("raw_dialog")
    (empty.corpus / "dialog/xq7.jsonl").write_text(good, encoding="utf-8")
    assert empty.build("raw_dialog")[0] == ["raw_dialog[xq7]"]


def test_one_build_at_a_time(sandbox: Sandbox) -> None:
    (sandbox.home / "work").mkdir(exist_ok=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(sandbox.home / "work" / "build.lock")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BuildError, match="another `cyrene build` is at work in") as caught:
            sandbox.build("cpt_documents")
        assert "wait for it to end" in str(caught.value)
    finally:
        holder.kill()
        holder.wait()
    assert sandbox.build("cpt_documents")[0] == []


def test_a_build_that_failed_lets_go_of_the_lock(sandbox: Sandbox) -> None:
    error = None
    try:
        with build_lock.build_lock(sandbox.project):
            raise ValueError("kept, and with it every frame that it passed")
    except ValueError as caught:
        error = caught
    with FileLock(sandbox.home / "work" / "build.lock", timeout=0):
        assert error is not None


def test_a_work_folder_that_cannot_be_made(sandbox: Sandbox) -> None:
    work = sandbox.project.work
    if work.exists():
        work.rename(sandbox.home / "old work")
    work.write_text("in the way", encoding="utf-8")
    with pytest.raises(UserError, match="expected a folder, found a file"):
        sandbox.build("cpt_documents")


def test_a_build_waits_for_a_run_that_makes_the_same(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(sandbox)
    sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "Ad'a nu."))
    run = ticks.started(["sft_chat"], "xq7")
    other = ticks.started(["sft_chat"], "en")
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        assert sandbox.instance.get_runs_count() == runs
        if len(naps) == 3:
            ticks.ended(run)

    runs = sandbox.instance.get_runs_count()
    monkeypatch.setattr(builder, "sleep", nap)
    ran, events = sandbox.build("sft_chat")
    assert len(naps) == 3
    assert (events[0].kind, events[0].step) == ("warning", "sft_chat[xq7]")
    assert events[0].detail == f"run {run.run_id} is making it: waiting for it to end"
    assert ran == ["sft_chat[xq7]"]
    ticks.ended(other)


def test_a_build_does_nothing_where_the_run_that_it_waited_for_did_it(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(sandbox)
    sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "Ad'a nu."))
    run = ticks.started(["sft_chat"], "xq7")

    def nap(_seconds: float) -> None:
        ticks.made("sft_chat[xq7]")
        ticks.ended(run)

    monkeypatch.setattr(builder, "sleep", nap)
    assert sandbox.build("sft_chat")[0] == []


def test_a_run_in_a_queue_that_nobody_serves_is_not_waited_for(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "Ad'a nu."))
    assert not builder.daemon_is_alive(sandbox.instance, "QUEUED_RUN_COORDINATOR")

    def at_work(_instance: dg.DagsterInstance, *, queued: bool) -> dict[ArtifactKey, str]:
        return {ArtifactKey("sft_chat", "xq7"): "a run in the queue"} if queued else {}

    monkeypatch.setattr(builder, "runs_at_work", at_work)
    assert sandbox.build("sft_chat")[0] == ["sft_chat[xq7]"]


def test_whether_a_build_is_at_work(sandbox: Sandbox) -> None:
    project = sandbox.project
    assert not build_lock.is_build_running(project)
    with build_lock.build_lock(project):
        assert build_lock.is_build_running(project)
    assert not build_lock.is_build_running(project)
