import os
import socket
import subprocess
import sys
from functools import partial

import dagster as dg
import pytest
from helpers import Sandbox

from cyrene_assets.orchestration import run_retention
from cyrene_assets.orchestration.garbage_collector import collect
from cyrene_assets.orchestration.run_retention import end_orphans
from cyrene_assets.orchestration.tags import OWNER_TAG
from cyrene_assets.utils.process_identity import mark, owner

HOST = socket.gethostname()


def dead_mark() -> str:
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    word = mark(process.pid)
    process.communicate()
    return word


def add_run(
    instance: dg.DagsterInstance,
    owner: str | None,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
) -> str:
    job = dg.job(name="toy")(lambda: None)
    tags = {} if owner is None else {OWNER_TAG: owner}
    return instance.create_run_for_job(job, tags=tags, status=status).run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_runs_whose_process_died_are_ended(empty: Sandbox) -> None:
    orphan = add_run(empty.instance, f"{HOST}:{dead_mark()}")
    before_a_restart = add_run(empty.instance, f"{HOST}:{os.getpid()}.1.0a1b2c3d")
    others = [add_run(empty.instance, who) for who in (owner(), f"not-{HOST}:{dead_mark()}", None)]
    assert end_orphans(empty.instance) == 2
    for run_id in (orphan, before_a_restart):
        assert status_of(empty.instance, run_id) is dg.DagsterRunStatus.FAILURE
    for run_id in others:
        assert status_of(empty.instance, run_id) is dg.DagsterRunStatus.STARTED
    assert end_orphans(empty.instance) == 0


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELED])
def test_the_slot_of_a_dead_run_is_free_again(empty: Sandbox, status: dg.DagsterRunStatus) -> None:
    """A run that was marked as ended while its process was being killed may hold one, too."""
    events = empty.instance.event_log_storage
    events.set_concurrency_slots("gpu", 1)
    run_id = add_run(empty.instance, f"{HOST}:{dead_mark()}", status)
    assert events.claim_concurrency_slot("gpu", run_id, "fp8_model").is_claimed
    waiting = add_run(empty.instance, owner())
    assert not events.claim_concurrency_slot("gpu", waiting, "fp8_model").is_claimed
    end_orphans(empty.instance)
    assert events.claim_concurrency_slot("gpu", waiting, "fp8_model").is_claimed
    end_orphans(empty.instance)
    assert [s.run_id for s in events.get_concurrency_info("gpu").claimed_slots] == [waiting]


def test_a_run_that_anybody_launched_has_an_owner(sandbox: Sandbox) -> None:
    result = sandbox.run(["sft_chat"], "en")
    run = sandbox.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[OWNER_TAG] == owner()


def test_old_runs_are_forgotten_but_for_those_that_made_what_there_is(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_retention, "RECENT_RUNS", 0)
    digests = sandbox.digests()
    for word in ("two", "three", "two"):
        sandbox.edit("dialog/en.jsonl", partial(_reworded, word))
        sandbox.build("cpt_documents")
        sandbox.build("sft_chat")
    current = sandbox.digests()
    assert current != digests
    before = {run.run_id for run in sandbox.instance.get_runs()}
    needed = {record.run_id for name in current for record in [sandbox.record(name)]}
    collect(sandbox.project, sandbox.instance, dry_run=False)
    after = {run.run_id for run in sandbox.instance.get_runs()}
    assert after == needed
    assert after < before
    assert sandbox.digests() == current
    assert set(sandbox.plan("cpt_documents").values()) == {None}
    logs = {path.stem for path in (sandbox.home / "logs").glob("*/*/*.log")}
    assert logs <= after
    left = {path.name for path in (sandbox.project.dagster_home / "storage").glob("*-*")}
    assert left <= after
    # Of the observations of the raw files the last one of each language is known.
    for language in ("en", "xq7"):
        found = sandbox.instance.fetch_observations(
            dg.AssetRecordsFilter(dg.AssetKey("raw_corpus"), asset_partitions=[language]), limit=9
        )
        assert len(found.records) == 1


def _reworded(word: str, text: str) -> str:
    for old in ("room 2", "room two", "room three"):
        text = text.replace(old, f"room {word}")
    return text


def test_the_last_word_on_any_asset_is_kept(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_retention, "RECENT_RUNS", 0)
    partitions = dg.StaticPartitionsDefinition(["a", "b"])

    @dg.asset
    def page() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult()

    @dg.observable_source_asset(partitions_def=partitions)
    def raw(context: dg.AssetExecutionContext) -> dg.DataVersionsByPartition:
        return dg.DataVersionsByPartition({context.partition_key: context.run.run_id})

    job = dg.define_asset_job("look", [raw])
    looking = dg.Definitions([raw], jobs=[job]).resolve_job_def("look")
    made = [dg.materialize([page], instance=sandbox.instance).run_id for _ in range(2)]
    seen = [
        looking.execute_in_process(instance=sandbox.instance, partition_key=key).run_id
        for key in ("a", "b", "a")
    ]
    collect(sandbox.project, sandbox.instance, dry_run=False)
    left = {run.run_id for run in sandbox.instance.get_runs()}
    assert left & {*made, *seen} == {made[1], seen[1], seen[2]}


def test_recent_runs_are_kept_whatever_became_of_them(sandbox: Sandbox) -> None:
    before = {run.run_id for run in sandbox.instance.get_runs()}
    failed = add_run(sandbox.instance, None, dg.DagsterRunStatus.FAILURE)
    collect(sandbox.project, sandbox.instance, dry_run=False)
    assert {run.run_id for run in sandbox.instance.get_runs()} == {*before, failed}
