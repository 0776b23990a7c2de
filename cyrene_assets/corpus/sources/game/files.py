"""Decoding the JSON files of a game-data folder, and the list of what is left out of them."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cyrene_assets.corpus.sources.raw_files import read_file
from cyrene_assets.corpus.sources.types import Problem, SourceError

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
        """Note something about all of a file."""
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


def read_bytes(path: Path, file: str, folder: Path) -> bytes:
    """Return what is in a file, without a byte order mark.

    Raises:
        SourceError: as ``read_file``.
    """
    return read_file(path, file, folder).removeprefix(BOM)


def decode(
    data: bytes, file: str, decoder: "msgspec.json.Decoder[T]", *, passes_over: bool = True
) -> T:
    """Decode a JSON file; what the decoder passes over, where it does, must be UTF-8 as well.

    Raises:
        SourceError: it is not valid JSON in UTF-8, or not of the decoder's type; the problem's line
            is the entry's number where it is the entry of a list.
    """
    try:
        if passes_over and not data.isascii():
            data.decode()
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        if (not_text := _not_utf8(data, file)) is not None:
            raise SourceError([not_text]) from error
        found = re.search(r"\$\[(\d+)\](\S*)`$", str(error))
        line = int(found[1]) + 1 if found else 0
        remedy = "complete the folder: this is not the layout of the game's data"
        raise SourceError([Problem(file, line, f"{_reason(error)}", remedy)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError([_undecodable(data, file, error)]) from error


def validate_unique_keys(entries: Iterable[bytes], file: str) -> None:
    """Refuse an object in which a key stands twice, at any depth; the decoder takes the last one.

    Raises:
        SourceError: there is one; the problem's line is the entry's number.
    """
    for number, entry in enumerate(entries, start=1):
        try:
            json.loads(bytes(entry), object_pairs_hook=_unrepeated, parse_int=float, strict=False)
        except _RepeatedKeyError as error:
            message = f"`{error}` stands twice in one entry"
            raise SourceError([Problem(file, number, message, "keep one of them")]) from error
        except RecursionError as error:
            problem = Problem(file, number, "nested too deep", "complete the folder")
            raise SourceError([problem]) from error
        except ValueError as error:  # in what the decoder passed over
            problem = Problem(file, number, f"not valid JSON ({error})", "fetch the file again")
            raise SourceError([problem]) from error


class _RepeatedKeyError(Exception):
    """A key that stands twice."""


def _unrepeated(pairs: list[tuple[str, Any]]) -> None:
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            raise _RepeatedKeyError(key[:40])
        keys.add(key)


def _not_utf8(data: bytes, file: str) -> Problem | None:
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        return Problem(file, 0, f"not UTF-8 at byte {wrong.start}", "save it as UTF-8")
    return None


def _undecodable(data: bytes, file: str, error: Exception) -> Problem:
    if (not_text := _not_utf8(data, file)) is not None:
        return not_text
    if isinstance(error, RecursionError):
        return Problem(file, 0, "nested too deep", "complete the folder")
    return Problem(file, 0, f"not valid JSON ({_reason(error)})", "fetch or copy the file again")


def _reason(error: Exception) -> str:
    text = str(error).removeprefix("JSON is malformed: ")
    return text[:1].lower() + text[1:]
