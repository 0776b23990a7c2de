"""What a source adapter takes and gives: the settings of a corpus, rows, problems."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from pydantic import BaseModel

from cyrene_assets.corpus.people import Language
from cyrene_assets.corpus.presets import Name
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.text_safety import escape_control_chars

if TYPE_CHECKING:
    import polars as pl

# In characters. Longer lines would be cut out of every training set anyway.
LONGEST_LINE = 100_000

Role = Literal["character", "player", "other", "narration", "document"]
Use = Literal["documents", "chats", "nothing"]
CONFIG_FILE = "corpus.yaml"
# The column that says what a row is for; a table in which every row is for both has none.
ONLY = "only"


class Row(NamedTuple):
    """One row of ``raw_dialog``: a line of dialog, or a complete document.

    ``unit`` aligns languages: the line's id or the document's. ``scene`` is the scene's id or the
    document's, ``order`` the position in it, ``file`` relative to the corpus root (or to the folder
    that the adapter reads) and ``line`` counted from 1. ``speaker_id`` is the source's own id of
    the speaker, the same in all languages, where it has one. ``only`` is None of what is for
    documents and chats alike; what is for nothing is aligned and checked, and not trained on.
    """

    unit: str
    scene: str
    order: int
    kind: str
    speaker: str | None
    role: Role
    title: str | None
    text: str
    language: str
    file: str
    line: int
    speaker_id: str | None = None
    only: Use | None = None


@dataclass(frozen=True)
class Problem:
    """Something wrong at a place of a corpus, and its remedy; ``line`` 0 means all of the file."""

    file: str
    line: int
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return escape_control_chars(f"{place}: {self.message}; {self.remedy}")


def config_problem(message: str, remedy: str) -> Problem:
    """Return what is wrong with a corpus as its corpus.yaml describes it.

    The key that a text quotes says where, once ``lint.config_lines`` has seen the file.
    """
    return Problem(CONFIG_FILE, 0, message, remedy)


class SourceError(UserError):
    """A corpus whose files cannot be used; ``problems`` says why, place by place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


def unreadable(file: str, error: OSError) -> Problem:
    """Return the problem of a file that the system does not let us read."""
    return Problem(file, 0, f"cannot be read: {error.strerror}", "make it a readable file")


def too_long(text: str) -> bool:
    """Return whether a line of the text has over ``LONGEST_LINE`` characters: no one says that."""
    lines = re.split(r"\\n|\n", text) if len(text) > LONGEST_LINE else []
    return any(len(line) > LONGEST_LINE for line in lines)


class SourceOptions(Protocol):
    """``source`` in corpus.yaml: the adapter's name, and what else stands there."""

    @property
    def adapter(self) -> str:
        """Return the adapter's name."""
        ...

    @property
    def model_extra(self) -> dict[str, Any] | None:
        """Return the adapter's own options."""
        ...


class CorpusSettings(Protocol):
    """What adapters and their readers know of corpus.yaml."""

    @property
    def source(self) -> SourceOptions:
        """Return what stands under ``source``."""
        ...

    @property
    def extra(self) -> Literal["refuse", "ignore"]:
        """Return what is done about keys that a line need not have."""
        ...

    @property
    def languages(self) -> Mapping[str, Language]:
        """Return the languages by their codes."""
        ...

    def language(self, code: str) -> Language:
        """Return a language by its code."""
        ...

    def named_speakers(self, language: str) -> dict[str, str]:
        """Return who is meant by what stands as speaker in a language's files."""
        ...


Batch: TypeAlias = "Row | pl.DataFrame | Problem"


class Adapter(Protocol):
    """What a module of this package provides."""

    Options: type[BaseModel]
    MARKUP: tuple[Name, ...]

    def files(self, root: Path, corpus: CorpusSettings, language: str) -> list[Path]:
        """Return the raw files of ``language``, those that exist, in a fixed order."""
        ...

    def read(self, root: Path, corpus: CorpusSettings, language: str) -> "Iterator[Batch]":
        """Yield the rows of ``language``, and a problem for what is left out of them.

        Raises:
            SourceError: its files cannot be used.
        """
        ...
