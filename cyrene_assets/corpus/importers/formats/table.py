"""Tables: CSV, TSV and spreadsheets with a row per line of dialog.

Columns are found by their headings: an id (``line``), a scene, a speaker, and the text, either a
column per language (``English``, ``de``, ``German (de)``) or one column ``text`` with a column
``language``, a file per language, or one language. That covers Yarn Spinner's string tables
(``language,id,text,file,node,lineNumber,lock,comment``), Ink-Localiser's (``ID,Text``), Unity's
localization tables and a translator's spreadsheet.

Without a column of speakers the name that stands before the first colon of the text is the speaker.
Without a column of scenes they are taken from ids such as ``file_knot_stitch_UD0Z``, or a blank row
ends a scene.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from cyrene_assets.config.yaml_config import Strict
from cyrene_assets.corpus.importers.files import files_at
from cyrene_assets.corpus.importers.imported import Imported, ImportHints, Progress
from cyrene_assets.corpus.importers.sheets import SUFFIXES, read_sheets
from cyrene_assets.corpus.importers.table_reading import Reading
from cyrene_assets.utils.errors import UserError

SUMMARY = "tables: CSV, TSV, XLSX; Yarn Spinner, Ink-Localiser, a translator's spreadsheet"
EXAMPLES = (
    "cyrene corpus import table dialog.xlsx --character Ada --player Wayfarer",
    "cyrene corpus import table lines.csv --column line=Nr --column speaker=Figur --column de=Satz",
    "cyrene corpus import table strings/ --original en      # a file per language",
)


class Options(Strict):
    """What a person may say of a table."""

    column: tuple[str, ...] = Field(
        default=(),
        description="WHAT=HEADING, again for more. WHAT is line, scene, speaker, text, language, "
        "a language's code (its text), or speaker.CODE (names in that language).",
    )
    header_row: int | None = Field(
        default=None, ge=1, description="The number of the row that has the headings, from 1."
    )
    sheet: tuple[str, ...] = Field(
        default=(),
        description="A sheet of a spreadsheet, the first where left out; again for more.",
    )
    speaker_from: Literal["column", "text"] | None = Field(
        default=None,
        description="Where the speaker stands: a column, or before a colon in the text.",
    )


def read(path: Path, options: Options, hints: ImportHints, progress: Progress) -> Imported:
    """Read the tables, a line of dialog from each cell of text.

    Raises:
        SourceError: a table has merged cells or two rows of headings, or is no table.
        UserError: a column is missing.
    """
    given = dict(_pair(one) for one in options.column)
    reading = Reading(given, options.header_row, options.speaker_from, hints, progress)
    files = files_at(path, SUFFIXES)
    for number, file in enumerate(files):
        progress(file.name, number, len(files))
        sheets, left_out = read_sheets(file, options.sheet)
        for name in left_out:
            reading.tally.skip("a sheet (give it with --sheet)", str(file), 0, name)
        for sheet in sheets:
            reading.add(sheet)
    return reading.imported()


def _pair(text: str) -> tuple[str, str]:
    what, separator, heading = text.partition("=")
    if not separator or not what.strip() or not heading.strip():
        raise UserError(f"--column {text}: write WHAT=HEADING, as in --column speaker=Figur")
    return what.strip(), heading
