"""The Dagster instance of a project: its configuration, and the .env that points tools at it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dotenv import dotenv_values
from filelock import FileLock

from cyrene_assets.config.yaml_config import read_yaml
from cyrene_assets.project import home_identity
from cyrene_assets.project.instance_errors import instance_errors, load_all
from cyrene_assets.project.instance_files import remember_opened
from cyrene_assets.project.migrations import read_migrations_once
from cyrene_assets.project.project import Project
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.files import write_durably

_DAGSTER_YAML = """\
# Written once by `cyrene init`; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false

# One step of the pool "gpu" at a time, whichever run it belongs to; a slot that a run did not give
# back is free half a minute after the run's end.
concurrency:
  pools:
    default_limit: 1
    granularity: op
  runs:
    max_concurrent_runs: 4

# Runs of different languages are requested and start in parallel, and soon: a changed corpus takes
# one for each.
sensors:
  use_threads: true
  num_workers: 2
  num_submit_workers: 4
run_queue:
  dequeue_interval_seconds: 2
  dequeue_use_threads: true
  dequeue_num_workers: 4

run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 30

# What sensors, schedules and automation conditions did is kept for a month, and for a day where it
# was nothing: they look every few seconds. `cyrene gc` removes old runs.
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days: {skipped: 1, started: 1, success: 30, failure: 30}
  auto_materialize:
    purge_after_days: 30
"""

# What a value in .env needs no quotes for.
_PLAIN = re.compile(r"[\w./:@%+,~-]*", re.ASCII)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_DOTENV_NAMES = ("CYRENE_HOME", "DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY")


def prepare(project: Project, root: Path, *, repoint: bool = True) -> None:
    """Make the instance's folder, its ``dagster.yaml``, and the ``.env`` in ``root``.

    Dagster's commands read ``.env`` from the folder they are run in, so that a bare shell uses the
    same instance as ``cyrene`` and the UI. Only the lines this function owns are replaced, and
    with ``repoint`` false not even those: one that names an instance already is left alone.

    Raises:
        UserError: a folder cannot be written to.
        BuildError: the disk is full.
    """
    home = project.dagster_home
    with disk_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        config = home / "dagster.yaml"
        if not config.exists():
            write_durably(config, _DAGSTER_YAML)
    home_identity.claim_instance(project)
    if (root / "workspace.yaml").is_file():
        _write_dotenv(project, root / ".env", repoint=repoint)


def _write_dotenv(project: Project, file: Path, *, repoint: bool) -> None:
    ours = dict(
        zip(_DOTENV_NAMES, (str(project.home), str(project.dagster_home), "1"), strict=True)
    )
    named = dotenv_values(file) if file.exists() else {}
    if all(named.get(name) == value for name, value in ours.items()):
        # Nothing to write, and in a container nowhere to write it to.
        return
    if not repoint and not named.keys().isdisjoint(ours):
        return
    old = file.read_text(encoding="utf-8").split("\n") if file.exists() else []
    kept = [line for line in old if line.partition("=")[0].strip() not in ours]
    while kept and not kept[-1]:
        kept.pop()
    lines = [*kept, *(f"{name}={_quoted(value)}" for name, value in ours.items())]
    text = "\n".join(lines) + "\n"
    with disk_errors(file):
        write_durably(file, text)


def _quoted(value: str) -> str:
    """Return a value as python-dotenv reads it back, whatever is in it."""
    if _PLAIN.fullmatch(value):
        return value
    for character, escaped in _ESCAPES.items():
        value = value.replace(character, escaped)
    # There is no escape for a variable: one without a name, whose default is the sign itself.
    value = value.replace("${", "${:-$}{")
    return f'"{value}"'


def check_home_matches_shell() -> None:
    """Refuse to load for another home than the one the shell names.

    Dagster's commands let ``.env`` override the shell's own variables. Where the system tells what
    the process was started with, a contradiction is an error instead of a build in the wrong place.

    Raises:
        UserError: the shell's CYRENE_HOME is not the one in ``.env``.
    """
    started_with, dotenv = Path("/proc/self/environ"), Path(".env")
    loaded = os.environ.get("CYRENE_HOME", "")
    if not (started_with.is_file() and dotenv.is_file()):
        return
    if dotenv_values(dotenv).get("CYRENE_HOME") != loaded:
        return
    entries = started_with.read_bytes().split(b"\0")
    shell = dict(entry.partition(b"=")[::2] for entry in entries)
    named = os.fsdecode(shell.get(b"CYRENE_HOME", b""))
    if named and Path(named).resolve() != Path(loaded).resolve():
        raise UserError(
            f"CYRENE_HOME is {named} in the shell, but {loaded} by the .env of this folder, which "
            "Dagster's commands obey: run `cyrene init` to point .env at the shell's, or unset it"
        )


@contextmanager
def open_instance(project: Project) -> Iterator[dg.DagsterInstance]:
    """Open the project's instance; the first to open it makes its databases, and alone.

    Two that make them at once leave databases that nobody can open any more.

    Raises:
        UserError: its ``dagster.yaml`` is not valid, or its database cannot be written to.
        InstanceError: a database is damaged or does not answer, or ``dagster.yaml`` names a package
            or an environment variable that is not there.
        BuildError: its database failed while the instance was open, as on a full disk.
    """
    config = project.dagster_home / "dagster.yaml"
    settings = read_yaml(config)
    if not isinstance(settings, dict | None):
        raise UserError(f"{config}: has no keys and values: fix it, or remove it to start over")
    os.environ["DAGSTER_HOME"] = str(project.dagster_home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    with disk_errors(project.work):
        project.work.mkdir(parents=True, exist_ok=True)
        turn = FileLock(project.work / "instance.lock").acquire()
    read_migrations_once()
    with instance_errors(project):
        with turn:
            instance = dg.DagsterInstance.get()
        with instance:
            load_all(instance)
            remember_opened(project)
            yield instance
