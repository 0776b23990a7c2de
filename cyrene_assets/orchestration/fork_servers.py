"""Fork servers of a build: a toolchain's libraries are imported once, not by every program.

Importing ms-swift or vLLM takes about ten seconds of a CPU's time, and a build of `tiny` has a dozen
programs. While the corpus is prepared a process of each toolchain imports what its programs need;
each program then is a fork of it (`cyrene_assets.workers.common.fork_server`). On a machine with
GPUs there are none: a fork cannot use CUDA, and hours of training hide the imports. Where a server
has ended, for whatever reason, programs start as without one.
"""

import contextlib
import socket
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _Server:
    python: Path
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes]"
    client: ForkClient


_SERVERS: ContextVar[tuple[_Server, ...]] = ContextVar("fork servers", default=())


@contextlib.contextmanager
def fork_servers(home: Path, toolchains: Collection[Toolchain]) -> Iterator[None]:
    """Have fork servers of these toolchains for as long as this lasts, where no GPU is.

    They begin to import at once, next to whatever the caller does.
    """
    hardware = Hardware.detect()
    with contextlib.ExitStack() as stack:
        servers = []
        if not hardware.gpus and not hardware.fault:
            for toolchain in toolchains:
                python = toolchain.find(home)
                if python is not None and toolchain.name in _ENVIRONMENTS:
                    server = _start(home, toolchain, python)
                    stack.callback(_end, server)
                    servers.append(server)
        token = _SERVERS.set(tuple(servers))
        try:
            yield
        finally:
            _SERVERS.reset(token)


def start_forked(
    python: Path, module: str, environment: Mapping[str, str]
) -> RunningProgram | None:
    """Start a program of a toolchain in a fork of its server.

    Returns None where there is no server, or it was started with what the program must not see.
    """
    for server in _SERVERS.get():
        same = server.environment.items() <= environment.items()
        if server.python == python and same and not server.client.gone:
            with contextlib.suppress(ForkServerGoneError):
                return server.client.start(module, (), environment)
    return None


def _start(home: Path, toolchain: Toolchain, python: Path) -> _Server:
    own = _ENVIRONMENTS[toolchain.name]
    ours, its = socket.socketpair()
    with its:
        process = subprocess.Popen(
            [
                *(str(python), "-m", _SERVER),
                *(str(its.fileno()), f"{WORKERS}.{toolchain.name}.preload"),
            ],
            env=program_environment(home, own),
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            # A program that cannot be forked is started, and says in its own log what is wrong.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return _Server(python, own, process, ForkClient(ours))


def _end(server: _Server) -> None:
    server.client.close()
    end_group(server.process)
