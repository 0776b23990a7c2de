"""``cyrene corpus import`` and ``cyrene corpus init``: from what one has, or from nothing."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cyrene_assets.cli.commands._common import json_option
from cyrene_assets.cli.commands._format_options import format_option
from cyrene_assets.project.folders import corpora_folder
from cyrene_assets.utils.errors import UserError

if TYPE_CHECKING:
    from cyrene_assets.corpus.importers.registry import Importer
    from cyrene_assets.corpus.importers.speakers import Speaker


# Folders of which each project has one.
_COMMON = frozenset({"game", "tl", "po", "locale", "strings", "dialog", "chats", "subtitles"})


class _Formats(click.Group):
    """A group with a command per format; a format is loaded when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        from cyrene_assets.corpus.importers.registry import formats

        return formats()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        from cyrene_assets.corpus.importers.registry import formats, importer

        return _command(cmd_name, importer(cmd_name)) if cmd_name in formats() else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            from cyrene_assets.corpus.importers.registry import importer

            importer(args[0])
        return super().resolve_command(ctx, args)


@click.group("import", cls=_Formats)
def import_() -> None:
    """Write a corpus from what you have: cyrene corpus import FORMAT PATH.

    The new folder has the plain layout (dialog/LANGUAGE.jsonl) and a corpus.yaml that is filled in.
    What cannot be found out is who the character is: --character NAME. Nothing is left out in
    silence: every reason is counted and shown, and nothing is written unless all of it is.

    \b
    cyrene corpus import table dialog.xlsx --character Ada
    cyrene corpus import renpy game/ --character Eileen
    cyrene corpus import table --help
    """


def _command(form: str, chosen: "Importer") -> click.Command:
    @click.pass_context
    def run(ctx: click.Context, /, **given: Any) -> None:
        _import(ctx, form, chosen, given)

    fields = chosen.Options.model_fields
    parameters: list[click.Parameter] = [
        click.Argument(["path"], type=click.Path(path_type=Path)),
        *(format_option(name, field) for name, field in fields.items()),
        click.Option(
            ["--character"],
            multiple=True,
            metavar="NAME",
            help="Who the character is, as the original calls her; again for further names.",
        ),
        click.Option(
            ["--player"], multiple=True, metavar="NAME", help="Who the player is; again for more."
        ),
        click.Option(
            ["--out"], type=click.Path(path_type=Path), help="The new folder (corpora/NAME)."
        ),
        click.Option(["--name"], help="The corpus's name (PATH's)."),
        click.Option(
            ["--language"],
            multiple=True,
            metavar="CODE",
            help="The language of files that do not say theirs, or CALLED=CODE; again for more.",
        ),
        click.Option(["--original"], metavar="CODE", help="The language that others translate."),
    ]
    examples = "\n".join(("\b", *chosen.EXAMPLES))
    command = click.Command(
        form,
        params=parameters,
        callback=run,
        help=f"Import {chosen.SUMMARY}.\n\n{examples}",
        short_help=chosen.SUMMARY,
    )
    return json_option(command)


def _import(ctx: click.Context, form: str, chosen: "Importer", given: dict[str, Any]) -> None:
    from pydantic import ValidationError

    from cyrene_assets.cli.commands._import_report import Reporter, print_import
    from cyrene_assets.corpus.importers.run import NoCharacterError, run_import

    path: Path = given["path"]
    name = given["name"] or _name_of(path)
    as_json: bool = given["as_json"]
    try:
        options = chosen.Options(
            **{
                key: value
                for key in chosen.Options.model_fields
                if (value := given[key]) is not None
            }
        )
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        option = "--" + str(wrong["loc"][0]).replace("_", "-")
        raise UserError(f"{option} {wrong['input']}: {wrong['msg']}") from error
    if not path.exists():
        quoted = len(str(path)) > 1 and str(path)[0] == str(path)[-1] and str(path)[0] in "\"'"
        remedy = "write it without the quotes" if quoted else "give one that is there"
        raise UserError(f"{path}: no such file or folder; {remedy}")
    try:
        with Reporter() as reporter:
            report = run_import(
                form,
                path,
                options,
                _hints(given),
                out=given["out"] or corpora_folder() / _slug(name),
                name=name,
                character=given["character"],
                players=given["player"],
                choose=reporter.paused(_chooser(as_json)),
                progress=reporter.report,
            )
    except NoCharacterError as error:
        if as_json:
            click.echo(json.dumps(error.report.as_dict(), indent=2, ensure_ascii=False))
        else:
            print_import(error.report)
        raise
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_import(report)
    ctx.exit(0)


def _name_of(path: Path) -> str:
    """Return a corpus's name after its file or folder, or the folder around one called `game`."""
    place = path.resolve()
    while place.name.casefold() in _COMMON and place.parent != place:
        place = place.parent
    return re.sub(r"[<>{}\s]+", " ", place.stem).strip() or "corpus"


def _hints(given: dict[str, Any]) -> Any:
    from cyrene_assets.corpus.config import CODE
    from cyrene_assets.corpus.importers.imported import ImportHints

    codes: dict[str, str] = {}
    language = None
    for one in given["language"]:
        called, separator, code = one.rpartition("=")
        if not CODE.fullmatch(code):
            raise UserError(f"--language {one}: a code has letters, digits, _ and -")
        if separator:
            codes[called] = code
        elif language is not None:
            raise UserError(f"--language {language} and {one}: give one, or CALLED=CODE")
        else:
            language = code
    return ImportHints(language, codes, given["original"])


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name.casefold()).strip("-") or "corpus"


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _chooser(as_json: bool) -> Callable[[Sequence["Speaker"]], str | None]:
    """Return what prompts a person at a terminal, and nobody where programs read."""

    def choose(found: Sequence["Speaker"]) -> str | None:
        from cyrene_assets.cli.commands._import_report import print_speakers

        if as_json or not _at_terminal():
            return None
        print_speakers(found)
        chosen: str = click.prompt("which of these is the character? (name or number)", err=True)
        if chosen.isdecimal() and 0 < int(chosen) <= len(found):
            return found[int(chosen) - 1].name
        return chosen.strip()

    return choose


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="The corpus's name (FOLDER's).")
@click.option("--character", default="Ada", show_default=True, help="The character's name.")
@click.option("--player", default="Wayfarer", show_default=True, help="The player's name.")
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="CODE",
    help="A language, the original first (en); again for more.",
)
@json_option
def init(
    folder: Path,
    name: str | None,
    character: str,
    player: str,
    languages: tuple[str, ...],
    as_json: bool,
) -> None:
    """Start a corpus from nothing: a folder with corpus.yaml and lines of an example.

    Put your own lines in their place; `cyrene corpus check FOLDER` says what is missing.

    \b
    cyrene corpus init corpora/mine --character Ovelle
    cyrene corpus init corpora/mine --language en --language de
    """
    from cyrene_assets.corpus.importers.example import write_example

    codes = languages or ("en",)
    write_example(folder, name or folder.resolve().name, codes, character, player)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "languages": list(codes)}, indent=2))
        return
    click.echo(f"{folder}: corpus.yaml and an example in {', '.join(codes)}; write your own lines")
    click.echo(f"next: cyrene corpus check {folder}")
