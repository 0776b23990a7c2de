"""What may be rebuilt by itself: the plan of the complete project, and what is on its way already.

Automation renews what was built before; it never begins a size, nor a stage that nobody has built.
A language that is new joins the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cyrene_assets.automation import code_location
from cyrene_assets.orchestration import planner
from cyrene_assets.orchestration.artifact_spec import SPECS, ArtifactSpec
from cyrene_assets.orchestration.failed_attempts import last_failed_run
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.project.partitions import language_by_size, languages, split_key
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import UserError


@dataclass(frozen=True)
class RebuildPlan:
    """Every artifact of the project that somebody has built, and what runs are about to change.

    ``at_work`` maps an artifact to the run that is about to make it, ``on_its_way`` to one that is
    about to make it or something before it.
    """

    state: ProjectState
    steps: Mapping[ArtifactKey, Step]
    at_work: Mapping[ArtifactKey, str]
    on_its_way: Mapping[ArtifactKey, str]

    def needs(self, asset: str) -> dict[str | None, str]:
        """Return what a build would fix, by partition: see ``Step.need``."""
        return {
            key.partition: step.need
            for key, step in self.steps.items()
            if key.asset == asset and step.need is not None
        }

    def attempt_failed(self, key: ArtifactKey) -> bool:
        """Return whether the last run that tried the same as a build would do did not succeed."""
        step = self.steps.get(key)
        if step is None:
            return False
        return last_failed_run(self.state, key, step.wanted_fingerprint) is not None

    def blocked(self, asset: str) -> set[str | None]:
        """Return the partitions of which nothing is known, for an input is out of date itself."""
        return {
            key.partition
            for key, step in self.steps.items()
            if key.asset == asset and step.reason is not None and step.wanted is None
        }


def plan_rebuilds(state: ProjectState) -> RebuildPlan:
    """Examine the complete project, each artifact after those that it is made from.

    Raises:
        UserError: project.yaml, corpus.yaml or a recipe does not fit, or lists other languages than
            this process has loaded.
    """
    _check_languages_loaded(state)
    steps: dict[ArtifactKey, Step] = {}
    pending: dict[ArtifactKey, str] = {}
    on_its_way: dict[ArtifactKey, str] = {}
    for asset in planner.build_order():
        spec = SPECS[asset]
        for partition in ever_materialized(state, spec):
            key = ArtifactKey(asset, partition)
            upstream = list(spec.upstream(partition))
            runs = [state.at_work.get(key), *(on_its_way.get(parent) for parent in upstream)]
            run = next((run for run in runs if run is not None), None)
            if run is not None:
                on_its_way[key] = run
            step = planner.plan_artifact(state, key, pending)
            if spec.allow_missing_inputs and step.wanted is None:
                # It waits for what can be built now, and for nothing that waits itself: of a size
                # that is rebuilt by hand alone it would wait for ever.
                ready = {k: reason for k, reason in pending.items() if steps[k].need is not None}
                now = planner.plan_artifact(state, key, ready)
                step = step if now.need is None else now
            steps[key] = step
            if step.reason is not None:
                pending[key] = step.reason
    return RebuildPlan(state, steps, state.at_work, on_its_way)


def ever_materialized(state: ProjectState, spec: ArtifactSpec) -> list[str | None]:
    """Return the partitions of an asset that somebody has built, and those that belong to them.

    All languages belong together, and so do all languages of a size.
    """
    definition = spec.partitions_def
    keys = list(spec.partitions)
    built = [key for key in keys if state.record(spec.key(key)) is not None]
    if definition == languages():
        return keys if built else []
    if definition == language_by_size():
        of_sizes = {split_key(key or "")[1] for key in built}
        return [key for key in keys if split_key(key or "")[1] in of_sizes]
    return built


def _check_languages_loaded(state: ProjectState) -> None:
    changed = code_location.unloaded_languages(state.project)
    if changed:
        raise UserError(
            f"{state.project.corpus_folder / 'corpus.yaml'} lists other languages than Dagster "
            f"has loaded ({', '.join(changed)}): {code_location.REMEDY}"
        )
