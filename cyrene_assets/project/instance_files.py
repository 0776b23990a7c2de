"""A Dagster instance's own files, read without Dagster.

Loading what Dagster opens its databases with takes longer than most answers. As Dagster's defaults
have it the databases are SQLite's, next to ``dagster.yaml``; one whose tables this very Dagster has
opened before, under the same ``dagster.yaml``, holds what it says it does.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cyrene_assets.project.project import Project
from cyrene_assets.utils.files import short_digest, write_durably

# Settings that put a database elsewhere, or that the environment decides on.
_ELSEWHERE = re.compile(
    r"^\s*(?:\w*storage|instance_class|local_artifact_storage)\s*:|\benv\s*:", re.MULTILINE
)
_MARK = "instance.opened"
_EVENTS, _RUNS, _SCHEDULES = "history/runs/index.db", "history/runs.db", "schedules/schedules.db"
# Of the tables that Dagster reads at once; the columns are those that are queried here.
_TABLES: dict[str, dict[str, tuple[str, ...]]] = {
    _EVENTS: {
        "event_logs": ("id", "event", "dagster_event_type", "asset_key", "partition"),
        "asset_keys": ("asset_key", "wipe_timestamp"),
        "concurrency_slots": ("run_id",),
        "pending_steps": ("run_id",),
    },
    _RUNS: {"runs": ("run_id", "status"), "daemon_heartbeats": ("daemon_type", "timestamp")},
    _SCHEDULES: {"instigators": ("id",)},
}


class FilesUnreadableError(Exception):
    """The files do not tell: Dagster itself has to open them, and says what is wrong."""


def config_file(project: Project) -> Path:
    """Return the instance's ``dagster.yaml``."""
    return project.dagster_home / "dagster.yaml"


def remember_opened(project: Project) -> None:
    """Note that this Dagster has opened the instance as it is configured now."""
    # An instance of which this cannot be noted is opened by Dagster each time.
    with suppress(OSError):
        mark, state = project.work / _MARK, _state(project)
        if state and (not mark.is_file() or mark.read_text(encoding="utf-8") != state):
            write_durably(mark, state)


class InstanceFiles:
    """The databases of an instance, opened for reading at their first query."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self._home = home
        self._stack = stack

    def events(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """Return the rows of a query to the database of events.

        Raises:
            FilesUnreadableError: it cannot be read.
        """
        return _rows(self._events, query, values)

    def runs(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """Return the rows of a query to the database of runs; errors as ``events``."""
        return _rows(self._runs, query, values)

    def read_tables(self) -> None:
        """Read of every table that Dagster reads; errors as ``events``."""
        databases = {_EVENTS: self._events, _RUNS: self._runs, _SCHEDULES: self._schedules}
        for name, tables in _TABLES.items():
            for table, columns in tables.items():
                query = f"SELECT {', '.join(columns)} FROM {table} LIMIT 1"  # noqa: S608  # names
                _rows(databases[name], query, ())

    @cached_property
    def _events(self) -> sqlite3.Connection:
        return self._open(_EVENTS)

    @cached_property
    def _runs(self) -> sqlite3.Connection:
        return self._open(_RUNS)

    @cached_property
    def _schedules(self) -> sqlite3.Connection:
        return self._open(_SCHEDULES)

    def _open(self, name: str) -> sqlite3.Connection:
        file = self._home / name
        try:
            connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=60)
        except sqlite3.Error as error:
            raise FilesUnreadableError(f"{file}: {error}") from error
        return self._stack.enter_context(closing(connection))


@contextmanager
def open_files(project: Project) -> Iterator[InstanceFiles | None]:
    """Open the instance's files, where they are known to be as this Dagster has them; else None."""
    with ExitStack() as stack:
        known = False
        # Without a mark it was never opened; without settings there is nothing to open.
        with suppress(OSError):
            noted = (project.work / _MARK).read_text(encoding="utf-8")
            known = noted != "" and noted == _state(project)
        yield InstanceFiles(project.dagster_home, stack) if known else None


def damaged(dagster_home: Path) -> list[Path]:
    """Return the SQLite files of an instance that SQLite cannot read, or finds a fault in."""
    files = [*dagster_home.glob("history/**/*.db"), *dagster_home.glob("schedules/*.db")]
    return [file for file in sorted(files) if not _is_sound(file)]


def _is_sound(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError:  # locked, or a disk that refuses: nothing is known of it
        return True
    except sqlite3.DatabaseError:
        return False


def _rows(database: sqlite3.Connection, query: str, values: Sequence[object]) -> list[Any]:
    try:
        return database.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise FilesUnreadableError(str(error)) from error


def _state(project: Project) -> str:
    """Return what has to be the same: the instance's place, its settings, Dagster's version.

    Empty where the databases are not in the instance's folder.

    Raises:
        OSError: there are no settings to be read.
    """
    settings = config_file(project).read_bytes()
    if _ELSEWHERE.search(settings.decode("utf-8", "replace")):
        return ""
    parts = (str(project.dagster_home), settings.hex(), version("dagster"))
    return short_digest("\n".join(parts)) + "\n"
