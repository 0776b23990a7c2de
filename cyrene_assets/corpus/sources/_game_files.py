"""Decoding the JSON files of a game-data folder, and the list of what is left out of them."""

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from cyrene_assets.corpus.sources import Problem, SourceError, unreadable

NAMED = 5
BOM = b"\xef\xbb\xbf"

T = TypeVar("T")


class Skipped:
    """What is left out of a language's rows: by file and reason, counted, the first ones named."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str, str], list[int]] = {}

    def add(self, file: str, entry: int, reason: str, remedy: str) -> None:
        """Note why an entry (counted from 1) is left out, or something of it."""
        self._entries.setdefault((file, reason, remedy), []).append(entry)

    def whole(self, file: str, reason: str, remedy: str) -> None:
        """Note something about a file as a whole."""
        self._entries[file, reason, remedy] = []

    def problems(self) -> list[Problem]:
        """Return one problem per file and reason; its line is the first entry's number."""
        found = []
        for (file, reason, remedy), added in self._entries.items():
            entries = sorted(added)
            if entries:
                count = "an entry" if len(entries) == 1 else f"{len(entries)} entries"
                message = f"skipped in {count} ({some(entries)}): {reason}"
                found.append(Problem(file, entries[0], message, remedy))
            else:
                found.append(Problem(file, 0, reason, remedy))
        return found


def some(numbers: list[int]) -> str:
    """Return the first of the numbers, and how many more there are."""
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return ", ".join(map(str, numbers[:NAMED])) + more


def exists(path: Path) -> bool:
    """Return whether there is such a file, as far as the system lets us see."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def read_bytes(path: Path, file: str) -> bytes:
    """Return what is in a file.

    Raises:
        SourceError: the system does not let us read it.
    """
    try:
        return path.read_bytes().removeprefix(BOM)
    except OSError as error:
        raise SourceError([unreadable(file, error)]) from error


def decode(data: bytes, file: str, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode a JSON file.

    Raises:
        SourceError: it is not valid JSON in UTF-8, or not of the decoder's type; the problem's line
            is the entry's number where it is the entry of a list.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        found = re.search(r"\$\[(\d+)\](\S*)`$", str(error))
        line = int(found[1]) + 1 if found else 0
        remedy = "complete the folder: this is not the layout of the game's data"
        raise SourceError([Problem(file, line, f"{_reason(error)}", remedy)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError([_undecodable(data, file, error)]) from error


def _undecodable(data: bytes, file: str, error: Exception) -> Problem:
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        return Problem(file, 0, f"not UTF-8 at byte {wrong.start}", "save it as UTF-8")
    if isinstance(error, RecursionError):
        return Problem(file, 0, "nested too deep", "complete the folder")
    return Problem(file, 0, f"not valid JSON ({_reason(error)})", "fetch or copy the file again")


def _reason(error: Exception) -> str:
    text = str(error).removeprefix("JSON is malformed: ")
    return text[:1].lower() + text[1:]
