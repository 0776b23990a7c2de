"""What ``cyrene corpus import`` shows while it works, and what it says in the end."""

import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cyrene_assets.cli.progress import LiveDisplay
from cyrene_assets.utils import formatting
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.text_safety import escape_control_chars

if TYPE_CHECKING:
    from cyrene_assets.corpus.importers.run import Report
    from cyrene_assets.corpus.importers.speakers import Speaker

_SPEAKERS_SHOWN = 15
_QUIET_SECONDS = 10.0


class Reporter(LiveDisplay):
    """Progress on standard error: a live line on a terminal, else a line every ten seconds."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._live.add_task("reading", total=None)
        self._said = time.monotonic()

    def report(self, what: str, done: int, total: int) -> None:
        """Show what is at work, and how far it is."""
        self._live.update(
            self._task, description=formatting.escape_markup(what), completed=done, total=total
        )
        if not self._console.is_terminal and time.monotonic() - self._said > _QUIET_SECONDS:
            click.echo(f"{what} ({done:,} of {total:,})", err=True)
            self._said = time.monotonic()

    def paused(
        self, choose: "Callable[[Sequence[Speaker]], str | None]"
    ) -> "Callable[[Sequence[Speaker]], str | None]":
        """Return ``choose`` with the live line out of the way while a person chooses."""

        def asking(found: "Sequence[Speaker]") -> str | None:
            self._live.stop()
            try:
                return choose(found)
            finally:
                self._live.start()

        return asking


def print_speakers(speakers: "Sequence[Speaker]") -> None:
    """Print the speakers by number of lines."""
    rows = [
        [str(number), one.name, f"{one.lines:,}", f"{one.share:.1%}", _short(one.example)]
        for number, one in enumerate(speakers[:_SPEAKERS_SHOWN], start=1)
    ]
    table = formatting.table(
        None, ["", "speaker", "lines", "share", "for example"], rows, right={"", "lines", "share"}
    )
    Console().print(table)
    if len(speakers) > _SPEAKERS_SHOWN:
        more = speakers[_SPEAKERS_SHOWN:]
        lines = sum(one.lines for one in more)
        what = counted(len(more), "more speaker")
        click.echo(f"... and {what} with {counted(lines, 'line')}")


def print_import(report: "Report") -> None:
    """Print what was read, skipped and written, and what to do next."""
    tally = report.imported.tally
    read = ", ".join(counted(number, _singular(what), what) for what, number in tally.read.items())
    click.echo(f"read: {read}")
    for reason, skipped in tally.skipped.items():
        first = skipped.examples[0]
        place = f"{first['file']}:{first['line']}" if first["line"] else first["file"]
        click.secho(f"skipped: {skipped.count:,} x ", fg="yellow", nl=False)
        click.echo(escape_control_chars(f"{reason}; first {place}: {_short(first['value'])}"))
    for note in tally.notes:
        click.echo(escape_control_chars(f"note: {note}"))
    rows = [
        [code, f"{len(lines):,}", f"{len({line.scene for line in lines}):,}"]
        for code, lines in report.imported.languages.items()
    ]
    Console().print(
        formatting.table(
            report.name, ["language", "lines", "scenes"], rows, right={"lines", "scenes"}
        )
    )
    print_speakers(report.speakers)
    if report.folder is None:
        return
    click.echo(
        escape_control_chars(
            f"character: {', '.join(report.character)}; player: {', '.join(report.player)}"
        )
    )
    click.echo(f"{report.folder}: written, and read back line by line")
    click.echo(f"next: look at {report.folder / 'corpus.yaml'} (the system prompts are yours to")
    click.echo(f"write), then cyrene corpus check {report.folder}")


def _singular(what: str) -> str:
    """Return what one is called of what the tally counts: `lines of the script`."""
    return re.sub(r"ies\b|s\b", lambda ending: "y" if ending[0] == "ies" else "", what, count=1)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
