"""Hide packages from a Python whose PYTHONPATH has this folder: those that WITHOUT names."""

import os
import sys
from typing import Any

HIDDEN = frozenset(filter(None, os.environ.get("WITHOUT", "").split(",")))


class Without:
    """A finder of modules that does not find what is hidden."""

    def __init__(self, finder: Any) -> None:
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)

    def find_spec(self, name: str, *rest: Any) -> Any:
        """Return what the finder finds, or None."""
        return None if name.partition(".")[0] in HIDDEN else self._finder.find_spec(name, *rest)


if HIDDEN:
    sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
