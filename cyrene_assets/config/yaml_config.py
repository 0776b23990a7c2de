"""Reading a YAML file into a strict model; errors name file, line, key, value and remedy.

YAML is data here and nothing else: tags that name code are errors, and so is a file that says far
more than it is long (aliases of aliases), or itself (an alias inside of what it stands for).
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cyrene_assets.config.yaml_errors import SHOWN, Mistake, YamlError, find_mistakes
from cyrene_assets.config.yaml_places import below

Model = TypeVar("Model", bound=BaseModel)

LARGEST_FILE = 1_000_000
LARGEST_DOCUMENT = 100_000
# In double quotes a backslash begins an escape: C:\temp\new has a tab and a line break.
WINDOWS_PATH = re.compile(r'"[A-Za-z]:\\[^\\"][^"\n]*"')
_SEE_ABOVE = "see this line, and the one above it"
# By what PyYAML says.
_SYNTAX = {
    "'\\t'": "indent with blanks instead of tabs",
    "mapping values are not allowed": "put a value with a colon in quotes, and see the indentation",
    "could not determine a constructor for the tag": "remove the tag (what begins with !)",
    "expected the node content": "close what is open: a bracket, brace or quotation mark",
    "expected ',' or": "close what is open, or put a value with [ ] { } in quotes",
    "unexpected end of stream": "close the quotation mark that is open",
    "expected a single document": "keep one document: remove the line ---",
    "undefined alias": "put a value that begins with * in quotes",
    "found unhashable key": "write a word as the key",
}
DOUBLE_QUOTED = re.compile(r'"[^"\n]*\\[^"\n]*"')


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_model(model: type[Model], path: Path) -> Model:
    """Read a YAML file into ``model``.

    Raises:
        YamlError: the file cannot be read, is not YAML, or does not fit the model; a line for each
            mistake.
    """
    found: Model = _parsed(model, path, _text(path))
    return found


@lru_cache(maxsize=64)
def _parsed(model: type[Model], path: Path, text: str) -> Model:
    """Parse a text once: the daemon asks for the same files every few seconds."""
    values, node = _document(path, text)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise YamlError(path, find_mistakes(error, model, node)) from error


def read_yaml(path: Path) -> Any:
    """Return what a YAML file says, as plain values.

    Raises:
        YamlError: it is no plain file, cannot be read, is not YAML in UTF-8, too large, or nested
            too deep.
    """
    return _document(path, _text(path))[0]


def line_of(path: Path, *keys: str) -> int | None:
    """Return the line (from 1) in which a key, or its section, stands; None where none does.

    Raises:
        YamlError: as ``read_yaml``.
    """
    _, node = _document(path, _text(path))
    line = None
    for key in keys:
        step = below(node, key)
        if step is None:
            break
        line, node = step
    return line


def _error(path: Path, line: int, message: str, remedy: str) -> YamlError:
    return YamlError(path, [Mistake(line, message, remedy)])


def _text(path: Path) -> str:
    try:
        # A pipe would be waited for.
        if path.exists() and not path.is_file():
            raise _error(path, 0, "cannot be read: it is no plain file", "write one of that name")
        if path.stat().st_size > LARGEST_FILE:
            what = f"over {LARGEST_FILE:,} bytes, which no settings need"
            raise _error(path, 0, what, "see whether it is the file that is meant")
        raw = path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise _error(path, 0, what, "see its name and its permissions") from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = f"0x{raw[error.start]:02x}"
        what = f"not UTF-8 at byte {error.start}, which is {byte}"
        raise _error(path, line, what, "save it as UTF-8") from error


def _document(path: Path, text: str) -> tuple[Any, yaml.Node | None]:
    """Return what a text says, and the nodes that say where."""
    node = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        _validate_windows_paths(path, node, text)
        if _size(node, {}) > LARGEST_DOCUMENT:
            what = f"its aliases stand for over {LARGEST_DOCUMENT:,} values"
            raise _error(path, 0, what, "write out what is meant")
        _validate_unique_keys(path, node, set())
        return loader.construct_document(node), node
    except yaml.YAMLError as error:
        raise _bad_escape(path, error, text) or _not_yaml(path, error) from error
    except RecursionError as error:
        raise _error(path, 0, "nested too deep, or in itself", "write it flatter") from error
    except (ValueError, OverflowError, AttributeError, TypeError, KeyError) as error:
        # What PyYAML says of a date, number or tag whose text is none.
        line, value = _unreadable(node)
        said = f"not valid YAML: {str(error)[:SHOWN]}, got {value}"
        raise _error(path, line, said, "correct it, or put it in quotes") from error


def _not_yaml(path: Path, error: yaml.YAMLError) -> YamlError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    begun = getattr(error, "context_mark", None)
    if context and begun and mark and begun.line != mark.line:
        context = f"{context} of line {begun.line + 1}"
    what = f"not valid YAML: {f'{context}, ' if context else ''}{said}".replace("\n", " ")
    remedy = next((own for part, own in _SYNTAX.items() if part in said), _SEE_ABOVE)
    return _error(path, mark.line + 1 if mark else 0, what, remedy)


def _unreadable(node: yaml.Node | None) -> tuple[int, str]:
    """Return the line and the text of the first value that cannot be read as what it looks like."""
    for scalar in _scalars(node, set()) if node else ():
        try:
            yaml.SafeLoader("").construct_object(scalar, deep=True)
        except (ValueError, OverflowError, AttributeError, TypeError, KeyError):
            return scalar.start_mark.line + 1, repr(scalar.value[:SHOWN])
    return 0, "a value that is none"


def _validate_unique_keys(path: Path, node: yaml.Node, seen: set[int]) -> None:
    """Refuse a key that stands twice in a section: YAML would take the last one, in silence.

    Raises:
        YamlError: there is one.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            _validate_unique_keys(path, part, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            known = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if known in first:
                what = f"the key {key.value[:SHOWN]!r} stands in line {first[known]} already"
                raise _error(path, line, what, "keep one of the two")
            if known is not None and key.value != "<<":
                first[known] = line
            _validate_unique_keys(path, value, seen)


def _validate_windows_paths(path: Path, node: yaml.Node, text: str) -> None:
    r"""Refuse a path such as "C:\temp", which YAML would read with a tab in it.

    Raises:
        YamlError: there is one.
    """
    for scalar in _scalars(node, set()):
        written = text[scalar.start_mark.index : scalar.end_mark.index]
        if scalar.style == '"' and WINDOWS_PATH.fullmatch(written):
            raise _backslash(path, scalar.start_mark.line + 1, written)


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


def _bad_escape(path: Path, error: yaml.YAMLError, text: str) -> YamlError | None:
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


def _backslash(path: Path, line: int, written: str) -> YamlError:
    single = written[1:-1].replace("'", "''")
    slashes = ", or a path with / in place of it" if ":" in written or "\\\\" in written else ""
    return _error(
        path,
        line,
        f"{written[:SHOWN]}: in double quotes a backslash begins an escape",
        f"write '{single[:SHOWN]}' in single quotes{slashes}",
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
