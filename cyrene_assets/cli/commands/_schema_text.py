"""A JSON schema as lines for a person: every key, its values, and what it means."""

from collections.abc import Iterator
from typing import Any


def describe_schema(schema: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key with dots between its parts, the values it takes, and its description."""
    yield from _keys(schema, schema.get("$defs", {}), "")


def _keys(
    part: dict[str, Any], definitions: dict[str, Any], prefix: str
) -> Iterator[tuple[str, str, str]]:
    required = part.get("required", ())
    for name, entry in part.get("properties", {}).items():
        key = f"{prefix}{name}"
        values = _values(entry, definitions)
        if name not in required and entry.get("default") is not None:
            values += f", {entry['default']} where unset"
        yield key, values, entry.get("description", "")
        for inner in _objects(entry, definitions):
            yield from _keys(inner, definitions, f"{key}.")


def _objects(entry: dict[str, Any], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects with named keys that an entry may be."""
    for option in _options(entry, definitions):
        if "properties" in option:
            yield option


def _options(entry: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what an entry may be, references followed."""
    options = entry.get("anyOf") or entry.get("oneOf") or entry.get("allOf") or [entry]
    return [
        definitions[option["$ref"].rpartition("/")[2]] if "$ref" in option else option
        for option in options
    ]


def _values(entry: dict[str, Any], definitions: dict[str, Any]) -> str:
    shown = []
    for option in _options(entry, definitions):
        if "enum" in option or "const" in option:
            shown += [str(value) for value in option.get("enum", [option.get("const")])]
        elif "properties" in option:
            shown.append("section")
        else:
            limits = [
                f"{sign} {option[name]}"
                for name, sign in (
                    ("minimum", "at least"),
                    ("exclusiveMinimum", "above"),
                    ("maximum", "at most"),
                    ("exclusiveMaximum", "below"),
                )
                if name in option
            ]
            shown.append(" ".join([str(option.get("type", "any")), " and ".join(limits)]).strip())
    return " or ".join(dict.fromkeys(shown))
