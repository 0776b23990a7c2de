"""What stages need of this machine, looked at before the first of them does anything.

``cyrene doctor`` tells it of a size, ``cyrene build`` of its plan's steps that are out of date, a
run of its own at its first step: in the same words, for all of them look in the same place
(`cyrene_assets.orchestration.requirements`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

from cyrene_assets.config.model_sizes import SIZES, ModelSize
from cyrene_assets.orchestration import planner
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.needs import Need, Problem
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.orchestration.requirements import find_missing
from cyrene_assets.orchestration.tags import IGNORED, REQUIREMENTS_TAG
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import RequirementError

OVERRIDE = (
    "`cyrene build --ignore-requirements`, or a run's tag "
    f"`{REQUIREMENTS_TAG}: {IGNORED}`, begins nevertheless"
)
# Tags that begin like this are not shown next to every run in the UI.
_CHECKED_TAG = ".dagster/cyrene_requirements"


@dataclass(frozen=True)
class Unmet:
    """A requirement of stages ahead that this machine does not meet."""

    stages: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        shown = ", ".join(self.stages[:3])
        more = f" and {len(self.stages) - 3} more" if len(self.stages) > 3 else ""
        return f"{shown}{more}: {self.text}"


def artifacts_to_build(steps: Iterable[Step]) -> list[ArtifactKey]:
    """Return the artifacts of a plan that have to be built."""
    return [step.key for step in steps if step.reason is not None]


def check_requirements(project: Project, artifacts: Sequence[ArtifactKey]) -> None:
    """Refuse to begin artifacts that this machine cannot finish.

    Raises:
        RequirementError: with a line for each requirement that is not met.
        UserError: project.yaml or a recipe does not fit.
    """
    problems = unmet(project, artifacts)
    if problems:
        raise RequirementError(refusal_text(problems))


def refusal_text(found: Sequence[Unmet]) -> str:
    """Return the message of a refusal: its stages, what they lack, the remedies, the override."""
    if len(found) == 1:
        return f"nothing was begun: {found[0]} ({OVERRIDE})"
    lines = "\n".join(f"  {problem}" for problem in found)
    return (
        f"nothing was begun, for this machine lacks what stages ahead need:\n{lines}\n  {OVERRIDE}"
    )


def unmet(project: Project, artifacts: Sequence[ArtifactKey]) -> list[Unmet]:
    """Return what is needed to make artifacts and this machine lacks.

    Raises:
        UserError: project.yaml or a recipe does not fit.
    """
    concerned = [(key, SPECS[key.asset].needs) for key in artifacts if SPECS[key.asset].needs]
    stages_by_text: dict[str, dict[str, None]] = {}
    for size in dict.fromkeys(_size(key.partition) for key, _ in concerned):
        of_size = [(key, needs) for key, needs in concerned if _size(key.partition) == size]
        needs = frozenset[Need]().union(*(needs for _, needs in of_size))
        findings = find_missing(project, size, needs, {key.asset for key, _ in of_size})
        for problem in findings.of(needs):
            stages = stages_by_text.setdefault(problem.text, {})
            stages |= dict.fromkeys(_concerned(problem, of_size))
    return [Unmet(tuple(stages), text) for text, stages in stages_by_text.items()]


def _concerned(problem: Problem, ahead: Iterable[tuple[ArtifactKey, frozenset[Need]]]) -> list[str]:
    return [str(key) for key, needs in ahead if not problem.needs.isdisjoint(needs)]


def _size(partition: str | None) -> ModelSize | None:
    """Return the size that a partition is, or None: a checkpoint's model is a person's own."""
    return SIZES.get(partition or "")


def check_run_requirements(
    project: Project, context: dg.AssetExecutionContext, *, reuse: bool
) -> None:
    """Refuse a run at its first step, where this machine lacks what its stages need.

    Args:
        project: that the run belongs to.
        context: of the step.
        reuse: what is up to date is not made again, and needs nothing of the machine.

    Raises:
        RequirementError: this machine lacks what assets selected in the run need.
        UserError: project.yaml or a recipe does not fit.
    """
    instance, run = context.instance, context.run
    names = selected(context)
    if run.tags.get(REQUIREMENTS_TAG) == IGNORED or not any(SPECS[n].needs for n in names):
        return
    # A run's tags in a step are those of its beginning.
    now = instance.get_run_by_id(run.run_id)
    if now is not None and _CHECKED_TAG in now.tags:
        return
    artifacts = selected_artifacts(context)
    if reuse:
        artifacts = _out_of_date(ProjectState(project, instance), artifacts)
    check_requirements(project, artifacts)
    instance.add_run_tags(run.run_id, {_CHECKED_TAG: "met"})


def selected(context: dg.AssetExecutionContext) -> list[str]:
    """Return the assets that a run makes, in build order."""
    selected = {key.to_user_string() for key in context.job_def.asset_layer.selected_asset_keys}
    # Executed again from a failure: a step is called as its asset.
    again = context.run.step_keys_to_execute
    return [
        name for name in planner.build_order() if name in selected and (not again or name in again)
    ]


def selected_artifacts(context: dg.AssetExecutionContext) -> list[ArtifactKey]:
    """Return the artifacts that a run makes, in build order."""
    partition = str(context.partition_key) if context.has_partition_key else None
    return [
        ArtifactKey(name, partition if SPECS[name].partitions_def else None)
        for name in selected(context)
    ]


def _out_of_date(state: ProjectState, artifacts: Iterable[ArtifactKey]) -> list[ArtifactKey]:
    pending: dict[ArtifactKey, str] = {}
    for key in artifacts:
        step = planner.plan_artifact(state, key, pending)
        if step.reason is not None:
            pending[key] = step.reason
    return list(pending)
