"""Fork servers of a build: a toolchain's libraries are imported once, not by every program.

Importing ms-swift or vLLM takes about ten seconds of a CPU's time, and a build of `tiny` has a
dozen programs. While the corpus is prepared a process of each toolchain imports what its programs
need; each program then is a fork of it (`cyrene_assets.workers.common.fork_server`). On a machine
with GPUs there are none: a fork cannot use CUDA, and hours of training hide the imports. Where a
server has ended, for whatever reason, programs start as without one.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.program_environment import program_environment
from cyrene_assets.compute.toolchains import SERVE, TRAIN, WORKERS, Toolchain
from cyrene_assets.serving.engine_args import SERVE_ENV
from cyrene_assets.training.swift_args import CPU_ENV, OFFLINE_ENV
from cyrene_assets.utils.fork_client import ForkClient, ForkServerGoneError, RunningProgram
from cyrene_assets.utils.process_groups import end_group

_SERVER = f"{WORKERS}.common.fork_server"
# What libraries read when they are imported. A program that is to see something else is not forked;
# what else it is to see, it does.
_ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    # Read by the trackers when they start.
    TRAIN.name: {k: v for k, v in OFFLINE_ENV.items() if k != "WANDB_MODE"} | CPU_ENV,
    SERVE.name: SERVE_ENV,
}


class ForkServer:
    """A toolchain's fork server; it begins to import as this is made."""

    def __init__(self, home: Path, toolchain: Toolchain) -> None:
        """Start the server of an installed toolchain in this CYRENE_HOME."""
        self._python = toolchain.python(home)
        self._environment = _ENVIRONMENTS[toolchain.name]
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [
                    *(str(self._python), "-m", _SERVER),
                    *(str(its.fileno()), f"{WORKERS}.{toolchain.name}.preload"),
                ],
                env=program_environment(home, self._environment),
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                # A program that cannot be forked is started, and its log says what is wrong.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._client = ForkClient(ours)

    def start(
        self,
        python: Path,
        module: str,
        environment: Mapping[str, str],
        arguments: Sequence[str] = (),
    ) -> RunningProgram | None:
        """Start a program in a fork, the leader of a process group of its own.

        Returns None where this is no server for it: of another interpreter, started with what the
        program must not see, or dead.
        """
        same = self._environment.items() <= environment.items()
        if self._python == python and same and not self._client.gone:
            with contextlib.suppress(ForkServerGoneError):
                return self._client.start(module, arguments, environment)
        return None

    def end(self) -> None:
        """End the server, and what it has forked."""
        self._client.close()
        end_group(self._process)


_SERVERS: ContextVar[tuple[ForkServer, ...]] = ContextVar("fork servers", default=())


@contextlib.contextmanager
def fork_servers(home: Path, toolchains: Collection[Toolchain]) -> Iterator[None]:
    """Have fork servers of these toolchains for as long as this lasts, on Linux without a GPU.

    They begin to import at once, next to whatever the caller does.
    """
    hardware = Hardware.detect()
    # Elsewhere a fork of a process that has loaded the system's frameworks may crash.
    can_fork = sys.platform.startswith("linux") and not hardware.gpus and not hardware.fault
    with contextlib.ExitStack() as stack:
        servers = []
        for toolchain in toolchains if can_fork else ():
            if toolchain.name in _ENVIRONMENTS and toolchain.find(home) is not None:
                servers.append(ForkServer(home, toolchain))
                stack.callback(servers[-1].end)
        token = _SERVERS.set(tuple(servers))
        try:
            yield
        finally:
            _SERVERS.reset(token)


def start_forked(
    python: Path, module: str, environment: Mapping[str, str]
) -> RunningProgram | None:
    """Start a program in a fork of one of the current servers; None where none is for it."""
    for server in _SERVERS.get():
        program = server.start(python, module, environment)
        if program is not None:
            return program
    return None
