"""What is wrong with a Dagster instance, in one line with its remedy; the store is safe from it."""

import logging
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster_shared.check import CheckError

from cyrene_assets.project.instance_files import config_file, damaged
from cyrene_assets.project.project import Project
from cyrene_assets.utils.disk_errors import free_bytes
from cyrene_assets.utils.errors import BuildError, UserError

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

_SAFE = "the store is safe, and `cyrene status` records in the database again what it has"
_UNSET = re.compile(r'environment variable "([^"]+)" which is not set')
_UNLOADABLE = re.compile(r"Couldn't import module (\S+) when|Couldn't find class (\S+) in module")
# PostgreSQL's own driver has one class for all: what it says begins with a place or a severity.
_POSTGRES = re.compile(r"connection to server|could not translate host name|FATAL:|server closed")


class InstanceError(BuildError):
    """The Dagster instance cannot be used as it is; no artifact is touched by it."""


@contextmanager
def instance_errors(project: Project) -> Iterator[None]:
    """Turn what Dagster and its databases say into an error that says what to do.

    Raises:
        InstanceError: a database is damaged or does not answer, or ``dagster.yaml`` names a
            package or an environment variable that is not there.
        UserError: ``dagster.yaml`` does not fit, or the database cannot be written to.
        BuildError: the disk failed while the instance was open, as a full one does.
    """
    try:
        with _without_retries():
            yield
    except dg.DagsterInvalidConfigError as error:
        raise _of_settings(project, error) from error
    except CheckError as error:
        match = _UNLOADABLE.search(str(error))
        if match is None:
            raise
        raise _of_package(project, match[1] or match[2]) from error
    except Exception as error:
        # What raised one of these has loaded it.
        from sqlalchemy.exc import ArgumentError, DBAPIError

        if isinstance(error, ArgumentError):
            raise InstanceError(
                f"{config_file(project)}: the database's address cannot be read "
                f"({_line(str(error))}): correct `storage`; {_SAFE}"
            ) from error
        if isinstance(error, DBAPIError):
            raise _of_database(project, error) from error
        # Importing its class would load all of dagster-postgres, for seconds, where nobody uses it.
        if type(error).__name__ != "DagsterPostgresException":
            raise
        raise _of_server(project, str(error.__cause__ or error)) from error


@contextmanager
def _without_retries() -> Iterator[None]:
    """Keep what dagster-postgres logs of each of its tries from the terminal: the last one is told.

    It logs to the root of all logs.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Retrying failed database connection")

    root = logging.getLogger()
    root.addFilter(is_other)
    try:
        yield
    finally:
        root.removeFilter(is_other)


def _of_settings(project: Project, error: dg.DagsterInvalidConfigError) -> Exception:
    unset = _UNSET.search(str(error))
    if unset is not None:
        return InstanceError(
            f"{config_file(project)} takes a setting from the environment variable {unset[1]}, "
            f"which is not set: set it, or write the setting out; {_SAFE}"
        )
    return UserError(f"{config_file(project)}: {error}")


def _of_package(project: Project, module: str) -> InstanceError:
    package = module.partition(".")[0].replace("_", "-")
    return InstanceError(
        f"{config_file(project)} names {module}, which is not installed: "
        f"`.venv/bin/uv pip install --python .venv/bin/python {package}`, or remove what names it; "
        f"{_SAFE}"
    )


def _of_server(project: Project, said: str) -> InstanceError:
    return InstanceError(
        f"Dagster's PostgreSQL database does not answer ({_line(said)}): start its server, or "
        f"correct `storage` in {config_file(project)}; {_SAFE}"
    )


def _of_database(project: Project, error: "DBAPIError") -> Exception:
    from sqlalchemy.exc import OperationalError

    message, home = str(error.orig), project.dagster_home
    if not isinstance(error.orig, sqlite3.Error):
        return _of_server(project, message) if _POSTGRES.search(message) else error
    for file in damaged(home):
        return of_file(project, file, _line(message))
    if not isinstance(error, OperationalError):
        return error
    if "readonly" in message:
        return UserError(
            f"{home}: Dagster's database cannot be written to ({message}): make the folder "
            "writable, or set CYRENE_HOME to one that is"
        )
    return BuildError(
        f"{home}: Dagster's database failed ({message}; {free_bytes(home) / 1e9:.1f} GB free): "
        "make room (`cyrene gc --now` removes what nothing refers to) or set CYRENE_HOME to "
        "another disk, and run the same command again"
    )


def of_file(project: Project, file: Path, said: str) -> InstanceError:
    """Return the error for a damaged database file."""
    folder = project.dagster_home / file.relative_to(project.dagster_home).parts[0]
    move = shlex.join(["mv", str(folder), f"{folder}.damaged"])
    return InstanceError(
        f"{file}: this database of Dagster's is damaged ({said}): move it away (`{move}`) and run "
        f"the same command again; {_SAFE}"
    )


def _line(said: str) -> str:
    """Return the first line that says something, without a password."""
    first = next((line.strip() for line in said.splitlines() if line.strip()), "no reason given")
    with suppress(ValueError):
        first = re.sub(r"//[^/@\s]*@", "//***@", first)
    return first.removeprefix("(psycopg2.OperationalError) ")


def load_all(instance: dg.DagsterInstance) -> None:
    """Load what ``dagster.yaml`` names and Dagster would load much later."""
    for name in ("run_launcher", "run_coordinator", "compute_log_manager", "scheduler"):
        getattr(instance, name)
