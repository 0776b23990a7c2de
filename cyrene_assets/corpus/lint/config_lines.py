"""Problems of corpus.yaml, with the line of the key that each is about."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from cyrene_assets.config.yaml_places import follow
from cyrene_assets.corpus.sources.types import Problem

# Where a message says which key it is about: at its beginning, or in quotes.
_BEGINS = re.compile(r"([\w-]+(?:\.[^:\s]+)+): ")
_QUOTED = re.compile(r"`([^`:]+)[^`]*`")
_DOT = re.compile(r"\.")
_LANGUAGE = re.compile("take '([^']+)' off")


def add_lines(problems: Iterable[Problem], config: Path) -> list[Problem]:
    """Return problems, those of corpus.yaml (``config``) with the line of the key, if it has it."""
    found = list(problems)
    if not any(problem.file == config.name and not problem.line for problem in found):
        return found
    node = yaml.compose(config.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    return [
        replace(problem, line=_line(node, _keys(problem)))
        if problem.file == config.name and not problem.line
        else problem
        for problem in found
    ]


def _keys(problem: Problem) -> list[str]:
    """Return what may be keys in a problem's texts, those to look for first."""
    languages = [f"languages.{code}" for code in _LANGUAGE.findall(problem.remedy)]
    begins = _BEGINS.match(problem.message)
    quoted = [key for text in (problem.message, problem.remedy) for key in _QUOTED.findall(text)]
    return [*languages, *([begins[1]] if begins else []), *quoted]


def _line(node: yaml.Node | None, keys: Sequence[str]) -> int:
    """Return the line of the first key that is there, else of the section it would stand in."""
    sections = [key[: dot.start()] for key in keys for dot in reversed([*_DOT.finditer(key)])]
    for key in (*keys, *sections):
        found = follow(node, key)
        if found is not None:
            return found.line
    return 0
