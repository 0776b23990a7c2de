"""``cyrene status``."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cyrene_assets.cli.commands._common import (
    adopt,
    json_option,
    load_project,
    load_specs,
    opened_to_look,
    print_table,
)
from cyrene_assets.utils.errors import UserError

if TYPE_CHECKING:
    from cyrene_assets.diagnostics.staleness_report import Status


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show what is out of date and why, when it is rebuilt automatically, and the cost.

    Only what was built before can be out of date; `cyrene build --plan` says what there is to build
    at all. What the store has and Dagster's database lost is recorded there again. With --json,
    `out_of_date` holds every artifact with its reason and all that changed.
    """
    project = load_project()
    with opened_to_look(project) as instance:
        load_specs()
        from cyrene_assets.diagnostics import staleness_report as statuses
        from cyrene_assets.orchestration import builder, run_retention
        from cyrene_assets.orchestration.project_state import ProjectState
        from cyrene_assets.project.quick_instance import may_have_orphans

        if may_have_orphans(instance):
            run_retention.end_orphans(instance)
        adopt(project, instance, say_nothing=True)
        found = statuses.examine(ProjectState(project, instance), datetime.now(UTC))
        watched = builder.daemon_is_alive(instance, "SENSOR")
    if as_json:
        click.echo(json.dumps({**found.as_dict(), "watched": watched}, indent=2))
    else:
        _print(found, watched=watched)
    if found.problem is not None:
        raise UserError(found.problem)


def _print(found: "Status", *, watched: bool) -> None:
    if found.problem is not None:
        return
    click.echo(found.summary())
    if not found.items and not found.up_to_date:
        click.echo("`cyrene build` builds it")
    if found.items:
        print_table(found.table())
        click.echo(found.cost())
        click.echo(f"all of it now: {'; '.join(found.commands())}")
    for line in found.left_out:
        click.echo(line)
    if not watched:
        click.echo("nothing rebuilds by itself now: no daemon is running (`make ui` starts it)")
