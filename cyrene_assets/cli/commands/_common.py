"""Options and contexts that several subcommands share.

A module of commands is loaded for every command there is, for help and for a shell's completion:
what takes long to load is imported where a command works.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cyrene_assets.config.model_sizes import SIZES, ModelSize, model_size
from cyrene_assets.project.folders import PROJECT_ROOT
from cyrene_assets.utils.counting import counted

if TYPE_CHECKING:
    import dagster as dg
    from rich.console import Console
    from rich.table import Table

    from cyrene_assets.project.project import Project

Command = TypeVar("Command", bound=Callable[..., Any])
# Columns of a table that goes into a file or a pipe.
UNFOLDED = 1000


def _size(_ctx: click.Context, _param: click.Parameter, name: str | None) -> ModelSize | None:
    return None if name is None else model_size(name)


def size_option(default: str | None = "tiny") -> Callable[[Command], Command]:
    """Return the ``--size`` option, whose value is a `ModelSize`.

    An unknown size ends the command with a `UserError`.
    """
    return click.option(
        "--size",
        default=default,
        show_default=default is not None,
        callback=_size,
        metavar="SIZE",
        help=f"Model size: {', '.join(SIZES)}.",
    )


requirements_option = click.option(
    "--ignore-requirements",
    is_flag=True,
    help="Start even if this machine does not meet the requirements of later stages.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def load_project() -> "Project":
    """Read the project of the environment's CYRENE_HOME; errors as ``Project.load``."""
    from cyrene_assets.project.project import Project

    return Project.load()


@contextmanager
def opened(project: "Project") -> Iterator["dg.DagsterInstance"]:
    """Prepare and open the project's Dagster instance."""
    from cyrene_assets.project.instance import open_instance, prepare

    # A command in one CYRENE_HOME does not point a bare shell away from another one.
    prepare(project, PROJECT_ROOT, repoint=False)
    with open_instance(project) as instance:
        yield instance


@contextmanager
def opened_to_look(project: "Project") -> Iterator["dg.DagsterInstance"]:
    """Prepare the project's Dagster instance for a command that looks, and seldom writes."""
    from cyrene_assets.project.instance import prepare
    from cyrene_assets.project.quick_instance import open_to_look

    prepare(project, PROJECT_ROOT, repoint=False)
    with open_to_look(project) as instance:
        yield instance


def load_specs() -> None:
    """Load what is known of the assets, quietly: enough for a command that runs none of them."""
    logging.getLogger("dagster").setLevel(logging.ERROR)
    from cyrene_assets import definitions

    definitions.load_specs()


def definitions() -> "dg.Definitions":
    """Load the code location, quietly."""
    logging.getLogger("dagster").setLevel(logging.ERROR)
    from cyrene_assets.definitions import defs

    return defs()


def adopt(project: "Project", instance: "dg.DagsterInstance", *, say_nothing: bool = False) -> None:
    """Record what the store has and Dagster's database does not know; say so on standard error.

    The assets' specs are loaded. With ``say_nothing`` nothing is said where nothing was to do.
    """
    from cyrene_assets.orchestration import adoption

    done = adoption.adopt(project, instance)
    if done.recorded or not say_nothing:
        click.echo(
            f"recorded {counted(len(done.recorded), 'artifact')} of {project.store.root} that "
            f"{project.dagster_home} did not know",
            err=True,
        )
    for line in done.left:
        click.echo(line, err=True)


def print_table(table: "Table") -> None:
    """Print a table; one that is piped somewhere is never folded."""
    from rich.console import Console

    terminal = Console()
    terminal.print(table) if terminal.is_terminal else Console(width=UNFOLDED).print(table)


@contextmanager
def own_terminal(project: "Project") -> Iterator["Console"]:
    """Keep the terminal for a console; what tools and Dagster print goes to ``logs/build.log``."""
    from rich.console import Console

    from cyrene_assets.utils.disk_errors import disk_errors

    with disk_errors(project.logs):
        project.logs.mkdir(parents=True, exist_ok=True)
        log = (project.logs / "build.log").open("ab")
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, errors = os.dup(1), os.dup(2)
    try:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        with os.fdopen(os.dup(terminal), "w", encoding="utf-8") as output:
            yield Console(file=output)
    finally:
        # What a full disk did not take must not keep the terminal from being given back.
        with suppress(OSError):
            sys.stdout.flush()
        with suppress(OSError):
            sys.stderr.flush()
        os.dup2(terminal, 1)
        os.dup2(errors, 2)
        os.close(terminal)
        os.close(errors)
        log.close()
