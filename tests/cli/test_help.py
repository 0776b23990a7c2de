"""The help of every command, as a person sees it in a terminal of 80 columns."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from syrupy.assertion import SnapshotAssertion

from cyrene_assets.cli.main import main


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group, the root first."""
    yield path
    context = click.Context(group, **main.context_settings)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands(main)), ids=lambda path: " ".join(path) or "cyrene")
def test_help_of_a_command_is_the_one_agreed_on(
    path: tuple[str, ...], snapshot: SnapshotAssertion
) -> None:
    shown = [
        CliRunner(env={"COLUMNS": columns}).invoke(
            main, [*path, "--help"], prog_name="cyrene", terminal_width=80
        )
        for columns in ("40", "200")
    ]
    assert [done.exit_code for done in shown] == [0, 0]
    assert shown[0].output == shown[1].output
    assert shown[0].output == snapshot


def test_no_first_sentence_of_a_command_is_cut() -> None:
    for path in commands(main):
        shown = CliRunner().invoke(main, [*path, "--help"], terminal_width=80).output
        assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_prints_without_colours(no_color: str, coloured: bool) -> None:
    done = CliRunner(env={"NO_COLOR": no_color}).invoke(
        main, ["recipe", "schema", "--text"], color=True
    )
    assert ("\x1b[" in done.output) is coloured
