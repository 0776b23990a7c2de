"""Reading the JSON Lines files of a corpus, with every problem named by file and line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cyrene_assets.corpus.sources import Problem, unreadable

REPORTED_PROBLEMS = 20


class JsonLines:
    """A JSON Lines file of a corpus under reading, and what was found wrong with it so far."""

    def __init__(self, root: Path, path: Path) -> None:
        self.name = path.relative_to(root).as_posix()
        self._path = path
        self._problems: list[Problem] = []

    def wrong(self, line: int, message: str, remedy: str) -> None:
        """Note what is wrong with a line."""
        self._problems.append(Problem(self.name, line, message, remedy))

    def reported(self) -> list[Problem]:
        """Return the first 20 problems, and how many more there are."""
        left_out = len(self._problems) - REPORTED_PROBLEMS
        if left_out <= 0:
            return self._problems
        more = Problem(self.name, 0, f"{left_out} more problems", "mend the first ones, look again")
        return [*self._problems[:REPORTED_PROBLEMS], more]

    def has_ids(self, line: int, record: dict[str, Any], keys: tuple[str, ...]) -> bool:
        """Return whether the record's ``keys`` are filled in; note those that are not."""
        blank = [key for key in keys if not record[key].strip()]
        for key in blank:
            self.wrong(line, f"`{key}` is empty", "fill it in")
        return not blank

    def records(self, keys: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield number and object of each line that has ``keys``, of the right type, and no other.

        ``speaker`` may be null.
        """
        try:
            data = self._path.read_bytes()
        except OSError as error:
            self._problems.append(unreadable(self.name, error))
            return
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        while lines and not lines[-1].strip():
            lines.pop()
        offset = len(data) - len(data.removeprefix(b"\xef\xbb\xbf"))
        for number, line in enumerate(lines, start=1):
            record = self._record(number, line, offset, keys)
            offset += len(line) + 1
            if record is not None:
                yield number, record

    def _record(
        self, number: int, line: bytes, offset: int, keys: tuple[str, ...]
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
            record = json.loads(text, object_pairs_hook=_unrepeated)
        except (ValueError, RecursionError) as error:
            wrong(f"not valid JSON ({_reason(error)})", "write one JSON object per line")
            return None
        if not isinstance(record, dict):
            wrong(f"not an object but {_type(record)}", f"write an object with {_quoted(keys)}")
            return None
        return record if _fits(record, keys, wrong) else None


def _fits(record: dict[str, Any], keys: tuple[str, ...], wrong: Callable[[str, str], None]) -> bool:
    fits = True
    for key in keys:
        value = record.get(key)
        if key not in record:
            wrong(f"`{key}` is missing", f"give the line {_quoted(keys)}")
        elif value is None and key == "speaker":
            continue
        elif not isinstance(value, str):
            wrong(f"`{key}` is {_type(value)} ({json.dumps(value)[:60]})", "write a string")
        elif "\0" in value:
            wrong(f"`{key}` contains a NUL character", "remove it")
        elif not _encodable(value):
            wrong(f"`{key}` contains half of a surrogate pair", "write the character itself")
        else:
            continue
        fits = False
    for key in record.keys() - set(keys):
        wrong(f"`{key[:60]}` is no key of this file", f"keep {_quoted(keys)} only")
        fits = False
    return fits


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return record


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")


def _quoted(keys: tuple[str, ...]) -> str:
    return ", ".join(f"`{key}`" for key in keys)
