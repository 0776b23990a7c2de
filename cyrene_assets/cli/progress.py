"""What a person sees in the terminal: one line a step, tables, and errors in one message."""

import time
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cyrene_assets.orchestration.run_events import Event
from cyrene_assets.utils.formatting import escape_markup, format_duration

_MARKS = {
    "done": "[green]✓[/]",
    "reused": "[cyan]=[/]",
    "failed": "[red]✗[/]",
    "warning": "[yellow]![/]",
    "progress": " ",
}
_QUIET_SECONDS = 15.0


class LiveDisplay:
    """A line of the terminal that changes for as long as the ``with`` statement lasts."""

    _live: Progress

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


class StepReporter(LiveDisplay):
    """Prints a line for each step that ends; a terminal also shows the one at work, live."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._live.add_task("planning", total=None)
        self._last_detail: dict[str, str] = {}
        self._last_line = time.monotonic()

    def report(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "start":
            self._live.reset(self._task, description=f"[bold]{escape_markup(event.step)}[/]")
        elif event.kind == "progress":
            self._last_detail[event.step] = event.detail
            self._live.update(
                self._task,
                description=f"[bold]{escape_markup(event.step)}[/]  {escape_markup(event.detail)}",
            )
            # Without a live line, a long step says now and then that it is alive.
            quiet = time.monotonic() - self._last_line
            if not self._console.is_terminal and quiet > _QUIET_SECONDS:
                self._line(event)
        else:
            self._line(event)

    def _line(self, event: Event) -> None:
        detail = event.detail or self._last_detail.get(event.step, "")
        if event.kind == "reused":
            detail = f"unchanged: {detail}"
        self._console.print(
            f"{_MARKS[event.kind]} {escape_markup(event.step):32} "
            f"{format_duration(event.seconds):>8}  "
            f"[dim]{escape_markup(detail)}[/]",
            highlight=False,
            soft_wrap=True,
        )
        self._last_line = time.monotonic()
