"""Where things stand in a YAML document, and what a model of pydantic's expects there."""

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section whose further keys are those of another model, which ``chosen_by`` names."""

    model_config = ConfigDict(extra="allow", frozen=True)
    chosen_by: ClassVar[str]

    @classmethod
    def chosen(cls, value: str) -> type[BaseModel] | None:
        """Return the model of the further keys by what ``chosen_by`` is; None where there is none.

        The section may have mistakes.
        """
        raise NotImplementedError


class Step(NamedTuple):
    """A node and the line (from 1) at which it, or its key, begins."""

    line: int
    node: yaml.Node


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, the annotation itself where it is none."""
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _kinds(one)
    else:
        yield annotation


def models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation allows."""
    for kind in _kinds(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind


def inner(annotation: Any, part: str | int) -> Iterator[Any]:
    """Yield the annotations of what stands below a key, or a number, of what is annotated so."""
    for model in models_of(annotation):
        if part in model.model_fields:
            yield model.model_fields[str(part)].annotation
    for kind in _kinds(annotation):
        origin, own = get_origin(kind), get_args(kind)
        if origin is dict and not isinstance(part, int):
            yield own[1]
        elif origin in (tuple, list) and isinstance(part, int):
            yield own[0]


def with_chosen(annotation: Any, node: yaml.Node | None) -> Iterator[Any]:
    """Yield an annotation, and the models that ``Section`` in it chooses for a node."""
    yield annotation
    for model in models_of(annotation):
        step = below(node, model.chosen_by) if issubclass(model, Section) else None
        if issubclass(model, Section) and step and isinstance(step.node, yaml.ScalarNode):
            chosen = model.chosen(step.node.value)
            if chosen is not None:
                yield chosen


def below(node: yaml.Node | None, part: str | int) -> Step | None:
    """Return what stands under a key of a mapping, or at a place of a list; None where nothing."""
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # of a key that stands twice the last one counts
            if isinstance(key, yaml.ScalarNode) and key.value == str(part):
                return Step(key.start_mark.line + 1, value)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return Step(node.value[part].start_mark.line + 1, node.value[part])
    return None


def follow(node: yaml.Node | None, dotted: str) -> Step | None:
    """Return what a dotted path leads to, whose keys may have dots; None where nothing."""
    step = below(node, dotted)
    if step is not None:
        return step
    for end in (found.start() for found in re.finditer(r"\.", dotted)):
        step = below(node, dotted[:end])
        found = follow(step.node, dotted[end + 1 :]) if step else None
        if found is not None:
            return found
    return None
