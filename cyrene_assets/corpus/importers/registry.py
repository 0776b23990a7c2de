"""The formats that dialog is imported from, by name."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel

from cyrene_assets.corpus.importers import formats as installed
from cyrene_assets.corpus.importers.imported import Imported, ImportHints, Progress
from cyrene_assets.utils.errors import UserError


class Importer(Protocol):
    """What a module of this package provides."""

    SUMMARY: str
    EXAMPLES: tuple[str, ...]
    Options: type[BaseModel]

    def read(self, path: Path, options: Any, hints: ImportHints, progress: Progress) -> Imported:
        """Read everything at ``path``.

        Raises:
            SourceError: its files cannot be used.
        """
        ...


def formats() -> list[str]:
    """Return the names of the formats there are."""
    names = (module.name for module in pkgutil.iter_modules(installed.__path__))
    return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))


def importer(name: str) -> Importer:
    """Return the importer of the format called ``name``.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    if name not in formats():
        raise UserError(f"unknown format {name!r}: give one of {', '.join(formats())}")
    return cast(Importer, importlib.import_module(f"{installed.__name__}.{name.replace('-', '_')}"))
