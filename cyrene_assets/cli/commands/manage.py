"""``cyrene toolchain``, ``cyrene gc`` and ``cyrene ui``."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cyrene_assets.cli.commands._common import load_project, load_specs, opened
from cyrene_assets.project.folders import PROJECT_ROOT
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import UserError

if TYPE_CHECKING:
    from cyrene_assets.orchestration.garbage_collector import Garbage

_NAMES = click.Choice(["train", "serve"])


@click.group()
def toolchain() -> None:
    """The environments of ms-swift and llm-compressor (train) and of vLLM (serve)."""


@toolchain.command()
@click.argument("names", nargs=-1, type=_NAMES)
def install(names: tuple[str, ...]) -> None:
    """Create or update toolchains from their lock files: all of them, or those named.

    What this system lacks for them is said before anything is downloaded, or where that cannot be
    known, as soon as it is installed: everything compiled is loaded once.
    """
    from cyrene_assets.compute import installation, kernel_requirements, toolchains
    from cyrene_assets.compute.hardware import Hardware
    from cyrene_assets.utils.errors import BuildError

    project = load_project()
    chosen = [toolchains.TOOLCHAINS[name] for name in names or toolchains.TOOLCHAINS]
    problems = installation.early_problems(chosen, project.home, Hardware.detect())
    if problems:
        raise BuildError("\n".join(problems))
    for toolchain in chosen:
        name, started = toolchain.name, time.monotonic()
        python = toolchains.install(toolchain, project.home, click.echo)
        problems = installation.load_all(toolchain, python, project.home, click.echo)
        if problems:
            raise BuildError("\n".join(problems))
        click.echo(f"{name}: {python}  {time.monotonic() - started:.1f} s")
        if toolchain is toolchains.TRAIN:
            found = toolchains.versions(python, toolchain.packages)
            setting = project.settings.attention
            for problem in kernel_requirements.problems(found, Hardware.detect(), setting):
                click.echo(f"{name}: {problem}")


@click.command()
@click.option("--dry-run", is_flag=True, help="List what would be moved, and why; move nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation, as programs need it.")
@click.option("--now", is_flag=True, help="Empty the trash at once, with what goes into it.")
def gc(dry_run: bool, yes: bool, now: bool) -> None:
    """Move unreferenced artifacts and unfinished folders to the trash.

    Kept are the newest complete artifacts of every partition and recipe, as the store itself says,
    and whatever Dagster's database names, with all that they were made from. What goes lies in
    CYRENE_HOME/trash for 7 days, then the next gc removes it for good; until then moving a folder
    back undoes it. A Dagster instance that knows none of the artifacts, or belongs to another
    home, is refused.
    """
    from cyrene_assets.orchestration.garbage_collector import collect

    asks = sys.stdin.isatty() and sys.stdout.isatty()
    if not (dry_run or yes or asks):
        raise UserError(
            "there is no terminal to confirm what `cyrene gc --dry-run` lists: add --yes"
        )
    project = load_project()
    with opened(project) as instance:
        load_specs()
        found = collect(project, instance, dry_run=True, now=now)
        if not (dry_run or yes) and found:
            _print_garbage(found, would=True, now=now)
            click.confirm("Continue?", abort=True)
        if not dry_run:
            found = collect(project, instance, dry_run=False, now=now, only={g.path for g in found})
    _print_garbage(found, would=dry_run, now=now)


def _print_garbage(found: "Sequence[Garbage]", *, would: bool, now: bool) -> None:
    from cyrene_assets.utils import formatting

    for garbage in found:
        for_good = garbage.for_good or now
        done = ("would remove" if for_good else "would move to the trash") if would else (
            "removed" if for_good else "moved to the trash"
        )  # fmt: skip
        click.echo(
            f"{done} {garbage.path}  {formatting.format_size(garbage.bytes)}  ({garbage.why})"
        )
    click.echo(
        f"{counted(len(found), 'folder')}, {formatting.format_size(sum(g.bytes for g in found))}"
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=3000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port to listen on.",
)
@click.option(
    "--without-password",
    is_flag=True,
    help="Listen beyond loopback. Dagster's UI has no passwords.",
)
def ui(host: str, port: int, without_password: bool) -> None:
    """Open the Dagster UI, with its daemon, on this project's instance.

    One at a time: a second `ui` of the same home says where the first is. The end of the UI or of
    the daemon ends both.

    Anyone who reaches the UI can start runs. Beyond loopback it listens only where you say that
    something else keeps strangers out: a container's own network, a proxy that authenticates.
    """
    from cyrene_assets.cli.dagster_ui import run_ui
    from cyrene_assets.project.instance import open_instance, prepare
    from cyrene_assets.project.instance_health import check_instance
    from cyrene_assets.serving.server import is_loopback

    if not (without_password or is_loopback(host)):
        raise UserError(
            f"{host} is reachable from other machines, and Dagster's UI has no passwords: leave "
            "--host away and come by `ssh -L` or through a proxy that authenticates, or add "
            "--without-password where something else keeps strangers out"
        )
    project = load_project()
    # Which home a bare shell's commands use is said by `cyrene init`.
    prepare(project, PROJECT_ROOT, repoint=False)
    # Its databases are there before several processes of the UI open them at once.
    check_instance(project)
    with open_instance(project) as instance:
        configuration = instance.info_str()

    def say(text: str) -> None:
        click.echo(text)
        sys.stdout.flush()

    run_ui(project, configuration, host, port, say)
