"""What docstrings and comments of the package say of other modules is there."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from documents.pages import ROOT

PACKAGE = ROOT / "cyrene_assets"
# A module of the package by its complete name, and what is in it.
REFERENCE = re.compile(r"\bcyrene_assets(?:\.\w+)+")
# A module by its last name and something in it, between backticks: ``planner.plan``.
SHORT = re.compile(r"``(\w+)\.(?!(?:json|jsonl|yaml|jinja|parquet)`)(\w+)(?:\(\))?``")
# Modules' names that are a value, a key of a recipe or a library, too.
OTHERS = {"build", "instance", "quantization", "safetensors"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def prose(path: Path) -> Iterator[str]:
    """Yield the strings and comments of a module."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.string


def names_in(path: Path) -> set[str]:
    """Return what a module's source binds anywhere: classes, functions, names, imports, fields."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return names


def is_there(reference: str) -> bool:
    """Return whether a dotted name is a module of the package, a folder, or a name in a module."""
    folder, parts = PACKAGE, reference.split(".")[1:]
    for number, part in enumerate(parts):
        if (folder / part).is_dir():
            folder /= part
        elif (module := folder / f"{part}.py").is_file():
            return set(parts[number + 1 :]) <= names_in(module)
        else:
            return set(parts[number:]) <= names_in(folder / "__init__.py")
    return True


def broken(path: Path) -> list[str]:
    """Return the references of a module to what is not there."""
    by_name: dict[str, list[Path]] = {}
    for module in MODULES:
        by_name.setdefault(module.stem, []).append(module)
    found = []
    for text in prose(path):
        found += [match[0] for match in REFERENCE.finditer(text) if not is_there(match[0])]
        for match in SHORT.finditer(text):
            modules = by_name.get(match[1], []) if match[1] not in OTHERS else []
            if modules and all(match[2] not in names_in(module) for module in modules):
                found.append(f"{match[1]}.{match[2]}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_references_of_a_module_lead_to_what_is_there(path: Path) -> None:
    assert broken(path) == []


def test_reference_to_what_is_not_there_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""See cyrene_assets.training.swift_args.lost, ``planner.lost`` and ``planner.plan``,\n'
        'and cyrene_assets.training.swift_args.StageCommand."""\n'
        "# cyrene_assets.nowhere.at_all\n",
        encoding="utf-8",
    )
    assert broken(module) == [
        "cyrene_assets.training.swift_args.lost",
        "planner.lost",
        "cyrene_assets.nowhere.at_all",
    ]
