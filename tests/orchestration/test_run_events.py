import uuid
from collections.abc import Sequence

import dagster as dg
import pytest
from helpers import Sandbox

from cyrene_assets.automation.rebuild_rules import AT_ONCE
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.artifact_context import ArtifactContext
from cyrene_assets.orchestration.run_events import Event, EventTail
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.store.outcome import BuildResult, Check, CheckOutcome
from cyrene_assets.utils.errors import BuildError, CyreneError, UserError

pytestmark = pytest.mark.usefixtures("specs")


def follow(
    instance: dg.DagsterInstance, assets: Sequence[dg.AssetsDefinition]
) -> tuple[list[Event], CyreneError | None]:
    events: list[Event] = []
    run_id = str(uuid.uuid4())
    job = dg.Definitions(
        assets, executor=dg.in_process_executor
    ).resolve_implicit_global_asset_job_def()
    with EventTail(instance, run_id, None, events.append) as tail:
        job.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False)
    return events, tail.error


def failing(error: Exception) -> dg.AssetsDefinition:
    @artifact_asset(
        rebuild=AT_ONCE,
        group_name="toys",
        kinds={"toy"},
        code_version="1",
        params=lambda _project, _key: {},
    )
    def toy(build: ArtifactBuild) -> BuildResult:
        """A toy."""
        raise error

    return toy


def test_start_progress_warning_and_end_in_order(empty: Sandbox) -> None:
    @artifact_asset(
        rebuild=AT_ONCE,
        group_name="toys",
        kinds={"toy"},
        code_version="1",
        params=lambda _project, _key: {},
        checks=[Check("good", "Good.", blocking=True), Check("nice", "Nice.")],
    )
    def toy(build: ArtifactBuild) -> BuildResult:
        """A toy."""
        (build.out / "x").touch()
        assert isinstance(build, ArtifactContext)
        build.warn("only 7 steps")
        build.context.log_event(dg.AssetObservation("toy", description="step 3 of 7, loss 2.5"))
        checks = [CheckOutcome("good", True, "yes"), CheckOutcome("nice", False, "2 are not")]
        return BuildResult("7 steps", checks=checks)

    events, error = follow(empty.instance, [toy])
    assert error is None
    assert [(event.kind, event.step, event.detail) for event in events] == [
        ("start", "toy", ""),
        ("warning", "toy", "only 7 steps"),
        ("progress", "toy", "step 3 of 7, loss 2.5"),
        ("warning", "toy", "nice: 2 are not"),
        ("done", "toy", "7 steps"),
    ]
    seconds = [event.seconds for event in events]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 0


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (UserError("corpus.yaml: name is missing"), UserError),
        (BuildError("the tool crashed\n  log: x.log"), BuildError),
    ],
)
def test_an_error_keeps_its_words_and_its_kind(
    empty: Sandbox, raised: CyreneError, kind: type[CyreneError]
) -> None:
    events, error = follow(empty.instance, [failing(raised)])
    assert [event.kind for event in events] == ["start", "failed"]
    assert type(error) is kind
    assert str(error) == f"toy: {raised}"


def test_a_crash_says_its_last_line_and_where_the_traceback_is(empty: Sandbox) -> None:
    _, error = follow(empty.instance, [failing(ZeroDivisionError("a tally of nothing"))])
    assert isinstance(error, BuildError)
    assert "ZeroDivisionError: a tally of nothing" in str(error)
    assert "the traceback is in the run's log" in str(error)
    assert "Traceback" not in str(error)
    assert 'File "' not in str(error)


def test_a_full_disk_under_a_step_is_the_steps_failure(empty: Sandbox) -> None:
    _, error = follow(empty.instance, [failing(OSError(28, "No space left on device"))])
    assert isinstance(error, BuildError)
    assert "the disk is full" in str(error)
    assert "run the same command again" in str(error)


def test_steps_after_a_failed_one_are_not_reported(empty: Sandbox) -> None:
    @dg.asset(deps=["toy"])
    def after() -> None:
        """Never reached."""

    events, _ = follow(empty.instance, [failing(BuildError("no")), after])
    assert {event.step for event in events} == {"toy"}


def test_a_run_that_never_began_says_nothing(empty: Sandbox) -> None:
    events: list[Event] = []
    with EventTail(empty.instance, str(uuid.uuid4()), None, events.append) as tail:
        pass
    assert events == []
    assert tail.error is None
