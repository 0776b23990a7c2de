"""Dagster's automation conditions of all assets, named once, with what they cost.

Whether an artifact is out of date is the planner's word, the same as for `cyrene build`: code
version, settings and inputs' digests, not time stamps. The conditions add when a rebuild may start.
They are evaluated in the code location, for Dagster's daemon does not know them.
"""

import json
from collections.abc import Callable
from datetime import UTC
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import dagster as dg

from cyrene_assets.config.rebuild_policy import RebuildTier
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import CyreneError

if TYPE_CHECKING:
    from cyrene_assets.automation.rebuild_plan import RebuildPlan

Condition = dg.AutomationCondition[dg.AssetKey]
Context = dg.AutomationContext[dg.AssetKey]
Result = dg.AutomationResult[dg.AssetKey]


class _Custom(Condition):
    """A condition of this project: its label in the UI is its words."""

    words: str

    @property
    def name(self) -> str:
        return self.words

    @property
    def description(self) -> str:
        return self.words

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.words))


class OutOfDate(_Custom):
    """True where a build would change something now, and nothing before it is about to change."""

    words = "out of date, and everything before it up to date"

    def evaluate(self, context: Context) -> Result:
        """Compare with the rebuild plan."""
        plan = _rebuild_plan(context)
        if plan is None:
            return dg.AutomationResult(context, context.get_empty_subset())
        asset = context.key.to_user_string()
        due = {p for p in plan.needs(asset) if ArtifactKey(asset, p) not in plan.on_its_way}
        return dg.AutomationResult(context, _subset(context, lambda key: key in due))


class NewNeed(_Custom):
    """True at the tick that first sees a need; a need that comes back after a rebuild is new."""

    words = "not tried yet"

    def evaluate(self, context: Context) -> Result:
        """Compare with the needs of the tick before, which the cursor holds."""
        plan = _rebuild_plan(context)
        if plan is None:
            return dg.AutomationResult(context, context.get_empty_subset(), cursor=context.cursor)
        asset = context.key.to_user_string()
        before: dict[str, str] = json.loads(context.cursor or "{}")
        now = {partition or "_": need for partition, need in plan.needs(asset).items()}
        # What an artifact needs is not known while something before it is out of date: what was
        # tried last is kept, so that the same is not tried again afterwards.
        blocked = {partition or "_" for partition in plan.blocked(asset)}
        kept = {key: need for key, need in before.items() if key in blocked}
        new = {key for key, need in now.items() if need != before.get(key)}
        return dg.AutomationResult(
            context,
            _subset(context, lambda key: (key or "_") in new),
            cursor=json.dumps({**kept, **now}, sort_keys=True),
        )


class NotFailedBefore(_Custom):
    """True unless the last run that tried the same failed, or was cancelled by anyone."""

    words = "the last run that tried the same neither failed nor was cancelled"

    def evaluate(self, context: Context) -> Result:
        """Look at the last run of each candidate."""
        if context.candidate_subset.is_empty:
            return dg.AutomationResult(context, context.get_empty_subset())
        plan, asset = _rebuild_plan(context), context.key.to_user_string()

        def untried(partition: str | None) -> bool:
            try:
                return plan is not None and not plan.attempt_failed(ArtifactKey(asset, partition))
            except CyreneError:
                return False

        return dg.AutomationResult(context, _subset(context, untried))


class Quiet(_Custom):
    """True unless the corpus is being written, or a `cyrene build` is at work."""

    words = "nobody writes to the corpus, and no `cyrene build` is at work"

    def evaluate(self, context: Context) -> Result:
        """Look at the files' times and at the build's lock."""
        if context.candidate_subset.is_empty:
            return dg.AutomationResult(context, context.get_empty_subset())
        from cyrene_assets.orchestration.build_lock import is_build_running
        from cyrene_assets.orchestration.raw_files import is_settled

        try:
            project = Project.load()
            quiet = not is_build_running(project) and is_settled(
                project, context.evaluation_time.timestamp()
            )
        except CyreneError:
            quiet = False
        return dg.AutomationResult(context, _subset(context, lambda _: quiet))


class Allowed(_Custom):
    """True while the policy of project.yaml lets a stage start."""

    def __init__(self, tier: RebuildTier) -> None:
        self.tier = tier
        self.words = f"project.yaml lets {tier} start now"

    def evaluate(self, context: Context) -> Result:
        """Read project.yaml, so that a change to it counts at once."""
        try:
            rebuild = Project.load().settings.rebuild
        except CyreneError:
            allowed = False
        else:
            allowed = rebuild.allows(self.tier, context.evaluation_time.astimezone(UTC))
        return dg.AutomationResult(context, _subset(context, lambda _: allowed))


class Able(_Custom):
    """True where this machine has what a stage needs, so that what begins can finish.

    It is looked at for candidates alone, and again at every tick: room on the disk lets it begin.
    """

    words = "this machine has what the stage needs (`cyrene doctor` says what it lacks)"

    def evaluate(self, context: Context) -> Result:
        """Look as a build does before its first step."""
        if context.candidate_subset.is_empty:
            return dg.AutomationResult(context, context.get_empty_subset())
        from cyrene_assets.orchestration import preflight

        asset = context.key.to_user_string()

        def able(partition: str | None) -> bool:
            try:
                return not preflight.unmet(Project.load(), [ArtifactKey(asset, partition)])
            except CyreneError:
                return False

        return dg.AutomationResult(context, _subset(context, able))


class GpuTurn(_Custom):
    """True for one artifact at a time, and while no run that uses a GPU is on its way.

    Runs that waited for the GPU would take the places of others in the meantime.
    """

    words = "no other run is at the GPU, or asks for it first"

    def evaluate(self, context: Context) -> Result:
        """Give the turn to the first that asks: conditions are evaluated in the assets' order."""
        view, candidates = context.asset_graph_view, context.candidate_subset
        nothing = dg.AutomationResult(context, context.get_empty_subset())
        if candidates.is_empty or view in _TURNS or _gpu_is_taken(_rebuild_plan(context)):
            return nothing
        due = {key.partition_key for key in candidates.expensively_compute_asset_partitions()}
        definition = context.partitions_def
        keys = [None] if definition is None else definition.get_partition_keys()
        _TURNS[view] = turn = next(key for key in keys if key in due)
        return dg.AutomationResult(context, _subset(context, lambda key: key == turn))


def _gpu_is_taken(found: "RebuildPlan | None") -> bool:
    from cyrene_assets.orchestration.artifact_spec import SPECS

    return found is None or any(
        key.asset in SPECS and SPECS[key.asset].gpu for key in found.at_work
    )


def _subset(context: Context, holds: Callable[[str | None], bool]) -> Any:
    """Return the candidates whose partition key fulfils ``holds``."""
    candidates = context.candidate_subset
    keys = candidates.expensively_compute_asset_partitions()
    return context.asset_graph_view.get_asset_subset_from_asset_partitions(
        context.key, {key for key in keys if holds(key.partition_key)}
    )


# Who has the turn at the GPU in a tick.
_TURNS: "WeakKeyDictionary[Any, str | None]" = WeakKeyDictionary()
# All conditions of one tick are about the same moment.
_REBUILD_PLANS: "WeakKeyDictionary[Any, RebuildPlan | None]" = WeakKeyDictionary()


def _rebuild_plan(context: Context) -> "RebuildPlan | None":
    """Return the tick's plan; None where nothing can be told.

    That is so while a project.yaml, corpus.yaml or recipe does not fit. The sensor that watches the
    corpus says what is wrong.
    """
    from cyrene_assets.automation.rebuild_plan import plan_rebuilds
    from cyrene_assets.orchestration.project_state import ProjectState

    view = context.asset_graph_view
    if view not in _REBUILD_PLANS:
        try:
            state = ProjectState(Project.load(), view.instance, observed=True)
            _REBUILD_PLANS[view] = plan_rebuilds(state)
        except CyreneError:
            _REBUILD_PLANS[view] = None
    return _REBUILD_PLANS[view]
