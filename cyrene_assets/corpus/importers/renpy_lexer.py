"""Ren'Py scripts as logical lines and say statements; the engine's grammar, as far as dialog goes.

Sources: the engine's documentation of the script language, and its translation identifiers
(``renpy/translation``): MD5 of a block's code, as the engine writes it back.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

_STRING = (
    r'r?(?:"""(?:[^\\"]|\\.|"(?!""))*"""|\'\'\'(?:[^\\\']|\\.|\'(?!\'\'))*\'\'\''
    r'|"(?:[^\\"]|\\.)*"|\'(?:[^\\\']|\\.)*\'|`(?:[^\\`]|\\.)*`)'
)
STRING = re.compile(_STRING, re.DOTALL)
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})|(?P<comment>#[^\n]*)|(?P<open>[(\[{{])|(?P<close>[)\]}}])"
    r"|(?P<newline>\\?\n)|(?P<word>\w+)|(?P<other>[^\"'`#()\[\]{}\n\\\w]+|.)",
    re.DOTALL,
)
_CALL = r"(?:\.\w+|\[[^\[\]\n]*\]|\((?:[^()]|\([^()]*\))*\))*"
_WHO = re.compile(rf"\s*((?:{_STRING}|[^\W\d]\w*){_CALL})", re.DOTALL)
_ATTRIBUTE = re.compile(r"\s+(-?[\w-]+)(?=\s)|\s+(-?[\w-]+)(?=[\"'`])")
_TEMPORARY = re.compile(r"\s*@")
_CLAUSE = re.compile(
    r"\s*(?:(?P<nointeract>nointeract)\b|with\s+(?P<with>\S+(?:\([^()]*\))?)|id\s+(?P<id>\w+)"
    r"|(?P<arguments>\((?:[^()\"']|\"(?:[^\\\"]|\\.)*\"|'(?:[^\\']|\\.)*'|\([^()]*\))*\)))"
)
# First words of statements that may have a string, and are no speakers.
_KEYWORDS = """
    as at audio auto behind call camera click default define elif else expression for from hide
    if image import in init jump key label layeredimage menu nvl old new on onlayer pause pass
    play python queue return rpy scene screen set show sound stop style testcase text transform
    translate voice while window with zorder music movie renpy extends use add imagebutton
    textbutton timer vbox hbox frame
"""
KEYWORDS = frozenset(_KEYWORDS.split())


class Logical(NamedTuple):
    """A logical line: its number, its indentation, and its text without comments."""

    number: int
    indent: int
    text: str


class Say(NamedTuple):
    """A say statement: who (an expression as written, None for narration), what, and its code."""

    number: int
    who: str | None
    what: str
    code: str
    identifier: str | None


def logical_lines(text: str) -> Iterator[Logical]:
    """Yield the lines of a script; strings and brackets may reach over several."""
    parts: list[str] = []
    number = begin = 1
    depth = 0
    for token in _TOKEN.finditer(text):
        kind, written = token.lastgroup, token[0]
        if kind == "newline" and (depth == 0 or _begins(parts)):
            yield from _logical(begin, parts)
            parts, depth = [], 0
        elif kind != "comment":
            depth += (kind == "open") - (kind == "close" and depth > 0)
            parts.append("\n" if kind == "newline" else written)
        number += written.count("\n")
        if not parts:
            begin = number
    yield from _logical(begin, parts)


def _begins(parts: list[str]) -> bool:
    """Return whether nothing but white space was read yet."""
    return not "".join(parts).strip()


def _logical(number: int, parts: list[str]) -> Iterator[Logical]:
    text = "".join(parts).expandtabs(8)
    stripped = text.strip()
    if stripped:
        yield Logical(number, len(text) - len(text.lstrip(" ")), stripped)


def string_value(written: str) -> str:
    """Return what a string literal says: escapes resolved, white space collapsed."""
    raw = written.startswith("r")
    quotes = 3 if re.match(r"r?(\"\"\"|'''|```)", written) else 1
    text = written[raw:][quotes:-quotes]
    if raw:
        return text
    return _unescaped(re.sub(r"\s+", " ", text))


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[2]:
            return chr(int(found[2], 16))
        return {"{": "{{", "[": "[[", "%": "%%", "n": "\n"}.get(found[1], found[1])

    return re.sub(r"\\(u([0-9a-fA-F]{1,4})|.)", one, text, flags=re.DOTALL)


def paragraphs(written: str) -> list[str]:
    """Return the texts of a string: those of a monologue's paragraphs, or the one it is."""
    if not re.match(r"r?(\"\"\"|'''|```)", written):
        return [string_value(written)]
    raw = written.startswith("r")
    text = written[raw:][3:-3]
    if raw:
        return [text]
    text = re.sub(r" *\n *", "\n", text)
    pieces = (re.sub(r"\s+", " ", piece.strip()) for piece in text.split("\n\n"))
    return [_unescaped(piece) for piece in pieces if piece]


def parse_say(line: Logical, *, interact: bool = True) -> list[Say] | None:
    """Return the say statements of a line, or None where it is none."""
    text = line.text
    found = STRING.match(text)
    if found is not None:
        rest = _clauses(text[found.end() :], interact)
        if rest is not None:
            return _says(line, None, "", found[0], rest)
    who = _WHO.match(text)
    if who is None or who[1].split("(")[0].split(".")[0] in KEYWORDS:
        return None
    at = who.end()
    attributes, at = _attributes(text, at)
    temporary = _TEMPORARY.match(text, at)
    if temporary:
        more, at = _attributes(" " + text[temporary.end() :], 0)
        text = " " + text[temporary.end() :]
        attributes += f"@ {more}" if more else ""
    blank = re.compile(r"\s*").match(text, at)
    found = STRING.match(text, blank.end() if blank else at)
    if found is None:
        return None
    rest = _clauses(text[found.end() :], interact)
    return None if rest is None else _says(line, who[1].strip(), attributes, found[0], rest)


def _attributes(text: str, at: int) -> tuple[str, int]:
    named = ""
    while (found := _ATTRIBUTE.match(text, at)) is not None:
        named += f"{found[1] or found[2]} "
        at = found.end()
    return named, at


def _clauses(text: str, interact: bool) -> tuple[str, str | None] | None:
    """Return what follows the text as the engine writes it, and the identifier; None if unknown."""
    identifier = arguments = transition = None
    at = 0
    while text[at:].strip():
        found = _CLAUSE.match(text, at)
        if found is None or found.end() == at:
            return None
        interact = interact and not found["nointeract"]
        identifier = found["id"] or identifier
        transition = found["with"] or transition
        arguments = found["arguments"] or arguments
        at = found.end()
    parts = ["" if interact else " nointeract", f" id {identifier}" if identifier else ""]
    parts += [f" {_arguments(arguments)}" if arguments else ""]
    return "".join((*parts, f" with {transition}" if transition else "")), identifier


def _arguments(written: str) -> str:
    inner = re.sub(r"\s*,\s*", ", ", " ".join(written[1:-1].split()).rstrip(", "))
    return "(" + re.sub(r"(\w)\s*=\s*(?!=)", r"\1=", inner) + ")"


def _says(
    line: Logical, who: str | None, attributes: str, written: str, rest: tuple[str, str | None]
) -> list[Say]:
    before = "" if who is None else f"{who} "
    return [
        Say(line.number, who, what, f"{before}{attributes}{_encoded(what)}{rest[0]}", rest[1])
        for what in paragraphs(written)
    ]


def _encoded(text: str) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return '"' + re.sub(r"(?<= ) ", r"\\ ", text) + '"'


def digest(codes: list[str]) -> str:
    """Return the eight digits by which the engine knows the block of these statements."""
    content = "".join(f"{code}\r\n" for code in codes)
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()[:8]
