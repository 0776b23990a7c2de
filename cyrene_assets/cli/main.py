"""The ``cyrene`` command: its root, its errors, and the list of its subcommands."""

import gc
import os
from typing import Any

import click

from cyrene_assets.cli.commands import (
    build,
    chat,
    corpus_import,
    evaluate,
    export,
    inspect,
    manage,
    recipe,
    serve,
    status,
)
from cyrene_assets.utils.errors import CyreneError

_OBJECTS_BEFORE_COLLECTING = 20_000


class _Group(click.Group):
    """A group whose commands end with one message, and the error's own exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CyreneError as error:
            click.secho("error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(str(error), err=True)
            ctx.exit(error.exit_status)
        except KeyboardInterrupt:
            click.echo("interrupted; the same command resumes from what was done", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cyrene-assets")
def main() -> None:
    """Bring a game character to life as a small local language model.

    One folder, CYRENE_HOME (./.cyrene where unset), is one project: artifacts, the Dagster
    instance, toolchains and settings.
    """
    # What a command loads stays: looking through all of it for garbage after every 700 objects, as
    # Python does, takes a sixth of the time to a first answer.
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTING)
    # Pydantic would look through every installed package for plug-ins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


for _command in (
    build.init,
    build.build,
    status.status,
    inspect.artifacts,
    inspect.answers,
    evaluate.evaluate,
    inspect.corpus,
    inspect.doctor,
    recipe.recipe,
    serve.serve,
    chat.chat,
    export.export,
    manage.toolchain,
    manage.gc,
    manage.ui,
):
    main.add_command(_command)
for _command in (corpus_import.import_, corpus_import.init):
    inspect.corpus.add_command(_command)
