"""Dagster's UI and daemon as one: both are there, or neither.

``dagster dev`` starts a web server and a daemon. Where the web server cannot listen, or one of the
two is ended, it may keep the other at work: a daemon that starts trainings and a UI that nobody can
open. Here the port is looked at first, and the end of either ends both.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from cyrene_assets.automation.code_location import UI_VARIABLE, address, query
from cyrene_assets.orchestration.literal_commands import VARIABLE
from cyrene_assets.project.folders import PROJECT_ROOT
from cyrene_assets.project.project import Project
from cyrene_assets.serving.server import check_port
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.utils.process_groups import end_group

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 1.0
# Both load the code location first; on a busy machine that takes a while.
_START_SECONDS = 300.0
# The daemon leaves a sign of life twice a minute; one that is over this old is looked at again,
# for a machine that slept has nothing but old ones.
_SILENT_SECONDS = 120.0
_AGAIN_SECONDS = 60.0
_HEALTH_SECONDS = 30.0
_ANSWER_SECONDS = 10.0
# Dagster gives each of its processes a minute to end.
_STOP_SECONDS = 130.0
_HEALTH = """
{ instance { info daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime } } } }
"""


def run_ui(
    project: Project, configuration: str, host: str, port: int, say: Callable[[str], None]
) -> None:
    """Run the UI and its daemon until this process is interrupted or terminated.

    Where this home's UI runs already, its address is said, and nothing is started.

    Args:
        project: whose home the UI is of.
        configuration: of its Dagster instance, as that tells it (YAML).
        host: the address to listen on.
        port: the port there.
        say: tells a person.

    Raises:
        UserError: the port is taken, or the address is not this machine's.
        BuildError: one of the two ended by itself; so did the other, then.
    """
    note = project.work / "ui.address"
    with disk_errors(project.work):
        project.work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(project.work / "ui.lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            there = note.read_text(encoding="utf-8").strip() if note.is_file() else "about to start"
            say(f"the UI of {project.home} is there already: {there}")
            return
    with held:
        check_port(host, port)
        where = address(host, port)
        with disk_errors(project.work):
            note.write_text(f"{where}\n", encoding="utf-8")
        try:
            _Ui(project, configuration, host, port, where).run(say)
        finally:
            note.unlink(missing_ok=True)


class _Ui:
    def __init__(
        self, project: Project, configuration: str, host: str, port: int, where: str
    ) -> None:
        self._storage = _storage(configuration)
        self._reached = where.removeprefix("http://").rpartition(":")[0].strip("[]"), port
        self._where = where
        self._stopping = False
        arguments = ["dev", "-w", str(PROJECT_ROOT / "workspace.yaml"), "-h", host, "-p", str(port)]
        inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
        # Not in the project's root: its .env may by now name another home, and Dagster's commands
        # let that override their environment whenever the code location is loaded again.
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(os.getpid()), *arguments],
            env={
                **inherited,
                "CYRENE_HOME": str(project.home),
                "DAGSTER_HOME": str(project.dagster_home),
                "DAGSTER_DISABLE_TELEMETRY": "1",
                UI_VARIABLE: where,
            },
            cwd=project.dagster_home,
            process_group=0,
        )

    def run(self, say: Callable[[str], None]) -> None:
        """Wait for the end; whatever is left of the processes ends then.

        Raises:
            BuildError: it was nobody's wish.
        """
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)
        try:
            why = self._until_ready()
            if why is None and not self._stopping:
                say(f"{self._where}  (stop with Ctrl-C)")
                why = self._until_one_ends()
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_STOP_SECONDS)
        finally:
            end_group(self._process)
        if not self._stopping:
            raise BuildError(f"the UI and its daemon were stopped: {why}; their output is above")

    def _stop(self, *_: object) -> None:
        """Stop in order: interrupted, Dagster ends its own processes, the daemon among them."""
        self._stopping = True
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def _until_ready(self) -> str | None:
        """Wait until this home's UI answers; return why it never will."""
        started = time.monotonic()
        while not self._stopping:
            if self._process.poll() is not None:
                return "Dagster ended before the UI answered"
            if self._answer() is not None:
                return None
            if time.monotonic() - started > _START_SECONDS:
                return f"the UI does not answer at {self._where} after {_START_SECONDS:.0f} s"
            time.sleep(_POLL_SECONDS)
        return None

    def _until_one_ends(self) -> str | None:
        """Wait until one of the processes is gone or silent; return which."""
        refused, looked = 0, time.monotonic()
        while not self._stopping:
            if self._process.poll() is not None:
                return "one of their processes ended"
            refused = 0 if self._listens() else refused + 1
            if refused > 1:
                return f"the web server does not listen at {self._where} any more"
            if time.monotonic() - looked > _HEALTH_SECONDS:
                looked = time.monotonic()
                if self._is_daemon_silent():
                    return "the daemon gives no sign of life any more"
            time.sleep(_POLL_SECONDS)
        return None

    def _listens(self) -> bool:
        try:
            with socket.create_connection(self._reached, timeout=5):
                return True
        except ConnectionRefusedError:
            return False
        except OSError:
            # Busy, not gone.
            return True

    def _is_daemon_silent(self) -> bool:
        """Return whether the daemon has been silent for long, and is so a while later."""
        for wait in (0.0, _AGAIN_SECONDS):
            deadline = time.monotonic() + wait
            while time.monotonic() < deadline and not self._stopping:
                if self._process.poll() is not None:
                    return False
                time.sleep(_POLL_SECONDS)
            answer = self._answer()
            beats = [] if answer is None else answer["daemonHealth"]["allDaemonStatuses"]
            last = max((b["lastHeartbeatTime"] or 0 for b in beats if b["required"]), default=None)
            if self._stopping or last is None or time.time() - last < _SILENT_SECONDS:
                return False
        return True

    def _answer(self) -> Mapping[str, Any] | None:
        """Return what this home's UI says of its instance, or None where it does not answer."""
        try:
            answer = json.loads(query(self._where, _HEALTH, _ANSWER_SECONDS))
            instance: Mapping[str, Any] = answer["data"]["instance"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        # Another program may have come to the port in the meantime, another home's UI, too.
        return instance if _storage(str(instance["info"])) == self._storage else None


def _storage(configuration: str) -> Any:
    """Return what tells one instance's configuration from another's: where it keeps its files."""
    found = yaml.safe_load(configuration)
    return found.get("local_artifact_storage") if isinstance(found, dict) else None


def _end_with(parent: int) -> None:
    """Interrupt this process when its parent ends, however that ends (Linux; see prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    _end_with(int(sys.argv.pop(1)))
    # An interruption is what it always is, whatever was caught or ignored where this came from.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from dagster._cli import main

    sys.argv[0] = str(Path(sys.executable).with_name("dagster"))
    main()  # type: ignore[no-untyped-call]
