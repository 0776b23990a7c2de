import json
import os
from datetime import UTC, datetime

import pytest
from helpers import Sandbox
from ticks import NIGHT, Ticks

from cyrene_assets.diagnostics import staleness_report
from cyrene_assets.diagnostics.staleness_report import Status
from cyrene_assets.orchestration import preflight
from cyrene_assets.orchestration.project_state import ProjectState

pytestmark = pytest.mark.usefixtures("able")
# Before any test fakes it.
LOOK = preflight.unmet
NOON = datetime(2030, 3, 10, 12, 0, tzinfo=UTC)
SIZED = ("base_model", "packed_cpt", "packed_sft", "cpt_checkpoint", "lora_adapter")


@pytest.fixture
def ticks(sandbox: Sandbox) -> Ticks:
    ticks = Ticks(sandbox)
    ticks.policy(training="at night", night=NIGHT)
    for asset in SIZED:
        ticks.made(f"{asset}[tiny]")
    return ticks


def examine(ticks: Ticks) -> Status:
    return staleness_report.examine(
        ProjectState(ticks.sandbox.project, ticks.sandbox.instance), NOON
    )


def test_nothing_built(empty: Sandbox) -> None:
    found = staleness_report.examine(ProjectState(empty.project, empty.instance), NOON)
    assert (found.summary(), found.items, found.sizes) == ("nothing is built yet", (), ())
    assert found.commands() == []


def test_summary_of_one_artifact_is_singular() -> None:
    found = Status("Mini", (), (), 1)
    assert found.summary() == "the one artifact is up to date (of corpus 'Mini')"


def test_everything_up_to_date(ticks: Ticks) -> None:
    found = examine(ticks)
    assert found.summary() == "all 12 artifacts are up to date (of corpus 'Mini', tiny)"
    assert found.as_dict()["out_of_date"] == []


def test_what_is_out_of_date_why_when_and_at_what_cost(ticks: Ticks) -> None:
    ticks.sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))
    (ticks.sandbox.corpus / "documents" / "en.jsonl").unlink()
    found = examine(ticks)
    assert found.summary() == "10 of 12 artifacts are out of date (of corpus 'Mini', tiny)"
    rows = [(row.name, row.why, row.rebuilt) for row in found.rows()]
    night = "at night: from 2030-03-10 22:00 UTC"
    assert rows == [
        ("raw_dialog[en]", "dialog/en.jsonl changed, documents/en.jsonl removed", "at once"),
        ("parallel_corpus", "after raw_dialog[en]", "at once"),
        ("cpt_documents x 2", "after parallel_corpus", "at once"),
        ("sft_chat x 2", "after parallel_corpus", "at once"),
        ("packed_cpt[tiny]", "after cpt_documents[en]", "at once"),
        ("packed_sft[tiny]", "after sft_chat[en]", "at once"),
        ("cpt_checkpoint[tiny]", "after packed_cpt[tiny]", night),
        ("lora_adapter[tiny]", "after cpt_checkpoint[tiny]", night),
    ]
    first = found.as_dict()["out_of_date"][0]
    assert [(c["kind"], c["name"]) for c in first["changes"]] == [
        ("file", "dialog/en.jsonl"),
        ("file", "documents/en.jsonl"),
    ]
    assert all(len(c["from"]) == 64 for c in first["changes"])
    assert first["changes"][1]["to"] is None
    # Each took a minute the last time.
    assert "2:00 at night" in found.cost()
    assert found.commands() == ["cyrene build --size tiny --to lora_adapter"]
    assert found.items[0].step.reason is not None
    json.dumps(found.as_dict())


def test_settings_digests_and_runs(ticks: Ticks) -> None:
    ticks.sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "Ad'a nu."))
    run = ticks.started(["sft_chat"], "xq7")
    found = examine(ticks)
    chats, sets, *_ = found.rows()
    assert (chats.why, chats.change) == (
        "changed: system_prompt (a run is at work)",
        "Ad'a nu ta. -> Ad'a nu.",
    )
    assert sets.why == "after sft_chat[xq7] (a run is at work)"
    assert {item.run for item in found.items} == {run.run_id}
    ticks.ended(run)
    ticks.made("sft_chat[xq7]")
    packed, *_ = examine(ticks).rows()
    assert packed.why == "input changed: sft_chat[xq7]"
    old, _, new = packed.change.partition(" -> ")
    assert len(old) == len(new) == 16
    assert old != new


def test_what_failed_before_is_not_promised(ticks: Ticks) -> None:
    instance = ticks.sandbox.instance
    ticks.sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))
    os.utime(ticks.sandbox.home / "project.yaml")
    run = ticks.started(["raw_dialog"], "en")
    ticks.ended(run, failed=True)
    # A person's run says nothing of what the automation will do.
    assert examine(ticks).rows()[0].rebuilt == "at once"
    instance.add_run_tags(run.run_id, {"dagster/from_automation_condition": "true"})
    first, second, *_ = examine(ticks).rows()
    assert first.rebuilt == (
        f"retry pending: run {run.run_id[:8]} failed; retried when an input changes, "
        "or run `cyrene build`"
    )
    assert second.rebuilt == "blocked by raw_dialog[en]"
    assert (first.when, second.when) == ("failed", "blocked by raw_dialog[en]")
    found = examine(ticks)
    assert found.failures() == [
        f"run {run.run_id[:8]} failed",
        "  blocks raw_dialog[en], and 9 artifacts made from it. What helps: cyrene build "
        "--size tiny --to lora_adapter",
    ]
    assert found.cost().startswith("rebuild, once that is fixed: about ")
    assert "retry" not in found.cost()
    run = ticks.started(["raw_dialog"], "en")
    assert examine(ticks).rows()[0].why == "dialog/en.jsonl changed (a run is at work)"
    instance.add_run_tags(run.run_id, {"dagster/from_automation_condition": "true"})
    instance.report_run_canceled(run)
    assert "was cancelled" in examine(ticks).rows()[0].rebuilt
    # Fixed.
    ticks.sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 3", "room three"))
    assert examine(ticks).rows()[0].rebuilt == "at once"


def test_what_is_wrong_with_the_project_is_said(ticks: Ticks) -> None:
    (ticks.sandbox.corpus / "corpus.yaml").write_text("name: [", encoding="utf-8")
    found = examine(ticks)
    assert found.problem is not None
    assert "not valid YAML" in found.summary()


def test_settings_cannot_bring_markup_into_the_page(ticks: Ticks) -> None:
    ticks.sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "<b>a|[c](d)"))
    page = examine(ticks).markdown()
    assert r"&lt;b&gt;a\|\[c\]\(d\)" in page


def test_examine_on_a_machine_that_lacks_something_says_what_the_automation_waits_for(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real: the tests' home has no toolchain."""
    ticks.made("packed_cpt[tiny]", "other")
    (item,) = [item for item in examine(ticks).items if item.step.key.asset == "cpt_checkpoint"]
    assert item.rebuilt.startswith("at night")
    monkeypatch.setattr(preflight, "unmet", LOOK)
    (item,) = [item for item in examine(ticks).items if item.step.key.asset == "cpt_checkpoint"]
    assert item.rebuilt.startswith("when this machine has what it needs: the 'train' toolchain is")


def test_the_share_of_the_characters_lines_that_is_left_out_is_said(ticks: Ticks) -> None:
    assert examine(ticks).left_out == ()
    sandbox = ticks.sandbox
    sandbox.edit("dialog/xq7.jsonl", lambda text: text.replace("Ta sorat", "{NOBODY#1} Ta", 1))
    sandbox.build("sft_chat")
    found = examine(ticks)
    [line] = found.left_out
    assert line.startswith("1 of the character's 10 lines (10.0%) is in no chat")
    assert "10 lines \\(10.0%\\) is in no chat" in found.markdown()
    assert found.as_dict()["left_out"] == [line]
