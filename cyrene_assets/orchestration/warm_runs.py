"""Runs of the UI and its daemon start from a process that has loaded what they need already.

Dagster starts a fresh Python for each run, which loads Dagster, this package and its libraries:
three seconds of processor time, for runs that often take one. A change of one line takes four runs
one after another. Here the server of the code location has a process next to it that has loaded all
of that once, does nothing else, and is copied for each run (Python's ``forkserver``). The
definitions themselves, and the project's files, are read by each run.

This reaches into Dagster and into ``multiprocessing``: a test says what is missing once these
change, and then runs start as Dagster starts them.
"""

import multiprocessing
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from dagster._grpc.impl import start_run_in_subprocess

_DEFS = Path(__file__).parents[1] / "defs"
# What runs of the corpus assets and training sets load; a library's threads begin at its first
# use, which is in a run.
PRELOADED = (
    "cyrene_assets.orchestration.quiet_imports",
    "dagster._grpc.impl",
    "cyrene_assets.definitions",
    *(f"cyrene_assets.defs.{module.name}" for module in iter_modules([str(_DEFS)])),
    "cyrene_assets.corpus.sources.registry",
    "cyrene_assets.corpus.sources.adapters.dialog",
    "cyrene_assets.corpus.sources.adapters.game_data",
    "cyrene_assets.corpus.preparation.parallel_corpus",
    "cyrene_assets.corpus.lint.corpus_outcomes",
    "cyrene_assets.corpus.lint.training_texts",
    "cyrene_assets.corpus.lint.packed_sets",
)


def start_runs_warm() -> bool:
    """Have this process start Dagster's runs from a loaded one, if it is a code location's server.

    Returns whether it does: other processes start none, and where a process cannot be copied
    (Windows; macOS, whose libraries do not allow it) runs start as they do without this.
    """
    is_server = sys.argv[1:3] == ["api", "grpc"] and multiprocessing.parent_process() is None
    if sys.platform != "linux" or not is_server:
        return False
    from multiprocessing import forkserver
    from multiprocessing.context import SpawnProcess

    multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOADED))
    # It loads while nobody waits.
    forkserver.ensure_running()
    SpawnProcess._Popen = staticmethod(_started)  # type: ignore[assignment, method-assign]
    return True


def _started(process: BaseProcess) -> Any:
    """Start a process that Dagster would spawn: a run from the loaded one, others as they are."""
    from multiprocessing import popen_forkserver, popen_spawn_posix

    if getattr(process, "_target", None) is start_run_in_subprocess:
        return popen_forkserver.Popen(process)
    return popen_spawn_posix.Popen(process)
