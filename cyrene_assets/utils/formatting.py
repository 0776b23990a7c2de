"""Text, durations, sizes and tables for a terminal, and tables in Markdown.

``rich.filesize`` would write ``999 bytes`` for ``999 B``, and has no durations.
"""

import shlex
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cyrene_assets.utils.text_safety import escape_control_chars

if TYPE_CHECKING:
    from rich.table import Table


def escape_markup(text: str) -> str:
    """Return text for a console, which takes nothing in it for markup or a command."""
    from rich.markup import escape

    return escape(escape_control_chars(text))


def format_duration(seconds: float) -> str:
    """Return seconds as people read them: ``0.4 s``, ``1:02``, ``3:04:05``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shell_path(path: Path) -> str:
    """Return a path for a command line, relative to the working folder where it lies in it."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def format_size(number: float) -> str:
    """Return a number of bytes as people read it: ``3.1 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def table(title: str | None, columns: list[str], rows: list[list[str]], right: set[str]) -> "Table":
    """Return a plain table; the columns named in ``right`` are aligned to the right."""
    from rich.table import Table

    result = Table(
        title=None if title is None else escape_markup(title),
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
        result.add_row(*(escape_markup(cell) for cell in row))
    return result


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()
) -> str:
    """Return a Markdown table of cells that are Markdown already, without a line break at the end.

    The columns named in ``right`` are aligned to the right.
    """
    rule = ["---:" if name in right else "---" for name in header]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))
