"""Importers: what brings dialog in somebody else's format into the plain layout of a corpus.

A format is a module of this package, known by its file name (``openai_messages`` is the format
``openai-messages``), with

- ``SUMMARY``: what it reads, in half a line;
- ``EXAMPLES``: commands as a person types them;
- ``Options``: a pydantic model of its own options; the fields' descriptions are their help;
- ``read(path, options, wanted, progress) -> Imported``: everything that is read, and what was
  skipped and why. Raises ``SourceError`` with what is wrong with the files.

Nothing else has to be edited to add one. A module with a leading underscore is no format.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel

from cyrene_assets.corpus.importers._imported import Imported, Progress, Wanted
from cyrene_assets.utils.errors import UserError


class Importer(Protocol):
    """What a module of this package provides."""

    SUMMARY: str
    EXAMPLES: tuple[str, ...]
    Options: type[BaseModel]

    def read(self, path: Path, options: Any, wanted: Wanted, progress: Progress) -> Imported:
        """Read everything at ``path``.

        Raises:
            SourceError: its files cannot be used.
        """
        ...


def formats() -> list[str]:
    """Return the names of the formats there are."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))


def importer(name: str) -> Importer:
    """Return the importer of the format called ``name``.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    if name not in formats():
        raise UserError(f"unknown format {name!r}: give one of {', '.join(formats())}")
    return cast(Importer, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
