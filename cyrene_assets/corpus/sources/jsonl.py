"""Reading the JSON Lines files of a corpus, with every problem named by file and line."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cyrene_assets.corpus.sources.json_records import (
    NULLABLE,
    fits,
    layout_mistake,
    quoted,
    reason_of,
    type_name,
    unrepeated,
)
from cyrene_assets.corpus.sources.raw_files import checked
from cyrene_assets.corpus.sources.types import (
    LONGEST_LINE,
    Problem,
    SourceError,
    too_long,
    unreadable,
)
from cyrene_assets.utils.counting import counted

if TYPE_CHECKING:
    import polars as pl

REPORTED_PROBLEMS = 20
BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# Lines are put into a table so many at a time.
CHUNK = 100_000
IGNORED_KEYS_SHOWN = 5


class JsonLines:
    """A JSON Lines file of a corpus under reading, and what was found wrong with it so far.

    With ``ignore_extra`` keys that the file's lines need not have are no mistake, but counted.
    """

    def __init__(self, root: Path, path: Path, *, ignore_extra: bool = False) -> None:
        self._extra: Counter[str] | None = Counter() if ignore_extra else None
        self.name = path.relative_to(root).as_posix()
        self._root = root
        self._path = path
        self._problems: list[Problem] = []

    def wrong(self, line: int, message: str, remedy: str) -> None:
        """Note what is wrong with a line."""
        self._problems.append(Problem(self.name, line, message, remedy))

    def reported(self) -> list[Problem]:
        """Return the first 20 problems by line, and how many more there are."""
        problems = sorted(self._problems, key=lambda problem: problem.line)
        left_out = len(problems) - REPORTED_PROBLEMS
        if left_out <= 0:
            return problems
        more = Problem(self.name, 0, counted(left_out, "more problem"), "correct the first ones")
        return [*problems[:REPORTED_PROBLEMS], more]

    def ignored(self) -> list[Problem]:
        """Say which extra keys were ignored, with their lines; nothing where there are none."""
        if not self._extra:
            return []
        most = self._extra.most_common(IGNORED_KEYS_SHOWN)
        named = ", ".join(f"`{key[:60]}` ({number:,})" for key, number in most)
        more = len(self._extra) - len(most)
        return [
            Problem(
                self.name,
                0,
                f"keys that are ignored, with their lines: {named}"
                + (f" and {more} more" if more else ""),
                "take `extra: ignore` out of corpus.yaml to have them refused",
            )
        ]

    def table(
        self, keys: tuple[str, ...], marks: Mapping[str, tuple[str, ...]] | None = None
    ) -> "pl.DataFrame":
        """Return the ``keys`` of each line that has them, of the right type, and no other.

        They are strings (``speaker`` may be null); ``number`` is the line's. ``marks`` are keys
        that a line may have besides, with the values that there are (null where it has none). What
        is wrong with the other lines is noted.
        """
        marks = marks or {}
        import polars as pl

        schema = {"number": pl.Int32(), **dict.fromkeys((*keys, *marks), pl.String())}
        chunks = [pl.DataFrame(schema=schema)]
        rows: list[tuple[Any, ...]] = []

        def put() -> None:
            columns = zip(*rows, strict=True) if rows else [()] * len(schema)
            chunks.append(pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema))
            rows.clear()

        for row in self._rows(keys, marks):
            rows.append(row)
            if len(rows) == CHUNK:
                put()
        put()
        return self._without_long_texts(pl.concat(chunks))

    def _rows(
        self, keys: tuple[str, ...], marks: Mapping[str, tuple[str, ...]]
    ) -> Iterator[tuple[Any, ...]]:
        """Yield number and values of the lines that are as they should be; the others are noted.

        A line without a backslash, and with no more quotes than its keys and values need, has no
        key twice and nothing escaped: it is right if it can be decoded. Others are looked at.
        """
        types: list[Any] = [(key, str | None if key == NULLABLE else str) for key in keys]
        types += [(key, str | None, None) for key in marks]
        line_type = msgspec.defstruct("Line", types, forbid_unknown_fields=True, gc=False)
        most = 4 * len(keys) + 4 * len(marks)
        decode = msgspec.json.Decoder(line_type).decode
        values = msgspec.structs.astuple
        for number, offset, line in self._lines():
            if b"\\" not in line:
                try:
                    found = values(decode(line))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    pass  # Below it is said what is wrong.
                else:
                    own, marked = found[: len(keys)], found[len(keys) :]
                    quotes = most - 2 * own.count(None) - 4 * marked.count(None)
                    if line.count(b'"') == quotes and all(map(_may_be, marked, marks.values())):
                        yield number, *found
                        continue
            record = self._record(number, line, offset, keys, marks)
            if record is not None:
                yield number, *(record.get(key) for key in (*keys, *marks))

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield number, offset and bytes of each line; blank ones at the end of the file are none.

        A byte order mark is not part of the first.
        """
        blank: list[tuple[int, int, bytes]] = []
        offset = 0
        try:
            checked(self._path, self.name, self._root)
            with self._path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if number == 1 and line.startswith(UTF_16):
                        self.wrong(0, "not UTF-8 but UTF-16", "save it as UTF-8")
                        return
                    text = line.removeprefix(BOM) if number == 1 else line
                    start = offset + len(line) - len(text)
                    offset += len(line)
                    if not text.strip():
                        blank.append((number, start, text))
                        continue
                    if number == 1 + len(blank) and (
                        mistake := layout_mistake(text, self._path.name)
                    ):
                        self.wrong(number, *mistake)
                        return
                    yield from blank
                    blank.clear()
                    yield number, start, text.removesuffix(b"\n")
        except SourceError as error:
            self._problems += error.problems
        except OSError as error:
            self._problems.append(unreadable(self.name, error))

    def _record(
        self,
        number: int,
        line: bytes,
        offset: int,
        keys: tuple[str, ...],
        marks: Mapping[str, tuple[str, ...]],
    ) -> dict[str, Any] | None:
        def wrong(message: str, remedy: str) -> None:
            self.wrong(number, message, remedy)

        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            wrong(f"not UTF-8 at byte {offset + error.start} of the file", "save it as UTF-8")
            return None
        if not text.strip():
            wrong("the line is blank", "remove it")
            return None
        if "\0" in text:
            wrong("a NUL byte", "remove it")
            return None
        try:
            record = json.loads(text, object_pairs_hook=unrepeated)
        except (ValueError, RecursionError) as error:
            comma = text.rstrip().endswith("},")
            what = f"not valid JSON ({reason_of(error)})"
            wrong(
                "a comma behind the object" if comma else what,
                f"{'remove it, and ' if comma else ''}write one JSON object per line",
            )
            return None
        if not isinstance(record, dict):
            wrong(f"not an object but {type_name(record)}", f"write an object with {quoted(keys)}")
            return None
        return record if fits(record, keys, marks, wrong, self._extra) else None

    def without(self, table: "pl.DataFrame", where: "pl.Expr", *said: str) -> "pl.DataFrame":
        """Return the table without some rows, and note what is wrong with them.

        ``said`` are message and remedy, in which ``{key}`` stands for the row's value of a column.
        """
        for row in table.filter(where).rows(named=True):
            self.wrong(row["number"], *(text.format_map(_Quoted(row)) for text in said))
        return table.remove(where)

    def with_ids(self, table: "pl.DataFrame", keys: Iterable[str]) -> "pl.DataFrame":
        """Return the rows of which all of ``keys`` are filled in; note the others."""
        import polars as pl

        blank = {key: pl.col(key).str.strip_chars() == "" for key in keys}
        for key, where in blank.items():
            self.without(table, where, f"`{key}` is empty", "fill it in")
        return table.remove(pl.any_horizontal(*blank.values()))

    def _without_long_texts(self, table: "pl.DataFrame") -> "pl.DataFrame":
        import polars as pl

        for key in table.columns[1:]:
            long = table.filter(pl.col(key).str.len_bytes() > LONGEST_LINE)
            lines = [row["number"] for row in long.rows(named=True) if too_long(row[key])]
            message = f"`{key}` has a line over {LONGEST_LINE:,} characters"
            table = self.without(table, pl.col("number").is_in(lines), message, "cut it up")
        return table


def _may_be(value: str | None, known: tuple[str, ...]) -> bool:
    return value is None or value in known


class _Quoted(dict[str, Any]):
    """A row's values as they are quoted in a message."""

    def __getitem__(self, key: str) -> str:
        value = super().__getitem__(key)
        return repr(value) if isinstance(value, str) else str(value)
