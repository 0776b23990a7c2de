"""``cyrene toolchain``, ``cyrene gc`` and ``cyrene ui``."""

import os
import signal
import subprocess
import sys
import time

import click

from cyrene_assets.commands._common import opened
from cyrene_assets.errors import UserError
from cyrene_assets.project import PROJECT_ROOT, Project

_NAMES = click.Choice(["train", "serve"])


@click.group()
def toolchain() -> None:
    """The environments of ms-swift and llm-compressor (train) and of vLLM (serve)."""


@toolchain.command()
@click.argument("names", nargs=-1, type=_NAMES)
def install(names: tuple[str, ...]) -> None:
    """Make or renew toolchains from their lock files: all of them, or those named.

    What this system lacks for them is said before anything is downloaded, or where that cannot be
    known, as soon as it is installed: everything compiled is loaded once.
    """
    from cyrene_assets import kernels, toolchains
    from cyrene_assets.compute import installation
    from cyrene_assets.errors import BuildError
    from cyrene_assets.hardware import Hardware

    project = Project.load()
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
            for problem in kernels.problems(found, Hardware.detect(), setting):
                click.echo(f"{name}: {problem}")


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
def gc(dry_run: bool) -> None:
    """Remove artifacts that no current materialization refers to, and what was left half-made."""
    from cyrene_assets import console
    from cyrene_assets.collector import collect

    project = Project.load()
    with opened(project) as instance:
        gone = collect(project, instance, dry_run=dry_run)
    for path, size in gone:
        click.echo(f"{'would remove' if dry_run else 'removed'} {path}  {console.size(size)}")
    total = console.size(sum(size for _, size in gone))
    click.echo(f"{len(gone)} folders, {total}")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
@click.option(
    "--without-password",
    is_flag=True,
    help="Listen beyond loopback although Dagster's UI has no passwords.",
)
def ui(host: str, port: int, without_password: bool) -> None:
    """Open the Dagster UI, with its daemon, on this project's instance.

    Whoever reaches the UI can start runs. Beyond loopback it listens only where you say that
    something else keeps strangers out: a container's own network, a proxy that authenticates.
    """
    from cyrene_assets.instance import open_instance, prepare
    from cyrene_assets.reload import UI_VARIABLE, address
    from cyrene_assets.server import is_loopback

    if not (without_password or is_loopback(host)):
        raise UserError(
            f"{host} is reachable from other machines, and Dagster's UI has no passwords: leave "
            "--host away and come by `ssh -L` or through a proxy that authenticates, or add "
            "--without-password where something else keeps strangers out"
        )
    project = Project.load()
    prepare(project, PROJECT_ROOT)
    # Its databases are there before several processes of the UI open them at once.
    with open_instance(project):
        pass
    environment = {
        **os.environ,
        "CYRENE_HOME": str(project.home),
        "DAGSTER_HOME": str(project.dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        UI_VARIABLE: address(host, port),
    }
    arguments = ["-m", "dagster", "dev", "-w", str(PROJECT_ROOT / "workspace.yaml")]
    arguments += ["-h", host, "-p", str(port)]
    click.echo(f"http://{host}:{port}  (stop with Ctrl-C)")
    sys.stdout.flush()
    sys.exit(_until_stopped([sys.executable, *arguments], environment))


def _until_stopped(command: list[str], environment: dict[str, str]) -> int:
    """Run a program that ends its own processes when it is interrupted, as Dagster's UI does.

    Terminated, it would leave its daemon at work: it is interrupted instead. An interruption from
    the keyboard reaches it without us.
    """
    # What is caught here is as ever in the program; ignored, as a shell's background jobs do, it
    # would be ignored there, too.
    signal.signal(signal.SIGINT, lambda *_: None)
    process = subprocess.Popen(command, env=environment, cwd=PROJECT_ROOT)
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    return process.wait()
