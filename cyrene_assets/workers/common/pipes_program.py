"""What every program shares: its parameters, its progress, and the watch on its parent.

Under Dagster the parameters arrive as Pipes extras, and progress and result leave as Pipes custom
messages. By hand, ``python -m cyrene_assets.workers.train.pretrain extras.json`` reads the same
parameters from a file and prints the same messages as JSON lines.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster_pipes import PipesContext, open_dagster_pipes

from cyrene_assets.utils.errors import CyreneError, UserError

Json = Any
PROGRESS_SECONDS = 2.0


@contextmanager
def given_by_user() -> Iterator[None]:
    """Take what is found wrong inside for bad input.

    Raises:
        UserError: in place of any other :class:`CyreneError`.
    """
    try:
        yield
    except CyreneError as error:
        raise UserError(str(error)) from error


class Program:
    """A running program: ``extras`` are its parameters, as JSON values."""

    def __init__(self, extras: dict[str, Json], send: Callable[[dict[str, Json]], None]) -> None:
        self.extras = extras
        self._send = send
        self._last_progress = 0.0

    def progress(
        self, message: str, *, step: int | None = None, total: int | None = None, **metrics: float
    ) -> None:
        """Report progress.

        At most one report of a step goes out every two seconds, and the last step's; one without a
        step says that something else begins, and always does.
        """
        now = time.monotonic()
        if now - self._last_progress < PROGRESS_SECONDS and step != total:
            return
        self._last_progress = now
        self._send({"progress": message, "step": step, "total": total, "metrics": metrics})

    def result(self, values: dict[str, Json]) -> None:
        """Report the result. Without one the parent counts the program as failed."""
        self._send({"result": values})


def run(main: Callable[[Program], dict[str, Json]]) -> None:
    """Run ``main`` under Dagster Pipes, or by hand when a parameter file is the only argument."""
    if len(sys.argv) > 1:
        extras = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        _guarded(main, Program(extras, _print))
        return
    end_with_parent()
    with open_dagster_pipes() as pipes:
        _guarded(main, Program(dict(pipes.extras), _sender(pipes)))


def _sender(pipes: PipesContext) -> Callable[[dict[str, Json]], None]:
    return pipes.report_custom_message


def _print(message: dict[str, Json]) -> None:
    """Print a message on a line of its own, in one write: a tool's output comes from a thread."""
    sys.stdout.write(f"\n{json.dumps(message)}\n")
    sys.stdout.flush()


def _guarded(main: Callable[[Program], dict[str, Json]], program: Program) -> None:
    try:
        program.result(main(program))
    except CyreneError as error:
        program._send({"error": str(error), "exit_status": error.exit_status})
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_status)


def end_with_parent() -> None:
    """Kill the complete process group when the parent is gone, however it ended.

    The parent holds the write end of this process's standard input and never writes to it, so
    reading it returns only when the parent has died or has closed it on purpose.
    """

    def watch() -> None:
        os.read(0, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
