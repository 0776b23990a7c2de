"""``cyrene status`` and the asset ``build_status``: what is out of date, why, and what it costs."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cyrene_assets.automation.rebuild_plan import RebuildPlan, plan_rebuilds
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.diagnostics.cost_estimate import estimate
from cyrene_assets.diagnostics.estimate_table import StepEstimate, sum_known
from cyrene_assets.diagnostics.left_out_lines import left_out
from cyrene_assets.diagnostics.staleness_rows import Item, Row, time_of
from cyrene_assets.orchestration import planner, preflight
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.failed_attempts import FailedRun, explained, last_failed_run
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.project.partitions import split_key
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import CyreneError
from cyrene_assets.utils.formatting import format_size as shown_size
from cyrene_assets.utils.formatting import markdown_table, shell_path
from cyrene_assets.utils.formatting import table as make_table

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Status:
    """What of a project is out of date; ``problem`` is why nothing can be told.

    ``left_out`` says which share of the character's lines no model of what is built learns from.
    """

    corpus: str
    sizes: tuple[str, ...]
    items: tuple[Item, ...]
    up_to_date: int
    problem: str | None = None
    left_out: tuple[str, ...] = ()
    corpus_folder: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the status as a JSON value."""
        return {
            "corpus": self.corpus,
            "sizes": list(self.sizes),
            "problem": self.problem,
            "up_to_date": self.up_to_date,
            "left_out": list(self.left_out),
            "out_of_date": [item.as_dict() for item in self.items],
            "seconds": sum_known(item.seconds for item in self.items),
            "steps_of_unknown_time": sum(item.seconds is None for item in self.items),
            "bytes": sum_known(item.bytes for item in self.items) or 0,
        }

    def summary(self) -> str:
        """Return the status in a line."""
        if self.problem is not None:
            return f"cannot be told: {self.problem}"
        total = len(self.items) + self.up_to_date
        if total == 0:
            return "nothing is built yet"
        of = f"of corpus {self.corpus!r}" + (f", {', '.join(self.sizes)}" if self.sizes else "")
        if not self.items:
            what = "the one artifact is" if total == 1 else f"all {total} artifacts are"
            return f"{what} up to date ({of})"
        verb = "is" if len(self.items) == 1 else "are"
        return f"{len(self.items)} of {counted(total, 'artifact')} {verb} out of date ({of})"

    def failures(self) -> list[str]:
        """Return what failed, each with what it blocks and the command that helps."""
        lines = []
        for item in self.items:
            run = item.failure
            if run is None:
                continue
            name = str(item.step.key)
            what = run.error or f"run {run.run_id[:8]} {run.outcome}"
            blocked = sum(other.blocked_by == name for other in self.items)
            made = f", and {counted(blocked, 'artifact')} made from it" if blocked else ""
            helps = f"cyrene corpus check {self.corpus_folder}"
            if not run.bad_input:
                helps = "; ".join(self.commands())
            lines += [what, f"  blocks {name}{made}. What helps: {helps}"]
        return lines

    def needs_a_fix(self) -> bool:
        """Return whether a build fails for as long as a person has fixed nothing."""
        return any(item.failure is not None and item.failure.bad_input for item in self.items)

    def cost(self) -> str:
        """Return what a rebuild would take, in a line."""
        disk = sum_known(item.bytes for item in self.items) or 0
        if any(item.failure is not None for item in self.items):
            return (
                f"rebuild, once that is fixed: about {time_of(self.items)} and "
                f"{shown_size(disk)} of disk"
            )
        by_time: dict[str, list[Item]] = {}
        for item in self.items:
            by_time.setdefault(item.rebuilt, []).append(item)
        parts = [f"{time_of(items)} {rebuilt}" for rebuilt, items in by_time.items()]
        split = f" ({'; '.join(parts)})" if len(parts) > 1 else f", {next(iter(by_time), '')}"
        return f"rebuild: about {time_of(self.items)} and {shown_size(disk)} of disk{split}"

    def commands(self) -> list[str]:
        """Return the commands that rebuild all of it now."""
        order = planner.build_order()
        commands: dict[str, None] = {}
        for size in self.sizes or (None,):
            assets = [
                k.asset
                for k in (i.step.key for i in self.items)
                if _size(k.partition) in (None, size)
            ]
            if assets:
                target = max(assets, key=order.index)
                commands[f"cyrene build{f' --size {size}' if size else ''} --to {target}"] = None
        return list(commands)

    def table(self) -> "Table":
        """Return what is out of date as a table for a terminal, one row per asset and reason."""
        rows = []
        for row in self.rows():
            why = f"{row.why}: {row.settings}" if row.settings else row.why
            rows.append([row.name, why, row.when, row.time])
        columns = ["artifact", "why", "rebuilt", "time"]
        return make_table(None, columns, rows, right={"time"})

    def markdown(self) -> str:
        """Return the status as a page for the UI."""
        from cyrene_assets.corpus.lint.plots import escape_markdown

        lines = [f"**{escape_markdown(line.strip())}**\n" for line in self.failures()]
        lines += [f"**{escape_markdown(self.summary())}**"]
        if self.items:
            header = ("artifact", "why", "from → to", "rebuilt", "time")
            cells = ((row.name, row.why, row.change, row.rebuilt, row.time) for row in self.rows())
            rows = ([escape_markdown(cell) for cell in row] for row in cells)
            lines += ["", markdown_table(header, rows, {"time"})]
            lines += ["", escape_markdown(self.cost())]
            if not self.needs_a_fix():
                lines += ["", f"All of it now: `{'; '.join(self.commands())}`"]
        lines += [f"\n{escape_markdown(line)}" for line in self.left_out]
        return "\n".join(lines)

    def rows(self) -> list[Row]:
        """Return the items, those of one asset that share a reason taken together."""
        grouped: dict[tuple[str, str, str], list[Item]] = {}
        for item in self.items:
            same = item.step.key.asset, item.why, item.rebuilt
            grouped.setdefault(same, []).append(item)
        return [Row(items) for items in grouped.values()]


def examine(state: ProjectState, now: datetime) -> Status:
    """Return what of a project is out of date at ``now``, a time with a time zone."""
    project = state.project
    try:
        corpus = project.corpus.name
        plan = plan_rebuilds(state)
        rebuild = project.settings.rebuild
        estimates = _estimates(state, plan)
    except CyreneError as error:
        return Status(project.settings.corpus, (), (), 0, str(error))
    items: list[Item] = []
    blocked: dict[ArtifactKey, str] = {}
    for key, step in plan.steps.items():
        if step.reason is None:
            continue
        cost = estimates[key]
        spec, run = SPECS[key.asset], plan.on_its_way.get(key)
        failure = lacks = blocked_by = None
        if step.need and not run:
            failure = _failure(state, step)
            lacks = _lacks(state, key)
        elif step.wanted is None and not run:
            upstream = spec.upstream(key.partition)
            blocked_by = next((blocked[up] for up in upstream if up in blocked), None)
        if failure is not None or blocked_by is not None:
            blocked[key] = blocked_by or str(key)
        items.append(
            Item(
                step,
                (failure and failure.retry)
                or lacks
                or (blocked_by and f"blocked by {blocked_by}")
                or rebuild.described(spec.rebuild, now),
                run,
                cost.seconds,
                cost.bytes,
                failure,
                blocked_by,
            )
        )
    return Status(
        corpus,
        _sizes(plan),
        tuple(items),
        len(plan.steps) - len(items),
        left_out=tuple(left_out(state)),
        corpus_folder=shell_path(project.corpus_folder),
    )


def _failure(state: ProjectState, step: planner.Step) -> FailedRun | None:
    """Return the run that failed to make what a step stands for, with its error."""
    run = last_failed_run(state, step.key, step.wanted_fingerprint)
    return None if run is None else explained(state.instance, run, step.key)


def _lacks(state: ProjectState, key: ArtifactKey) -> str | None:
    """Return what the automation waits for where this machine could not finish an artifact."""
    unmet = preflight.unmet(state.project, [key])
    return f"when this machine has what it needs: {unmet[0].text}" if unmet else None


def _sizes(plan: RebuildPlan) -> tuple[str, ...]:
    sizes = {_size(key.partition) for key in plan.steps}
    return tuple(size for size in SIZES if size in sizes)


def _size(partition: str | None) -> str | None:
    """Return the size in a partition's key, or None where it has none."""
    key = partition or ""
    size = split_key(key)[1] or key
    return size if size in SIZES else None


def _estimates(state: ProjectState, plan: RebuildPlan) -> dict[ArtifactKey, StepEstimate]:
    steps = list(plan.steps.values())
    sizes = _sizes(plan)
    known: dict[ArtifactKey, StepEstimate] = {}
    for size in sizes or tuple(SIZES)[:1]:
        of_size = [step for step in steps if _size(step.key.partition) in (None, size)]
        for cost in estimate(state.project, of_size, SIZES[size], read_texts=False).steps:
            known.setdefault(cost.step, cost)
    return known
