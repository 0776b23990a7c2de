"""Whether a record of a JSON Lines file is as it should be, and what to say where it is not."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

NULLABLE = "speaker"
_CARRIAGE_RETURN = re.compile(rb"\}[ \t]*\r\s*\{")


def layout_mistake(line: bytes, name: str) -> tuple[str, str] | None:
    """Return what is wrong with how all of a file is written, by its first line, and the remedy.

    ``name`` is what to call the file once it is corrected; None where it may be JSON Lines.
    """
    if _begins_an_array(line):
        return (
            "a JSON array, not JSON Lines",
            "write one object per line, without the brackets and commas around them: "
            f"jq -c '.[]' FILE > {name}",
        )
    if line.strip() == b"{":
        return (
            "JSON over several lines, not JSON Lines",
            f"write one object per line: jq -c . FILE > {name}",
        )
    if _CARRIAGE_RETURN.search(line):
        return (
            "its lines end in a carriage return alone",
            f"save it with line feeds: tr '\\r' '\\n' < FILE > {name}",
        )
    return None


def _begins_an_array(line: bytes) -> bool:
    """Return whether a file's first line is that of an array of objects, on one line or on many."""
    if not line.lstrip().startswith(b"["):
        return False
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return True
    return all(isinstance(value, dict) for value in found)


def fits(
    record: dict[str, Any],
    keys: tuple[str, ...],
    marks: Mapping[str, tuple[str, ...]],
    wrong: Callable[[str, str], None],
    ignored: "Counter[str] | None",
) -> bool:
    """Return whether a record has the keys, strings; other keys are counted in ``ignored``, if any.

    ``marks`` are keys that it may have, with their values. ``wrong`` is told of each mistake and
    its remedy.
    """
    right = True
    for key in keys:
        value = record.get(key)
        if key not in record:
            wrong(f"`{key}` is missing", f"give the line {quoted(keys)}")
        elif value is None and key == NULLABLE:
            continue
        elif not isinstance(value, str):
            wrong(f"`{key}` is {type_name(value)} ({json.dumps(value)[:60]})", "write a string")
        elif "\0" in value:
            wrong(f"`{key}` contains a NUL character", "remove it")
        elif not _encodable(value):
            wrong(f"`{key}` contains half of a surrogate pair", "write the character itself")
        else:
            continue
        right = False
    for key, known in marks.items():
        value = record.get(key)
        if value is not None and value not in known:
            values = ", ".join(json.dumps(one) for one in known)
            wrong(
                f"`{key}` is {json.dumps(value, ensure_ascii=False)[:60]}",
                f"write one of {values}, or leave it out",
            )
            right = False
    extra = [key for key in record if key not in keys and key not in marks]
    if ignored is not None:
        ignored.update(extra)
        return right
    for key in extra:
        remedy = f"keep {quoted(keys)} only, or write `extra: ignore` in corpus.yaml"
        wrong(f"`{key[:60]}` is no key of this file", remedy)
        right = False
    return right


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object as a mapping.

    Raises:
        ValueError: a key stands twice.
    """
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return record


def reason_of(error: ValueError | RecursionError) -> str:
    """Return why a text is not JSON."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def type_name(value: Any) -> str:
    """Return what a JSON value is, in words."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")


def quoted(keys: tuple[str, ...]) -> str:
    """Return keys for a message."""
    return ", ".join(f"`{key}`" for key in keys)
