"""The project's documents, read as a forge reads them: links, headings, code."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cyrene_assets.project.folders import PROJECT_ROOT

ROOT = PROJECT_ROOT
_FENCE = re.compile(
    r"^ *(?P<marks>`{3,})(?P<language>\w*)\n(?P<body>.*?)^ *(?P=marks)\n", re.M | re.S
)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)", re.S)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.M)
_PROMPT = re.compile(r"^ *[$>] (?P<line>.*)$")


def documents() -> list[Path]:
    """Return every document but the texts of corpora and the licences of packages."""
    folders = [ROOT, ROOT / "docs", ROOT / "benchmarks", ROOT / "benchmarks/gpu"]
    return [page for folder in folders for page in sorted(folder.glob("*.md"))] + sorted(
        (ROOT / "corpora").glob("*/README.md")
    )


@dataclass(frozen=True)
class Page:
    """One document."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its fenced code."""
        return _FENCE.sub("", self.text)

    def fences(self) -> Iterator[tuple[str, str]]:
        """Yield the language and the text of each block of code."""
        for block in _FENCE.finditer(self.text):
            yield block["language"], block["body"]

    def shell_lines(self) -> Iterator[str]:
        """Yield what a person types: lines behind a prompt, and commands by themselves."""
        for language, body in self.fences():
            lines = body.replace("\\\n", " ").splitlines()
            for line in lines:
                typed = _PROMPT.match(line)
                if typed is not None and language == "console":
                    yield typed["line"].strip()
                elif language in {"sh", "bash"} or re.match(r" *(cyrene|make) ", line):
                    yield line.strip()

    def spans(self) -> list[str]:
        """Return code within sentences, line breaks taken for blanks."""
        return [" ".join(span.split()) for span in _SPAN.findall(self.prose)]

    def links(self) -> list[str]:
        return _LINK.findall(_SPAN.sub("", self.prose))

    def anchors(self) -> set[str]:
        """Return the anchors of the headings, as forges name them."""
        return {anchor(heading) for heading in _HEADING.findall(self.prose)}


def anchor(heading: str) -> str:
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def words(line: str) -> list[str]:
    """Split a command line as a shell does, without its comment.

    An apostrophe in a sentence is no quotation: then the blanks alone split.
    """
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


PAGES = [Page(path) for path in documents()]
