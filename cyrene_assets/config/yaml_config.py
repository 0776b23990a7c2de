"""Reading a YAML file into a strict model; errors name the file, the key and the value.

YAML is data here and nothing else: tags that name code are errors, and so is a file that says far
more than it is long (aliases of aliases), or itself (an alias inside of what it stands for).
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cyrene_assets.utils.errors import UserError

Model = TypeVar("Model", bound=BaseModel)

LARGEST_FILE = 1_000_000
LARGEST_DOCUMENT = 100_000
# Of a value, in characters; of what is wrong, in lines.
SHOWN, LISTED = 120, 30
# In double quotes a backslash begins an escape: C:\temp\new has a tab and a line break.
WINDOWS_PATH = re.compile(r'"[A-Za-z]:\\[^\\"][^"\n]*"')
DOUBLE_QUOTED = re.compile(r'"[^"\n]*\\[^"\n]*"')


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_model(model: type[Model], path: Path) -> Model:
    """Read a YAML file into ``model``.

    Raises:
        UserError: the file cannot be read, is not YAML, or does not fit the model; the message
            names the file and every key that is wrong, with its value.
    """
    text = _text(path)
    try:
        found: Model = _parsed(model, path, text)
    except ValidationError as error:
        raise UserError(f"{path}:\n{_explain(error)}") from error
    return found


@lru_cache(maxsize=64)
def _parsed(model: type[Model], path: Path, text: str) -> Model:
    """Parse a text once: the daemon asks for the same files every few seconds."""
    return model.model_validate(_values(path, text))


def read_yaml(path: Path) -> Any:
    """Return what a YAML file says, as plain values.

    Raises:
        UserError: it is no plain file, cannot be read, is not YAML in UTF-8, too large, or nested
            too deep.
    """
    return _values(path, _text(path))


def _text(path: Path) -> str:
    try:
        # A pipe would be waited for.
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: cannot be read: it is no plain file")
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{path}: over {LARGEST_FILE:,} bytes, which no settings need")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


def _values(path: Path, text: str) -> Any:
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_windows_paths(path, node, text)
        if _size(node, {}) > LARGEST_DOCUMENT:
            raise UserError(
                f"{path}: its aliases stand for over {LARGEST_DOCUMENT:,} values; write out what "
                "is meant"
            )
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        said = _bad_escape(path, error, text) or f"{path}: not valid YAML: {error}"
        raise UserError(said) from error
    except RecursionError as error:
        raise UserError(f"{path}: nested too deep, or in itself") from error
    except (ValueError, OverflowError, AttributeError, TypeError, KeyError) as error:
        # What PyYAML says of a date, number or tag whose text is none.
        raise UserError(f"{path}: not valid YAML: {error}") from error


def _refuse_windows_paths(path: Path, node: yaml.Node, text: str) -> None:
    r"""Refuse a path such as "C:\temp", which YAML would read with a tab in it.

    Raises:
        UserError: there is one.
    """
    for scalar in _scalars(node, set()):
        written = text[scalar.start_mark.index : scalar.end_mark.index]
        if scalar.style == '"' and WINDOWS_PATH.fullmatch(written):
            raise UserError(_backslash(path, scalar.start_mark.line + 1, written))


def _scalars(node: yaml.Node, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _scalars(part, seen)
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for part in pair:
                yield from _scalars(part, seen)


def _bad_escape(path: Path, error: yaml.YAMLError, text: str) -> str | None:
    """Say so where a backslash in double quotes began an escape that YAML does not know."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return None
    line = text.split("\n")[error.problem_mark.line]
    found = next(
        (one for one in DOUBLE_QUOTED.finditer(line) if one.end() > error.problem_mark.column), None
    )
    if found is None or "escape" not in (error.problem or ""):
        return None
    return _backslash(path, error.problem_mark.line + 1, found[0])


def _backslash(path: Path, line: int, written: str) -> str:
    single = written[1:-1].replace("'", "''")
    slashes = ", or a path with / in place of it" if ":" in written or "\\\\" in written else ""
    return (
        f"{path}:{line}: {written[:SHOWN]}: in double quotes a backslash begins an escape; "
        f"write '{single[:SHOWN]}' in single quotes{slashes}"
    )


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a document has, each alias counted as all that it stands for."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise RecursionError
        return known[id(node)]
    known[id(node)] = 0
    inner = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    known[id(node)] = 1 + sum(_size(part, known) for part in inner)
    return known[id(node)]


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part)[:SHOWN] for part in problem["loc"]) or "(the complete file)"
        own = problem["type"] == "value_error"
        # What a rule of several keys says names them: all of the file would hide it.
        silent = problem["type"] == "missing" or (own and not problem["loc"])
        given = "" if silent else f", got {_shown(problem['input'])}"
        said = problem["msg"].removeprefix("Value error, ") if own else problem["msg"]
        lines.append(f"  {key}: {said[: 5 * SHOWN]}{given}")
    more = f"\n  ... and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return "\n".join(lines[:LISTED]) + more


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):  # keys that JSON has not
        text = repr(value)
    return text[:SHOWN]
