"""The code location: loads ``defs/`` and applies what cuts across all of it."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Return every definition under ``defs/``."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
