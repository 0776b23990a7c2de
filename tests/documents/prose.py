"""Everything that the project says in words: documents, comments, docstrings, messages, pages."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from documents.pages import ROOT, documents

# Code within documents: identifiers and what programs print stay as they are.
_CODE = re.compile(r"^ *(`{3,}).*?^ *\1$|(?<!`)(`+)(?!`).*?(?<!`)\2(?!`)", re.M | re.S)
_TEMPLATE_CODE = re.compile(r"\{[{%].*?[%}]\}|<(?:style|script)\b.*?</(?:style|script)>", re.S)
_COMMENT = re.compile(r"(?:^|\s)(#[^!].*)$", re.M)
# Code within comments and messages, and what an f-string puts into its place.
_NOT_SAID = re.compile(r"(`+).+?\1|\{[^{}]*\}")
_STRINGS = {tokenize.STRING} | (
    {tokenize.FSTRING_MIDDLE} if hasattr(tokenize, "FSTRING_MIDDLE") else set()
)


@dataclass(frozen=True)
class Line:
    """One line of prose, and where it stands."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.text.strip()}"


@cache
def all_prose() -> tuple[Line, ...]:
    """Return every line of the project's prose, read once for all tests.

    Strings of tests and benchmarks are left out: they are texts of stories, and messages that the
    package says.
    """
    return tuple(_prose())


def _prose() -> Iterator[Line]:
    for path in documents():
        yield from _outside(path, _CODE)
    for path in sorted((ROOT / "cyrene_assets").rglob("*.j2")):
        yield from _outside(path, _TEMPLATE_CODE)
    for name in ("Makefile", "Dockerfile", "compose.yaml", "compose.gpu.yaml", "pyproject.toml"):
        yield from _comments(ROOT / name)
    for path in sorted((ROOT / "scripts").iterdir()):
        if path.is_file() and path.suffix != ".py":
            yield from _comments(path)
    for folder in ("cyrene_assets", "scripts", "benchmarks", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from of_python(path, strings=folder in {"cyrene_assets", "scripts"})


def of_python(path: Path, *, strings: bool) -> Iterator[Line]:
    """Yield comments and docstrings of a Python file, and its other strings with ``strings``."""
    source = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    starts = set() if strings else _docstrings(source)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (
            token.type in _STRINGS and (strings or token.start[0] in starts)
        ):
            # A string of one word is a name in data: a column, a key, an option.
            if token.type != tokenize.COMMENT and re.fullmatch(r"\W*\w+\W*", token.string):
                continue
            for number, text in enumerate(token.string.splitlines(), token.start[0]):
                yield Line(name, number, _NOT_SAID.sub("", text))


def _docstrings(source: str) -> set[int]:
    """Return the lines on which a docstring begins."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    return {
        body[0].lineno
        for body in bodies
        if body
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    }


def _outside(path: Path, code: re.Pattern[str]) -> Iterator[Line]:
    """Yield the lines of a text without its code, which leaves its line breaks behind."""
    text = path.read_text(encoding="utf-8")
    text = code.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(text.splitlines(), 1):
        yield Line(path.relative_to(ROOT).as_posix(), number, line)


def _comments(path: Path) -> Iterator[Line]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for comment in _COMMENT.findall(line):
            yield Line(path.relative_to(ROOT).as_posix(), number, comment)
