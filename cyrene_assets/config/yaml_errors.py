"""What is wrong with a YAML file, each in one line: file, line, key, value and remedy."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import BaseModel, ValidationError

from cyrene_assets.config.yaml_places import below, follow, inner, models_of, with_chosen
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.text_safety import escape_control_chars

# Of a value, in characters; of what is wrong, in lines.
SHOWN, LISTED = 120, 30
_LINES = "write `key: value` lines"
_NUMBER, _WHOLE, _SWITCH = "write a number", "write an integer", "write true or false"
_LIST = "write a list, as [a, b]"
_TEXT = "write text, in quotes where it looks like a number, a date, yes or no"
# By pydantic's type of error; braces are its own context.
_REMEDIES = {
    "string_type": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "dict_type": _LINES,
    "model_type": _LINES,
    "model_attributes_type": _LINES,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "literal_error": "write {expected}",
    "greater_than": "write more than {gt}",
    "greater_than_equal": "write {ge} or more",
    "less_than": "write less than {lt}",
    "less_than_equal": "write {le} or less",
    "too_short": "give {min_length} of them or more",
    "too_long": "give {max_length} of them or fewer",
    "string_too_short": "write {min_length} characters or more",
    "string_too_long": "write {max_length} characters or fewer",
    "string_pattern_mismatch": "write what the regular expression {pattern} matches",
}
# What a union's other members say of a value that is not meant for them.
_OF_ANOTHER_KIND = re.compile(r"literal_error|\w+_type")
_QUOTED = re.compile(r"`([^`:]+)[^`]*`")
Place: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """A mistake at a line (from 1; 0 means the complete file), and its remedy."""

    line: int
    message: str
    remedy: str


class YamlError(UserError):
    """A YAML file that cannot be used; ``wrong`` says why, place by place."""

    def __init__(self, path: Path, wrong: Sequence[Mistake]) -> None:
        lines = (
            f"{path}{f':{one.line}' if one.line else ''}: {one.message}; {one.remedy}"
            for one in wrong
        )
        super().__init__("\n".join(escape_control_chars(line).replace("\n", " ") for line in lines))
        self.mistakes = tuple(wrong)


def find_mistakes(
    error: ValidationError, model: type[BaseModel], node: yaml.Node | None
) -> list[Mistake]:
    """Return the mistakes that pydantic found in a document, whose root node is given."""
    found = [_Problem(problem, model, node) for problem in error.errors(include_url=False)]
    # Of a union each member that does not fit has a problem of its own, below its tag.
    deeper = {place for one in found for place in one.unions if place != one.path}
    kept = [
        one
        for one in found
        if not (
            one.path in one.unions
            and one.path in deeper
            and _OF_ANOTHER_KIND.fullmatch(one.problem["type"])
        )
    ]
    together: dict[Place, list[_Problem]] = {}
    for one in kept:
        together.setdefault(one.path, []).append(one)
    wrong = [_mistake(problems) for problems in together.values()]
    wrong.sort(key=lambda one: one.line)
    more = len(wrong) - LISTED
    rest = [
        Mistake(
            0,
            f"... and {counted(more, 'more value is', 'more values are')} wrong",
            "correct the first ones",
        )
    ]
    return wrong[:LISTED] + (rest if more > 0 else [])


def shown(value: Any) -> str:
    """Return a value as a message has it."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):  # keys that JSON has not
        text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


@dataclass
class _Problem:
    """One of pydantic's problems, with its place in the document.

    ``path`` are the keys and numbers that lead there, ``line`` is that of the last one found,
    ``models`` may be what stands there, and ``unions`` are the paths at which a member of a union
    was tried.
    """

    problem: Any
    model: Any
    root: yaml.Node | None
    path: Place = ()
    line: int = 1
    fields: list[Any] = field(default_factory=list)
    unions: set[Place] = field(default_factory=set)

    def __post_init__(self) -> None:
        node, kinds = self.root, [self.model]
        self.line = node.start_mark.line + 1 if node else 1
        parts = self.problem["loc"]
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            if part == "[key]" and last and number:
                continue
            step = below(node, part)
            kinds = [one for kind in kinds for one in with_chosen(kind, node)]
            below_kinds = [found for kind in kinds for found in inner(kind, part)]
            named = any(part in model.model_fields for kind in kinds for model in models_of(kind))
            if step is None and not named and not (last and self.missing):
                self.unions.add(self.path)
                continue
            self.fields, kinds = kinds, below_kinds
            self.path = (*self.path, part)
            node = step.node if step else None
            self.line = step.line if step else self.line
        if self.silent and self.problem["type"] == "value_error":
            # A rule of several keys quotes them, the one to look at first.
            for name in _QUOTED.findall(self.problem["msg"]):
                place = follow(node, name)
                if place is not None:
                    self.line = place.line
                    break

    @property
    def missing(self) -> bool:
        return bool(self.problem["type"] == "missing")

    @property
    def silent(self) -> bool:
        """Whether the value is too much to be shown: a section, of which a rule names the keys."""
        return self.problem["type"] == "value_error" and isinstance(self.problem["input"], dict)

    @property
    def key(self) -> str:
        return ".".join(str(part)[:SHOWN] for part in self.path) or "(the complete file)"


def _mistake(problems: Sequence[_Problem]) -> Mistake:
    """Return what is wrong at a place, and what the members of a union say together."""
    first = problems[0]
    kind, value = first.problem["type"], shown(first.problem["input"])
    if first.missing:
        last = str(first.path[-1])
        where = f" under `{first.key.rpartition('.')[0]}`" if len(first.path) > 1 else ""
        means = next((f" ({one.description})" for one in _declared(first) if one.description), "")
        return Mistake(first.line, f"{first.key} is missing", f"write `{last}: ...`{where}{means}")
    if kind == "extra_forbidden":
        return Mistake(first.line, f"{first.key}: there is no such key, got {value}", _other(first))
    if kind == "value_error":
        said = first.problem["msg"].removeprefix("Value error, ")[: 5 * SHOWN]
        what, _, remedy = said.partition("; ")
        known = first.silent or repr(first.problem["input"]) in what
        given = "" if known else f", got {value}"
        about = f"{first.key}: " if first.path else ""
        return Mistake(first.line, f"{about}{what}{given}", remedy or "correct it")
    remedies = dict.fromkeys(map(_remedy, problems))
    remedy = next(iter(remedies)) + "".join(
        f" or {one.removeprefix('write ')}" for one in list(remedies)[1:]
    )
    what = "nothing stands there" if first.problem["input"] is None else f"{value} does not fit"
    return Mistake(first.line, f"{first.key}: {what}", remedy)


def _remedy(one: _Problem) -> str:
    template = _REMEDIES.get(one.problem["type"])
    if template is None:
        return str(one.problem["msg"]).replace("Input should be", "write")
    return template.format(**one.problem.get("ctx", {}))


def _other(problem: _Problem) -> str:
    """Return what to do about a key that is not known: the nearest one, or all there are."""
    models = [one for kind in problem.fields for one in models_of(kind)]
    known = list(dict.fromkeys(key for model in models for key in model.model_fields))
    if not known:
        return "remove it, or correct its name"
    near = get_close_matches(str(problem.path[-1]), known, 1)
    return f"did you mean `{near[0]}`?" if near else f"remove it; the keys are {', '.join(known)}"


def _declared(problem: _Problem) -> Iterator[Any]:
    for kind in problem.fields:
        for model in models_of(kind):
            if problem.path[-1] in model.model_fields:
                yield model.model_fields[str(problem.path[-1])]
