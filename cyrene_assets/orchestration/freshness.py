"""A run whose inputs are out of date says so at its first step, before a tool starts.

``cyrene build`` and the automation look at everything before they start a run. One that a person
starts of single assets, in the UI or by Dagster's own commands, takes what is there: here it is
refused where something that is not in the run should be made again first. A tag takes it as it is.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

import dagster as dg

from cyrene_assets.orchestration import planner
from cyrene_assets.orchestration.artifact_spec import SPECS, with_ancestors
from cyrene_assets.orchestration.input_consistency import (
    Origins,
    check_common_versions,
    recorded_inputs,
)
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.preflight import selected_artifacts
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.orchestration.remedies import build_command
from cyrene_assets.orchestration.tags import BY_ITSELF_TAG, OUT_OF_DATE_TAG, PLANNED_TAG, TAKEN
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import CyreneError, UserError

_CHECKED_TAG = ".dagster/cyrene_inputs"


def check_inputs(project: Project, context: dg.AssetExecutionContext, *, reuse: bool) -> None:
    """Refuse a run at its first step, where what it would use should be made again first.

    Args:
        project: that the run belongs to.
        context: of the step.
        reuse: what is up to date is not made again, and uses nothing.

    Raises:
        UserError: an input that is not made in the run is out of date, or two do not belong
            together; it says why, and what leads on.
    """
    instance, run = context.instance, context.run
    if PLANNED_TAG in run.tags or run.tags.get(BY_ITSELF_TAG) == "true":
        return
    # A run's tags in a step are those of its beginning.
    now = instance.get_run_by_id(run.run_id)
    if now is not None and _CHECKED_TAG in now.tags:
        return
    made = selected_artifacts(context)
    ahead = _Ahead(project, ProjectState(project, instance), made, reuse=reuse)
    ahead.check_common_versions()
    if run.tags.get(OUT_OF_DATE_TAG) != TAKEN:
        ahead.check_up_to_date()
    instance.add_run_tags(run.run_id, {_CHECKED_TAG: "looked at"})


class _Ahead:
    """What a run would make, and the state of all that it would be made from."""

    def __init__(
        self, project: Project, state: ProjectState, made: Iterable[ArtifactKey], *, reuse: bool
    ) -> None:
        self._project = project
        self._state = state
        self._run = list(made)
        self._reuse = reuse

    def check_common_versions(self) -> None:
        """Refuse inputs from outside of the run that do not belong together."""
        origins = Origins(recorded_inputs(self._state))
        for key in self._run:
            outside = {
                upstream: record
                for upstream in SPECS[key.asset].upstream(key.partition)
                if upstream not in self._run
                and (record := self._state.record(upstream)) is not None
            }
            check_common_versions(self._project, origins, key, outside)

    def check_up_to_date(self) -> None:
        """Refuse inputs from outside of the run that should be made again first."""
        for key in self._run:
            spec = SPECS[key.asset]
            if spec.allow_missing_inputs or self._is_reused(key):
                continue
            stale = [
                upstream
                for upstream in spec.upstream(key.partition)
                # What is not there, or failed a check, is refused for that.
                if upstream in self._out_of_date
                and (record := self._state.record(upstream)) is not None
                if not record.failed_checks
            ]
            if stale:
                raise UserError(
                    f"{key} was not started: its inputs are out of date: "
                    f"{self._why(stale)}. `{build_command(self._project, key)}` "
                    f"rebuilds them all; the run tag `{OUT_OF_DATE_TAG}: {TAKEN}` takes them as "
                    "they are"
                )

    @cached_property
    def _steps(self) -> dict[ArtifactKey, Step]:
        """The state of the run's artifacts and of all before them, each after its inputs."""
        steps: dict[ArtifactKey, Step] = {}
        pending: dict[ArtifactKey, str] = {}
        order = planner.build_order()
        for key in sorted(
            with_ancestors(*self._run),
            key=lambda key: (order.index(key.asset), key.partition or ""),
        ):
            try:
                step = planner.plan_artifact(self._state, key, pending)
            except CyreneError:
                # A corpus or a folder that is not here, as in a store that was copied: whether
                # something is out of date cannot be told, and nobody is kept from using it.
                continue
            steps[key] = step
            if step.reason is not None:
                pending[key] = step.reason
        return steps

    @cached_property
    def _out_of_date(self) -> dict[ArtifactKey, Step]:
        """What is out of date, is there, and is not made in the run."""
        return {
            key: step
            for key, step in self._steps.items()
            if step.reason is not None and key not in self._run
        }

    def _is_reused(self, key: ArtifactKey) -> bool:
        """Return whether an artifact is there already, made from its inputs as they are."""
        begun = {k: "in the run" for k in self._run if (s := self._steps.get(k)) and s.reason}
        try:
            step = planner.plan_artifact(self._state, key, begun)
        except CyreneError:
            return False
        return self._reuse and step.reason is None

    def _why(self, stale: Sequence[ArtifactKey]) -> str:
        """Say what is out of date, and the first reason where it begins."""
        # What waits for something else has no lineage to be wanted yet.
        causes = [key for key, step in self._out_of_date.items() if step.wanted is not None]
        named = dict.fromkeys((stale[0], *causes[:1]))
        more = len({*stale, *causes}) - len(named)
        shown = [f"{key} ({self._out_of_date[key].reason})" for key in named]
        return ", ".join([*shown, *([f"and {more} more"] if more else [])])
