"""A rebuild that failed its check condemns itself alone: what passed before is still taken."""

import shutil
from pathlib import Path

import dagster as dg
import pytest
from helpers import Sandbox
from ticks import CHAIN, Ticks

from cyrene_assets.cli.commands import _common
from cyrene_assets.cli.commands.serve import chosen_character
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.orchestration import garbage_collector, planner
from cyrene_assets.orchestration.adoption import adopt
from cyrene_assets.orchestration.artifact_spec import SPECS, current_inputs
from cyrene_assets.orchestration.verified_models import find_character
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import BuildError

pytestmark = pytest.mark.usefixtures("able")


@pytest.fixture
def ticks(sandbox: Sandbox) -> Ticks:
    """A project with a complete model, of which the store has its records."""
    ticks = Ticks(sandbox)
    ticks.policy()
    ticks.observe()
    for asset in CHAIN[: CHAIN.index("generations")]:
        for partition in planner.partitions(asset, "tiny"):
            ticks.made(str(ArtifactKey(asset, partition)))
    adopt(sandbox.project, sandbox.instance)
    return ticks


@pytest.fixture
def good(ticks: Ticks) -> str:
    """The digest of a model that passed, after a rebuild of it from another base failed."""
    digest = ticks.sandbox.record("fp8_model[tiny]").digest
    ticks.made("base_model[tiny]", content="another base")
    ticks.made("fp8_model[tiny]", content="broken", passed=False)
    adopt(ticks.sandbox.project, ticks.sandbox.instance)
    return digest


def test_the_model_that_passed_is_taken_and_the_failure_is_said(
    ticks: Ticks,
    good: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # The checkout's own .env is none of a test's.
    monkeypatch.setattr(_common, "PROJECT_ROOT", tmp_path)
    sandbox = ticks.sandbox
    failed = sandbox.record("fp8_model[tiny]")
    assert failed.failed_checks
    assert failed.digest != good
    found = find_character(sandbox.project, sandbox.instance, SIZES["tiny"])
    assert found.artifact.digest == good
    # The check belongs to the version that failed it.
    assert f"{failed.digest} failed its check loads_and_answers" in str(found.passed_over)
    assert f"taking {good}" in str(found.passed_over)
    # What `chat` and `serve` take, and tell.
    assert chosen_character(SIZES["tiny"], "fp8", None).artifact.digest == good
    assert capsys.readouterr().err.startswith(f"warning: fp8_model[tiny] {failed.digest} failed")
    named = find_character(sandbox.project, sandbox.instance, SIZES["tiny"], digest=good)
    assert named.passed_over is None


def test_what_comes_after_it_waits_for_a_version_that_passes(ticks: Ticks, good: str) -> None:
    sandbox = ticks.sandbox
    with pytest.raises(BuildError, match=r"needs fp8_model\[tiny\]: its blocking check failed"):
        current_inputs(SPECS["generations"], sandbox.instance, "tiny")
    reason = sandbox.plan("fp8_model")["fp8_model[tiny]"]
    assert reason is not None


def test_gc_keeps_the_model_that_passed_with_all_it_was_made_from(ticks: Ticks, good: str) -> None:
    sandbox = ticks.sandbox
    gone = {
        g.path.name
        for g in garbage_collector.collect(sandbox.project, sandbox.instance, dry_run=True)
    }
    assert good not in gone
    assert sandbox.record("merged_model[tiny]").digest not in gone
    garbage_collector.collect(sandbox.project, sandbox.instance, dry_run=False)
    assert find_character(sandbox.project, sandbox.instance, SIZES["tiny"]).artifact.digest == good


def test_without_dagsters_history_the_store_tells_which_passed(ticks: Ticks, good: str) -> None:
    sandbox = ticks.sandbox
    sandbox.instance.wipe_assets([dg.AssetKey("fp8_model")])
    ticks.made("fp8_model[tiny]", content="broken", passed=False)
    found = find_character(sandbox.project, sandbox.instance, SIZES["tiny"])
    assert found.artifact.digest == good


def test_a_model_that_passed_and_is_gone_is_not_taken(ticks: Ticks, good: str) -> None:
    sandbox = ticks.sandbox
    shutil.rmtree(sandbox.project.store.locate(ArtifactKey("fp8_model", "tiny"), good).path)
    with pytest.raises(BuildError, match=r"failed its check loads_and_answers.*no earlier one"):
        find_character(sandbox.project, sandbox.instance, SIZES["tiny"])


def test_going_back_to_what_it_was_made_from_makes_it_the_current_one(
    ticks: Ticks, good: str
) -> None:
    sandbox = ticks.sandbox
    ticks.made("base_model[tiny]")
    assert sandbox.run(["fp8_model"], "tiny", tags={}).success
    record = sandbox.record("fp8_model[tiny]")
    assert (record.digest, record.failed_checks) == (good, ())
