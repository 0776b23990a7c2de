"""Tables under reading: a line of dialog from each cell of text, and what a table must not have."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from cyrene_assets.corpus.importers.columns import (
    Cells,
    Columns,
    columns_of,
    has_text,
    is_headings,
    listed,
    option,
    options,
)
from cyrene_assets.corpus.importers.files import one_problem
from cyrene_assets.corpus.importers.imported import (
    Imported,
    ImportHints,
    Line,
    Progress,
    Tally,
    plain_name,
    with_original_first,
)
from cyrene_assets.corpus.importers.languages import codes_of, detect, split_file_name
from cyrene_assets.corpus.importers.sheets import Sheet, cell_name
from cyrene_assets.corpus.importers.speakers import FROM_TEXT, split_prefix
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import UserError

# The headings are looked for in so many rows.
_HEADING_ROWS = 5
_ROWS_A_STEP = 5_000
_OFFERED = 4
_INK_ID = re.compile(r"^(.+)_[A-Z0-9]{4}$")


class Reading:
    """Tables under reading: the lines of each language so far.

    ``given`` are headings by what they are, ``header_row`` is counted from 1, ``speaker_from`` is
    ``column`` or ``text``; None where a person has not said.
    """

    def __init__(
        self,
        given: Mapping[str, str],
        header_row: int | None,
        speaker_from: str | None,
        hints: ImportHints,
        progress: Progress,
    ) -> None:
        self.tally = Tally()
        self._progress = progress
        self._given = given
        self._header_row = header_row
        self._speaker_from = speaker_from
        self._hints = hints
        # By what the files call a language; "" where they do not say.
        self._lines: dict[str, list[Line]] = defaultdict(list)
        self._ids = True
        self._unused: list[str] = []
        self._first = ""
        # Where each id stands, by language.
        self._places: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)

    def add(self, sheet: Sheet) -> None:
        """Read one table."""
        at = self._heading_row(sheet)
        headings = [cell.strip() for cell in sheet.rows[at]]
        columns = columns_of(headings, self._given, self._hints)
        if not has_text(columns):
            raise one_problem(
                sheet.shown,
                sheet.numbers[at],
                f"no column is known to have the text; the headings are {listed(headings)}",
                f"say which ones: {options(columns, headings, sheet.rows[at + 1 :])}",
            )
        self._validate_unmerged(sheet, at, columns)
        if at + 1 < len(sheet.rows) and is_headings(sheet.rows[at + 1], self._hints):
            raise one_problem(
                sheet.shown,
                sheet.numbers[at + 1],
                f"a second row of headings ({', '.join(filter(None, sheet.rows[at + 1]))})",
                f"delete one of the two, or say which one counts: --header-row {at + 2}",
            )
        self._first = self._first or sheet.shown
        self._unused += [one for one in columns.unused if one not in self._unused]
        note = columns.in_words(headings)
        if note not in self.tally.notes:
            self.tally.notes.append(note)
        self.tally.read["tables"] += 1
        self._rows(sheet, at, columns)

    def _heading_row(self, sheet: Sheet) -> int:
        """Return the place of the row of headings.

        Raises:
            SourceError: there are no rows, or the headings stand below another row.
        """
        if self._header_row is not None:
            if self._header_row > len(sheet.rows):
                raise one_problem(
                    sheet.shown,
                    0,
                    f"has {counted(len(sheet.rows), 'row')}, and --header-row {self._header_row} "
                    "is none of them",
                    "give the number of the row with the headings",
                )
            return self._header_row - 1
        filled = [n for n, row in enumerate(sheet.rows) if any(cell.strip() for cell in row)]
        if not filled:
            raise one_problem(sheet.shown, 0, "has no rows", "give a table with headings and lines")
        first = filled[0]
        given = self._given if self._fits(sheet, first) else {}
        if has_text(columns_of(sheet.rows[first], given, self._hints)):
            return first
        for at in filled[1:_HEADING_ROWS]:
            if is_headings(sheet.rows[at], self._hints):
                raise one_problem(
                    sheet.shown,
                    sheet.numbers[at],
                    "the headings are in this row, and another row stands above it",
                    f"delete what stands above, or give --header-row {at + 1}",
                )
        return first

    def _fits(self, sheet: Sheet, at: int) -> bool:
        row = [cell.strip() for cell in sheet.rows[at]]
        return all(heading.strip() in row for heading in self._given.values())

    @staticmethod
    def _validate_unmerged(sheet: Sheet, at: int, columns: Columns) -> None:
        for (top, left), (bottom, right) in sheet.merged:
            if bottom >= at and columns.used & set(range(left, right + 1)):
                cells = f"{cell_name(top, left)}:{cell_name(bottom, right)}"
                others = len(sheet.merged) - 1
                more = f" (and {counted(others, 'more merged range')})" if others else ""
                raise one_problem(
                    sheet.shown,
                    top + 1,
                    f"merged cells {cells}{more}: only the first of them has the text",
                    "unmerge them and fill in every cell",
                )

    def _rows(self, sheet: Sheet, at: int, columns: Columns) -> None:
        own = {"": columns.roles["text"]} if "text" in columns.roles else {}
        texts = {**own, **columns.texts}
        stem, named = split_file_name(sheet.file, self._hints)
        scene, pieces = stem or sheet.file.stem, 1
        previous_blank = False
        for row, number in zip(sheet.rows[at + 1 :], sheet.numbers[at + 1 :], strict=True):
            if not any(cell.strip() for cell in row):
                previous_blank = True
                continue
            if previous_blank:
                pieces += 1
                previous_blank = False
            self.tally.read["rows"] += 1
            if number % _ROWS_A_STEP == 0:
                self._progress(sheet.shown, number, len(sheet.rows))
            beyond = [cell for cell in row[len(sheet.rows[at]) :] if cell.strip()]
            if beyond:
                what = "a cell to the right of the last heading"
                self.tally.skip(what, sheet.shown, number, " ".join(beyond), len(beyond))
            cells = Cells(row, columns)
            self._row(sheet, number, cells, texts, named, scene, pieces)

    def _row(
        self,
        sheet: Sheet,
        number: int,
        cells: Cells,
        texts: Mapping[str, int],
        named: str | None,
        stem: str,
        piece: int,
    ) -> None:
        line = cells.role("line")
        if line is None:
            self._ids = False
            line = f"{stem}-{number:05}"
        if not line or not line.isprintable():
            self.tally.skip("no id", sheet.shown, number, " ".join(cells.row))
            return
        scene = cells.role("scene")
        if scene == "":
            raise one_problem(
                sheet.shown,
                number,
                f"the cell of the scene is empty (line {line!r})",
                "fill it in: cells that were merged leave blanks when they are saved as CSV",
            )
        if scene is None:
            found = _INK_ID.match(line)
            scene = found[1] if found else f"{stem}-{piece:03}"
        for called, column in texts.items():
            text = cells.at(column)
            if not self.tally.usable(text, sheet.shown, number):
                continue
            language = called or cells.role("language") or named or ""
            self._validate_unique_ids(sheet, number, language, line)
            speaker = cells.speaker(called)
            if self._from_text(cells):
                if FROM_TEXT not in self.tally.notes:
                    self.tally.notes.append(FROM_TEXT)
                speaker, text = split_prefix(text)
            self._lines[language].append(Line(scene, line, plain_name(speaker), text))

    def _validate_unique_ids(self, sheet: Sheet, number: int, language: str, line: str) -> None:
        first = self._places[language].setdefault(line, (sheet.shown, number))
        if first != (sheet.shown, number):
            file, at = first
            where = f"line {at}" if file == sheet.shown else f"{file}:{at}"
            raise one_problem(
                sheet.shown,
                number,
                f"the id {line!r} stands on {where} already",
                "give each line an id of its own",
            )

    def _from_text(self, cells: Cells) -> bool:
        if self._speaker_from is not None:
            return self._speaker_from == "text"
        return "speaker" not in cells.columns.roles and not cells.columns.speakers

    def imported(self) -> Imported:
        """Return what was read.

        Raises:
            UserError: several languages, and no ids to tell which lines are the same; or nobody is
                said to speak.
        """
        self._validate_speakers()
        codes = codes_of((called for called in self._lines if called), self._hints)
        languages: dict[str, Sequence[Line]] = {}
        for called, lines in self._lines.items():
            code = codes.get(called) or detect((line.text for line in lines), self._hints)
            if not called and self._hints.language is None:
                self.tally.notes.append(f"language found: {code} (--language says otherwise)")
            if not called and code in codes.values():
                what = f"text in {code}, which has a column of its own (--language CODE)"
                self.tally.skip(what, "", 0, lines[0].text, len(lines))
                continue
            languages[code] = [*languages.get(code, ()), *lines]
        if not self._ids and len(languages) > 1 and self.tally.read["tables"] > 1:
            raise UserError(
                "the tables have no column of ids, so nobody knows which lines are translations of "
                "each other: say which one it is, --column line=HEADING"
            )
        if not self._ids:
            self.tally.notes.append("no column of ids: lines are called by table and row")
        return Imported(with_original_first(languages, self._hints), self.tally)

    def _validate_speakers(self) -> None:
        lines = [line for of_language in self._lines.values() for line in of_language]
        if lines and self._unused and all(line.speaker is None for line in lines):
            raise UserError(
                f"{self._first}: no column is known to say who speaks, and no text begins with a "
                f"name and a colon; the columns that are not used are {listed(self._unused)}: say "
                "which one it is, "
                f"{' or '.join(option('speaker', one) for one in self._unused[:_OFFERED])}"
            )
