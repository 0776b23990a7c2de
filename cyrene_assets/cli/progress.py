"""What a person sees in the terminal: one line a step, tables, and errors in one message."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cyrene_assets.orchestration.run_events import Event
from cyrene_assets.utils.text_safety import plain

_MARKS = {
    "done": "[green]✓[/]",
    "reused": "[cyan]=[/]",
    "failed": "[red]✗[/]",
    "warning": "[yellow]![/]",
    "progress": " ",
}
_QUIET_SECONDS = 15.0


class StepReporter:
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

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def report(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "start":
            self._live.reset(self._task, description=f"[bold]{shown(event.step)}[/]")
        elif event.kind == "progress":
            self._last_detail[event.step] = event.detail
            self._live.update(
                self._task, description=f"[bold]{shown(event.step)}[/]  {shown(event.detail)}"
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
            f"{_MARKS[event.kind]} {shown(event.step):32} {duration(event.seconds):>8}  "
            f"[dim]{shown(detail)}[/]",
            highlight=False,
            soft_wrap=True,
        )
        self._last_line = time.monotonic()


def shown(text: str) -> str:
    """Return text for a console, which takes nothing in it for markup or a command."""
    return escape(plain(text))


def duration(seconds: float) -> str:
    """Return seconds as people read them: ``0.4 s``, ``1:02``, ``3:04:05``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(number: float) -> str:
    """Return a number of bytes as people read it: ``3.1 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def table(title: str | None, columns: list[str], rows: list[list[str]], right: set[str]) -> Table:
    """Return a plain table; the columns named in ``right`` are aligned to the right."""
    result = Table(
        title=None if title is None else shown(title),
        box=None,
        header_style="bold",
        pad_edge=False,
        title_justify="left",
    )
    for column in columns:
        result.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=False
        )
    for row in rows:
        result.add_row(*(shown(cell) for cell in row))
    return result
