"""``cyrene init`` and ``cyrene build``."""

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cyrene_assets.cli.commands._common import (
    UNFOLDED,
    adopt,
    definitions,
    json_option,
    load_specs,
    opened,
    opened_to_look,
    own_terminal,
    requirements_option,
    size_option,
)
from cyrene_assets.config.model_sizes import DEFAULT_TARGET, ModelSize
from cyrene_assets.project.folders import PROJECT_ROOT
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import UserError

if TYPE_CHECKING:
    import dagster as dg
    from rich.console import Console

    from cyrene_assets.diagnostics.estimate_table import Estimate
    from cyrene_assets.orchestration.planner import Step
    from cyrene_assets.project.project import Project


def _configured(
    corpus: str | None, recipe: str | None, size: ModelSize, *, save: bool
) -> "Project":
    """Return the project with the flags' corpus and recipe; ``save`` writes what they change."""
    from cyrene_assets.project.project import Project

    project = Project.load()
    settings = project.settings
    if corpus is not None:
        settings = project.with_corpus(corpus)
    if recipe is not None:
        settings = Project(project.home, settings).with_recipe(size, recipe)
    changed = Project(project.home, settings)
    # Both are read here so that a mistake in either is one message before anything is written.
    _ = changed.corpus, changed.recipe(size)
    return project.save(settings) if save and settings != project.settings else changed


@click.command()
@click.option("--corpus", help="Corpus: a folder's path, or a name under CYRENE_CORPORA.")
@click.option("--recipe", help="Recipe for --size: a shipped name, or a YAML file's path.")
@size_option()
def init(corpus: str | None, recipe: str | None, size: ModelSize) -> None:
    """Create the project: its folder, project.yaml, the Dagster instance and .env."""
    from cyrene_assets.project.instance import prepare

    project = _configured(corpus, recipe, size, save=False)
    project = project.save(project.settings)
    prepare(project, PROJECT_ROOT)
    click.echo(f"project: {project.home}  corpus: {project.settings.corpus}")


@click.command()
@size_option()
@click.option(
    "--to", "target", default=DEFAULT_TARGET, show_default=True, help="Asset to stop after."
)
@click.option("--corpus", help="Use this corpus from now on: a folder's path, or a name.")
@click.option("--recipe", help="Use this recipe for the size from now on: a name, or a path.")
@click.option("--plan", "only_plan", is_flag=True, help="Print what would run, and run nothing.")
@requirements_option
@json_option
def build(
    size: ModelSize,
    target: str,
    corpus: str | None,
    recipe: str | None,
    only_plan: bool,
    ignore_requirements: bool,
    as_json: bool,
) -> None:
    """Materialize everything out of date, up to and including an asset.

    The requirements of all stages (toolchains, kernels, compiler, driver, memory, disk, base model)
    are checked before the first one starts. A build that cannot finish on this machine is refused,
    with the stage, the reason and the remedy; --plan and `cyrene doctor` print the same.

    Artifacts that the store has and Dagster's database lost are recorded again, not rebuilt.

    A build that may take over ten minutes shows the plan before its first step.
    """
    if as_json and not only_plan:
        raise UserError("--json goes with --plan: `cyrene artifacts --json` lists what was built")
    if only_plan and corpus is not None:
        raise UserError(
            "--corpus changes the project's languages, so it cannot be planned without being set: "
            "run `cyrene init --corpus ...` first"
        )
    project = _configured(corpus, recipe, size, save=not only_plan)
    with opened_to_look(project) as instance:
        load_specs()
        from cyrene_assets.diagnostics import cost_estimate
        from cyrene_assets.orchestration import planner, preflight

        adopt(project, instance, say_nothing=True)
        steps = planner.plan(project, instance, target, size.name)
        ahead = preflight.artifacts_to_build(steps)
        estimates = cost_estimate.estimate(project, steps, size)
        if not only_plan:
            if not ignore_requirements:
                preflight.check_requirements(project, ahead)
            if not ahead:
                _say_up_to_date(steps, target, size)
                return
            with opened(project) as opened_instance:
                _build(
                    project,
                    opened_instance,
                    definitions(),
                    steps,
                    estimates,
                    target,
                    size,
                    ignore_requirements=ignore_requirements,
                )
            return
        problems = [str(problem) for problem in preflight.unmet(project, ahead)]
        if as_json:
            click.echo(json.dumps({**estimates.as_dict(), "problems": problems}, indent=2))
        else:
            from rich.console import Console

            _show(Console(), estimates)
            for line in (
                *(f"warning: {warning}" for warning in estimates.warnings),
                *(f"problem: {problem}" for problem in problems),
            ):
                click.echo(line)


def _show(console: "Console", estimates: "Estimate") -> None:
    """Print what a plan costs, how that was estimated, and the sum."""
    from rich.console import Console

    if estimates.steps:
        # A table that is piped somewhere is never folded.
        wide = Console(file=console.file, width=UNFOLDED)
        screen = console if console.is_terminal else wide
        screen.print(estimates.table(screen.width))
    for line in (*estimates.notes, estimates.summary()):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _say_up_to_date(steps: Sequence["Step"], target: str, size: ModelSize) -> None:
    what = "one artifact" if len(steps) == 1 else f"all {len(steps)} artifacts"
    verb = "is" if len(steps) == 1 else "are"
    click.echo(f"nothing to do: {what} up to {target} {verb} up to date for {size}")


def _build(
    project: "Project",
    instance: "dg.DagsterInstance",
    code_location: "dg.Definitions",
    steps: Sequence["Step"],
    estimates: "Estimate",
    target: str,
    size: ModelSize,
    *,
    ignore_requirements: bool,
) -> None:
    from cyrene_assets.cli.progress import StepReporter
    from cyrene_assets.orchestration import builder, planner
    from cyrene_assets.utils.formatting import format_duration

    waiting = sum(step.reason is not None for step in steps)
    started = time.monotonic()
    with own_terminal(project) as console:
        console.print(
            f"building {target} for {size}: {waiting} of {counted(len(steps), 'artifact')} out of "
            f"date (corpus {project.corpus.name!r}, recipe {project.recipe(size).name!r})",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        if estimates.long:
            _show(console, estimates)
        with StepReporter(console) as reporter:
            ran = builder.build(
                project,
                instance,
                code_location,
                target,
                size.name,
                reporter.report,
                ignore_requirements=ignore_requirements,
                toolchains=planner.toolchains(steps),
            )
        console.print(
            f"{target} is up to date for {size}: {counted(ran, 'step')} in "
            f"{format_duration(time.monotonic() - started)}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
