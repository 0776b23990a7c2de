"""A group of commands whose help says each command's first sentence in full."""

import click

# click would cut a sentence where the terminal's line ends.
_LONGEST = 1000


class FullHelpGroup(click.Group):
    """A group that lists its commands with their complete first sentences."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [
            (name, command.get_short_help_str(_LONGEST))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
