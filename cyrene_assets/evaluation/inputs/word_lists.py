"""Texts of the evaluation itself: word lists, questions and a formal text by language.

All of it was written for this project. None of it is ever trained on.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def word_list(path: Path) -> dict[str, Any]:
    """Read one of the package's YAML files, a mapping by language code."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content
