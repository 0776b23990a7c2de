"""Rows of a CSV, TSV or spreadsheet file, all cells as text."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyrene_assets.corpus.importers.files import one_problem, read_text

SUFFIXES = (".csv", ".tsv", ".tab", ".xlsx", ".xls", ".xlsb", ".ods")
_TEXT_SUFFIXES = (".csv", ".tsv", ".tab")
_LONGEST_CELL = 10_000_000


@dataclass(frozen=True)
class Sheet:
    """One table: its rows, the number of each in the file, and the merged cells of a spreadsheet.

    ``merged`` are first and last cell, as row and column from 0.
    """

    file: Path
    name: str | None
    rows: list[list[str]]
    numbers: list[int]
    merged: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()

    @property
    def shown(self) -> str:
        """The table's name for a message."""
        return f"{self.file}" if self.name is None else f"{self.file} (sheet {self.name!r})"


def read_sheets(path: Path, names: Sequence[str]) -> tuple[list[Sheet], list[str]]:
    """Return the tables of a file that are named, or its first, and the sheets left out.

    Raises:
        SourceError: it cannot be read, or has no such sheet.
    """
    if path.suffix.lower() in _TEXT_SUFFIXES:
        return [_text_table(path)], []
    return _spreadsheet(path, names)


def _text_table(path: Path) -> Sheet:
    text = read_text(path)
    first = text.lstrip("\n").split("\n", 1)[0]
    separator = max("\t,;|", key=first.count) if path.suffix.lower() == ".csv" else "\t"
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, numbers = [], []
    try:
        begin = 1
        for row in reader:
            rows.append(row)
            numbers.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise one_problem(
            path,
            reader.line_num,
            f"not valid {path.suffix[1:].upper()} ({error})",
            "quote each cell that has a quote, separator or line break in it",
        ) from error
    return Sheet(path, None, rows, numbers)


def _spreadsheet(path: Path, names: Sequence[str]) -> tuple[list[Sheet], list[str]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(path)
        there = list(book.sheet_names)
        for name in names:
            if name not in there:
                raise one_problem(
                    path, 0, f"no sheet {name!r}", f"give one of {', '.join(map(repr, there))}"
                )
        taken = list(names) or there[:1]
        sheets = []
        for name in taken:
            sheet = book.get_sheet_by_name(name)
            rows = [[_text(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)]
            merged = tuple(sheet.merged_cell_ranges or ())
            sheets.append(Sheet(path, name, rows, list(range(1, len(rows) + 1)), merged))
    except (CalamineError, OSError) as error:
        raise one_problem(
            path, 0, f"cannot be read as a spreadsheet: {error}", "save it as .xlsx, or as CSV"
        ) from error
    return sheets, [name for name in there if name not in taken]


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).replace("\r\n", "\n").replace("_x000D_", "")


def cell_name(row: int, column: int) -> str:
    """Return a cell's name in a spreadsheet, from numbers from 0: ``B3``."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{row + 1}"
