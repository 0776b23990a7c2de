"""The code location: loads ``defs/`` and applies what cuts across all of it."""

from pathlib import Path

import dagster as dg

from cyrene_assets.orchestration.warm_runs import start_runs_warm
from cyrene_assets.project.instance import check_home_matches_shell


@dg.definitions
def defs() -> dg.Definitions:
    """Return every definition under ``defs/``.

    Raises:
        UserError: ``.env`` and the shell name different projects.
    """
    check_home_matches_shell()
    start_runs_warm()
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
