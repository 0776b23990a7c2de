"""Start programs in a fork server: a process that has imported what they need, and forks for each.

The other side is `cyrene_assets.workers.common.fork_server`. Over one socket go requests, a line of
JSON with the program's standard input and output as file descriptors, and come two lines for each
program, in any order between programs: its process id once it runs, and its exit status.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol

_POLL_SECONDS = 0.05
_CHUNK = 1 << 16
# As a program is seen that the system has killed.
_KILLED = -9


class ForkServerGoneError(Exception):
    """The fork server has ended, or never began to serve."""


class RunningProgram(Protocol):
    """What is used here of a `subprocess.Popen`, whichever way a program was started."""

    stdin: Any
    stdout: Any
    returncode: Any

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group where the program leads one."""
        ...

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, or raise `subprocess.TimeoutExpired`."""
        ...

    def kill(self) -> None:
        """Kill the program alone."""
        ...


class ForkClient:
    """One end of a fork server's socket, for one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._pids: dict[int, int] = {}
        self._statuses: dict[int, int] = {}
        self._requests = 0
        self.gone = False

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        group: int = 0,
    ) -> "ForkedProgram":
        """Run ``python -m module arguments`` in a fork, with this environment and no other.

        Args:
            module: of the program.
            arguments: of the command line.
            environment: all of it.
            group: the process group that it joins; 0 is one of its own, which it leads.

        Raises:
            ForkServerGoneError: there is no server any more; nothing was started.
        """
        stdin, given_in = os.pipe()
        taken_out, stdout = os.pipe()
        ours_in, ours_out = os.fdopen(given_in, "wb", 0), os.fdopen(taken_out, "rb")
        try:
            self._requests += 1
            request = {
                "number": self._requests,
                "module": module,
                "arguments": list(arguments),
                "environment": dict(environment),
                "group": group,
            }
            self._send(request, [stdin, stdout])
            program = ForkedProgram(self, self._requests, ours_in, ours_out)
            program.pid = self._await_pid(self._requests)
        except ForkServerGoneError:
            ours_in.close()
            ours_out.close()
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        return program

    def _send(self, request: Mapping[str, Any], descriptors: list[int]) -> None:
        data = json.dumps(request).encode() + b"\n"
        try:
            sent = socket.send_fds(self._connection, [data], descriptors)
            self._connection.sendall(data[sent:])
        except OSError as error:
            self.gone = True
            raise ForkServerGoneError from error

    def _await_pid(self, number: int) -> int:
        while number not in self._pids:
            self._read(block=True)
            if self.gone and number not in self._pids:
                raise ForkServerGoneError
        return self._pids[number]

    def status(self, number: int) -> int | None:
        """Return a program's exit status, or None while it runs."""
        self._read(block=False)
        if number not in self._statuses and self.gone:
            return _KILLED
        return self._statuses.get(number)

    def _read(self, *, block: bool) -> None:
        """Take in what the server has reported."""
        try:
            data = self._connection.recv(_CHUNK, 0 if block else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.gone = True
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            report = json.loads(line)
            if "pid" in report:
                self._pids[report["number"]] = report["pid"]
            else:
                self._statuses[report["number"]] = report["status"]

    def close(self) -> None:
        """Let the server go: it ends, and so does what it has forked."""
        self.gone = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class ForkedProgram:
    """A program in a fork; see `RunningProgram`."""

    def __init__(
        self, client: ForkClient, number: int, stdin: IO[bytes], stdout: IO[bytes]
    ) -> None:
        self._client = client
        self._number = number
        self.stdin = stdin
        self.stdout = stdout
        self.pid = 0
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs.

        Where the server has died its programs are as good as killed: the system ends them.
        """
        if self.returncode is None:
            self.returncode = self._client.status(self._number)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, or raise `subprocess.TimeoutExpired`."""
        until = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if until is not None and time.monotonic() >= until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(_POLL_SECONDS)
        return status

    def kill(self) -> None:
        """Kill the program alone."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
