"""Run a program in a toolchain's interpreter, under Dagster Pipes, and never leave it behind.

The program leads a process group: ending the run, for whatever reason, ends all of that group. Its
output goes to the run's compute log and to a log file; its progress to the event log.
"""

import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import dagster as dg

from cyrene_assets.compute.program_environment import program_environment
from cyrene_assets.compute.toolchains import WORKERS, Toolchain
from cyrene_assets.orchestration.fork_servers import start_forked
from cyrene_assets.serving.engine_errors import EngineErrors
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.fork_client import RunningProgram
from cyrene_assets.utils.process_groups import end_group

_POLL_SECONDS = 0.2
_TAIL_LINES = 12


@dataclass
class ProgramRun:
    """One program to run: where, with what, and where its output goes.

    ``secrets`` names the environment variables that this program may see; every other variable
    that looks like a secret is kept from it.
    """

    context: dg.AssetExecutionContext
    toolchain: Toolchain
    program: str
    extras: Mapping[str, Any]
    home: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()

    def run(self) -> dict[str, Any]:
        """Run the program to its end and return its result.

        Raises:
            UserError: the toolchain is not installed, or the program found bad input.
            BuildError: it crashed, or ended without a result; the message names the cause it gave,
                or its last lines, and its log.
        """
        python = self.toolchain.python(self.home)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with dg.open_pipes_session(
            context=self.context,
            context_injector=dg.PipesTempFileContextInjector(),
            message_reader=dg.PipesTempFileMessageReader(),
            extras=dict(self.extras),
        ) as session:
            output = _Output()
            messages = _Messages(self.context, session)
            with self.log.open("ab") as log:
                process = self._start(python, session.get_bootstrap_env_vars())
                copier = threading.Thread(target=_copy, args=(process.stdout, log, output))
                # An interruption may come while the thread starts.
                try:
                    copier.start()
                    while process.poll() is None:
                        messages.forward()
                        time.sleep(_POLL_SECONDS)
                finally:
                    end_group(process)
                    if copier.is_alive():
                        copier.join()
        messages.forward()
        if process.returncode != 0 or messages.result is None:
            kind = UserError if messages.exit_status == UserError.exit_status else BuildError
            raise kind(self._explain(process.returncode, messages.error, output))
        return messages.result

    def _start(self, python: Path, pipes: Mapping[str, str]) -> RunningProgram:
        """Start the program, the leader of a process group of its own."""
        module = f"{WORKERS}.{self.toolchain.name}.{self.program}"
        base = program_environment(self.home, self.environment, self.secrets)
        environment = {**base, **pipes}
        return start_forked(python, module, environment) or subprocess.Popen(
            [str(python), "-m", module],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _explain(self, status: int, error: str | None, output: "_Output") -> str:
        engine = str(output.engine_errors)
        cause = f"\n  {engine}" if engine else ""
        if error is not None:
            return f"{self.program}: {error}{cause}\n  log: {self.log}"
        end = f"was killed by {signal.Signals(-status).name}" if status < 0 else "failed"
        if status == -signal.SIGKILL:
            end += " (the system kills what takes more memory than there is)"
        if status == 0:
            end = "ended without a result"
        lines = "".join(f"\n  | {line}" for line in output.tail)
        if any("No space left on device" in line for line in output.tail):
            end += (
                " because the disk is full (make room: `cyrene gc --now`, or another CYRENE_HOME)"
            )
        return f"{self.program} {end}; its last lines:{lines}{cause}\n  log: {self.log}"


class _Output:
    """What is kept of a program's output besides its log."""

    def __init__(self) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.engine_errors = EngineErrors()

    def read(self, line: str) -> None:
        self.tail.append(line[:400])
        self.engine_errors.read(line)


class _Messages:
    """Forwards a session's custom messages: progress to the event log, throttled."""

    def __init__(self, context: dg.AssetExecutionContext, session: dg.PipesSession) -> None:
        self._context = context
        self._session = session
        self._seen = 0
        self._started = time.monotonic()
        self._next_report = 0.0
        self.result: dict[str, Any] | None = None
        self.error: str | None = None
        self.exit_status: int | None = None

    def forward(self) -> None:
        messages = self._session.get_custom_messages()
        for message in messages[self._seen :]:
            if "progress" in message:
                self._progress(message)
            elif "result" in message:
                self.result = message["result"]
            elif "error" in message:
                self.error, self.exit_status = message["error"], message["exit_status"]
        self._seen = len(messages)

    def _progress(self, message: Mapping[str, Any]) -> None:
        elapsed = time.monotonic() - self._started
        if elapsed < self._next_report and message["step"] != message["total"]:
            return
        # One report in a hundredth of the time so far: seconds at first, minutes after hours.
        self._next_report = elapsed + max(2.0, elapsed / 100)
        metrics = {name: round(float(value), 4) for name, value in message["metrics"].items()}
        shown = "".join(f", {name} {value:g}" for name, value in metrics.items())
        self._context.log.info(f"{message['progress']}{shown}")
        position = {k: message[k] for k in ("step", "total") if message[k] is not None}
        partition = self._context.partition_key if self._context.has_partition_key else None
        self._context.log_event(
            dg.AssetObservation(
                self._context.asset_key,
                description=f"{message['progress']}{shown}",
                partition=partition,
                metadata={**position, **metrics},
            )
        )


def _copy(stream: IO[bytes], log: IO[bytes], output: _Output) -> None:
    """Copy a program's output, line by line, to its log and to the run's compute log."""
    for line in stream:
        # The pipe is emptied whatever becomes of the log's disk and of the terminal: a program
        # whose pipe is full would wait for ever. A full disk is reported when the log is closed.
        with suppress(OSError):
            log.write(line)
            log.flush()
        text = line.decode("utf-8", "replace")
        with suppress(OSError, UnicodeError):
            sys.stdout.write(text)
        # A progress bar redraws its line with carriage returns; its last state is what counts.
        last = text.rstrip().rpartition("\r")[2].strip()
        if last:
            output.read(last)
    with suppress(OSError):
        sys.stdout.flush()
