"""Print docs/cli.md, the reference of every `cyrene` command, from click's command tree."""

import inspect
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import click

HEAD = """\
# Commands

Written by `make docs` from the commands' own help. `cyrene COMMAND --help` prints the same in the
terminal.

| exit status | meaning |
|---:|---|
| 0 | done, or nothing to do |
| 1 | a build failed or was interrupted, or the machine lacks something |
| 2 | what was given is wrong: an option, a file of the corpus, a setting |

`NO_COLOR=1` prints without colours. A shell completes commands and options after
`eval "$(_CYRENE_COMPLETE=bash_source cyrene)"` (`zsh_source`, `fish_source`) in its start-up file.
"""
# click marks a paragraph whose lines stay as they are.
_VERBATIM = "\b"
# A command with its path, as it is typed.
Described = tuple[str, click.Command]


@cache
def command_tree() -> click.Group:
    """Return the root of the installed `cyrene` command."""
    (script,) = entry_points(group="console_scripts", name="cyrene")
    root = script.load()
    if not isinstance(root, click.Group):
        raise TypeError(f"the console script {script.value} is no click group")
    return root


def described(command: click.Command, path: str) -> click.Context:
    """Return a context with the root's settings: a command keeps its first help option."""
    return click.Context(command, info_name=path, **command_tree().context_settings)


def commands(group: click.Group, path: str = "cyrene") -> Iterator[Described]:
    """Yield every command below ``group`` with its path, a group ahead of its own commands."""
    context = described(group, path)
    # The formats of `cyrene corpus import` are loaded one by one.
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def reference() -> str:
    """Return the page."""
    found = list(commands(command_tree()))
    contents = [f"- [`{path}`](#{path.replace(' ', '-')}): {_short(c)}" for path, c in found]
    return "\n".join([HEAD, *contents, "", *(_section(path, c) for path, c in found)])


def _short(command: click.Command) -> str:
    return _plain(command.get_short_help_str(limit=200))


def _section(path: str, command: click.Command) -> str:
    context = described(command, path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}", f"```\n{usage}\n```", *_paragraphs(command.help or "")]
    options = [option for option in command.params if isinstance(option, click.Option)]
    rows = [_row(option, context) for option in options if not option.hidden]
    if rows:
        parts.append("\n".join(["| option | meaning |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _paragraphs(help_text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(help_text).split("\n\n"):
        first, _, rest = paragraph.partition("\n")
        if first.strip() == _VERBATIM:
            yield f"```\n{inspect.cleandoc(rest)}\n```"
        else:
            yield _plain(paragraph)


def _row(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    names, meaning = record if record is not None else ("", "")
    return f"| `{names.replace('|', chr(92) + '|')}` | {_plain(meaning)} |"


def _plain(text: Any) -> str:
    """Return text for Markdown: what a table or a tag would be taken for is escaped."""
    return str(text).replace("|", "\\|").replace("<", "&lt;").replace("  [", " [")


if __name__ == "__main__":
    sys.stdout.write(reference())
