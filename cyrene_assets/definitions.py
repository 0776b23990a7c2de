"""The code location: loads ``defs/`` and applies what cuts across all of it."""

import importlib
import pkgutil
import warnings
from pathlib import Path

import dagster as dg

from cyrene_assets.orchestration.warm_runs import start_runs_warm
from cyrene_assets.project.instance import check_home_matches_shell

_FOLDER = Path(__file__).parent / "defs"


def load_specs() -> None:
    """Register what is known of every artifact asset (``SPECS``), and nothing more.

    Dagster's own loading also describes every component there is, which takes longer than all of
    this: who runs no asset does without it.

    Raises:
        UserError: project.yaml or corpus.yaml does not fit.
    """
    with warnings.catch_warnings():
        for category in (dg.BetaWarning, dg.PreviewWarning):
            warnings.simplefilter("ignore", category)
        for module in pkgutil.iter_modules([str(_FOLDER)]):
            importlib.import_module(f"cyrene_assets.defs.{module.name}")


@dg.definitions
def defs() -> dg.Definitions:
    """Return every definition under ``defs/``.

    Raises:
        UserError: ``.env`` and the shell name different projects.
    """
    check_home_matches_shell()
    start_runs_warm()
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
