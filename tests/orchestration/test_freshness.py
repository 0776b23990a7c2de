"""A run of single assets whose inputs are out of date: refused first, unless a tag takes them."""

import dagster as dg
import pytest
from helpers import Sandbox
from ticks import CHAIN, Ticks

from cyrene_assets.orchestration import planner
from cyrene_assets.orchestration.tags import OUT_OF_DATE_TAG, TAKEN
from cyrene_assets.store.artifact_key import ArtifactKey

pytestmark = pytest.mark.usefixtures("able")
AS_IT_IS = {OUT_OF_DATE_TAG: TAKEN}
# What a step says that got as far as its tool.
NO_TOOL = "the 'train' toolchain is not installed"


@pytest.fixture
def ticks(sandbox: Sandbox) -> Ticks:
    ticks = Ticks(sandbox)
    ticks.policy()
    ticks.observe()
    # The corpus assets are there and real.
    for asset in CHAIN[CHAIN.index("base_model") :]:
        for partition in planner.partitions(asset, "tiny"):
            ticks.made(str(ArtifactKey(asset, partition)))
    return ticks


def change_the_corpus(sandbox: Sandbox) -> None:
    sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))


def test_a_run_after_the_corpus_changed_is_refused_with_the_reason_and_two_ways_on(
    ticks: Ticks,
) -> None:
    sandbox = ticks.sandbox
    change_the_corpus(sandbox)
    before = sandbox.digests()
    assert sandbox.failure(["fp8_model"], "tiny") == (
        "fp8_model[tiny] was not started: its inputs are out of date: merged_model[tiny]"
        " (after cpt_checkpoint[tiny]), raw_dialog[en] (dialog/en.jsonl changed), and 2 more. "
        "`cyrene build --size tiny` rebuilds them all; the run tag `cyrene/out-of-date: take` "
        "takes them as they are"
    )
    assert sandbox.digests() == before
    said = sandbox.failure(["fp8_model"], "tiny", tags={**AS_IT_IS, "cyrene/reuse": "false"})
    assert NO_TOOL in said


def test_a_run_that_makes_what_is_out_of_date_itself_begins(ticks: Ticks) -> None:
    sandbox = ticks.sandbox
    change_the_corpus(sandbox)
    # All of the corpus's own stages, in one run each, as a person would click through them.
    assert sandbox.run(["raw_dialog"], "en", tags={}).success
    assert sandbox.run(["parallel_corpus"], tags={}).success
    said = sandbox.failure(["packed_cpt"], "tiny", tags={})
    assert "inputs come from different versions" in said
    for key in ("en", "xq7"):
        assert sandbox.run(["cpt_documents", "sft_chat"], key, tags={}).success
    # Its tokenizer is a stand-in's, so the step gets as far as reading it.
    said = sandbox.failure(["packed_cpt", "packed_sft"], "tiny", tags={})
    assert "out of date" not in said
    assert "together" not in said


def test_what_is_up_to_date_with_its_own_inputs_is_reused(ticks: Ticks) -> None:
    sandbox = ticks.sandbox
    change_the_corpus(sandbox)
    before = sandbox.digests()
    assert sandbox.run(["cpt_documents"], "en", tags={}).success
    assert sandbox.digests() == before


def test_a_run_that_would_fail_at_its_second_step_does_not_begin_the_first(ticks: Ticks) -> None:
    sandbox = ticks.sandbox
    ticks.made("base_model[tiny]", content="another base")
    before = sandbox.digests()
    # The checkpoint between the two is of the base before, and not in the run.
    said = sandbox.failure(["packed_cpt", "merged_model"], "tiny", tags={})
    assert "inputs come from different versions" in said
    assert "base_model[tiny]" in said
    assert sandbox.digests() == before
    result = sandbox.run(["packed_cpt", "merged_model"], "tiny", tags={})
    refused = [event.step_key for event in result.get_step_failure_events()]
    assert sorted(str(step) for step in refused) == ["merged_model", "packed_cpt"]


def test_runs_of_a_build_and_of_the_automation_were_looked_at_before(ticks: Ticks) -> None:
    sandbox = ticks.sandbox
    ran, _ = sandbox.build("parallel_corpus")
    assert ran == []
    change_the_corpus(sandbox)
    by_itself = {"dagster/from_automation_condition": "true", "cyrene/reuse": "false"}
    said = sandbox.failure(["fp8_model"], "tiny", tags=by_itself)
    assert NO_TOOL in said


def test_a_corpus_that_is_not_here_keeps_nobody_from_using_what_is(ticks: Ticks) -> None:
    sandbox = ticks.sandbox
    sandbox.corpus.rename(sandbox.corpus.with_name("elsewhere"))
    assert NO_TOOL in sandbox.failure(["fp8_model"], "tiny")


def test_the_ui_shows_the_refusal(ticks: Ticks) -> None:
    sandbox = ticks.sandbox
    change_the_corpus(sandbox)
    result = sandbox.run(["fp8_model"], "tiny", tags={"cyrene/reuse": "false"})
    (event,) = [
        e
        for e in sandbox.instance.all_logs(result.run_id)
        if e.dagster_event and e.dagster_event.event_type is dg.DagsterEventType.STEP_FAILURE
    ]
    assert event.dagster_event is not None
    failure = event.dagster_event.step_failure_data.user_failure_data
    assert failure is not None
    assert "`cyrene build --size tiny`" in str(failure.description)
