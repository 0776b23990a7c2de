"""A process that imports a toolchain's libraries once, and forks for each program that needs them.

``python -m cyrene_assets.workers.common.fork_server DESCRIPTOR MODULE`` imports ``MODULE``, whose
``preload()`` imports the rest, and serves the socket ``DESCRIPTOR`` until its other end is closed
(`cyrene_assets.utils.fork_client`). On a CPU only: a fork cannot use CUDA where its parent has.

No thread runs here and no tensor is computed, so that each fork starts as a new interpreter would:
in `__main__`, with the descriptors, environment and arguments that were sent. What a program does,
its death included, never reaches this process. A program may have others forked next to itself, in
its own process group (`client`).
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cyrene_assets.utils.fork_client import ForkClient
from cyrene_assets.workers.common.parent_death import PARENT, end_with_parent

# Where a forked program finds its own connection to the server.
CONNECTION = "CYRENE_FORK_SERVER"
_CHUNK = 1 << 16
_DESCRIPTORS = 2
_REAP_SECONDS = 0.1


@dataclass
class _Peer:
    """Who asks for programs, and what has arrived of the next request."""

    connection: socket.socket
    buffer: bytes = b""
    descriptors: list[int] = field(default_factory=list)

    def requests(self) -> list[tuple[dict[str, Any], list[int]]] | None:
        """Return the complete requests with their descriptors; None where the peer is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.connection, _CHUNK, _DESCRIPTORS)
        except ConnectionError:
            data, descriptors = b"", []
        self.descriptors += descriptors
        if not data:
            return None
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        found = []
        for line in lines:
            found.append((json.loads(line), self.descriptors[:_DESCRIPTORS]))
            del self.descriptors[:_DESCRIPTORS]
        return found

    def report(self, **values: int) -> None:
        """Tell the peer; one that has gone need not know."""
        with contextlib.suppress(OSError):
            self.connection.sendall(json.dumps(values).encode() + b"\n")


def serve(main: socket.socket) -> Mapping[str, Any] | None:
    """Fork for every request; return it in the fork, and None here when ``main`` is closed."""
    peers = {main.fileno(): _Peer(main)}
    running: dict[int, tuple[_Peer, int, int]] = {}
    while main.fileno() in peers:
        ready, _, _ = select.select(list(peers), [], [], _REAP_SECONDS if running else None)
        _reap(running, peers)
        for descriptor in ready:
            peer = peers.get(descriptor)
            requests = [] if peer is None else peer.requests()
            if peer is None or requests is None:
                peers.pop(descriptor, None)
                continue
            for request, descriptors in requests:
                ours, its = socket.socketpair()
                pid = os.fork()
                if pid == 0:
                    ours.close()
                    for other in peers.values():
                        other.connection.close()
                    _become(request, descriptors, its)
                    return request
                its.close()
                for number in descriptors:
                    os.close(number)
                # Here as well as there: the group exists before anything is told of it.
                with contextlib.suppress(PermissionError, ProcessLookupError):
                    os.setpgid(pid, request["group"] or pid)
                peers[ours.fileno()] = _Peer(ours)
                running[pid] = peer, request["number"], ours.fileno()
                peer.report(number=request["number"], pid=pid)
    return None


def _reap(running: dict[int, tuple[_Peer, int, int]], peers: dict[int, _Peer]) -> None:
    """Report what has ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        peer, number, own = running.pop(pid)
        peer.report(number=number, status=os.waitstatus_to_exitcode(status))
        gone = peers.pop(own, None)
        if gone is not None:
            gone.connection.close()


def _become(request: Mapping[str, Any], descriptors: list[int], its: socket.socket) -> None:
    """Make this fork what a new process with this request would be."""
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.setpgid(0, request["group"])
    for number, target in ((descriptors[0], 0), (descriptors[1], 1), (descriptors[1], 2)):
        os.dup2(number, target)
    for number in descriptors:
        os.close(number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.environ[CONNECTION] = str(its.detach())
    os.environ[PARENT] = str(os.getppid())
    end_with_parent()
    # A build in a script's background ignores SIGINT, Dagster gives SIGTERM what SIGINT has, and
    # what is ignored is inherited: ending the program would take until it is killed.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv = [request["module"], *request["arguments"]]
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        # Numbers that no seed was given for would be the same in every fork.
        numpy.random.seed()


@functools.cache
def client() -> ForkClient | None:
    """Return this forked program's own connection to the server, or None in any other process."""
    number = os.environ.pop(CONNECTION, None)
    return None if number is None else ForkClient(socket.socket(fileno=int(number)))


def main() -> None:
    """Import, then serve; in a fork, run its program."""
    # While it imports it does not see that the other end is closed.
    end_with_parent()
    connection = socket.socket(fileno=int(sys.argv[1]))
    importlib.import_module(sys.argv[2]).preload()
    # Collecting garbage would write to every object, and so copy their memory in each fork.
    gc.collect()
    gc.freeze()
    request = serve(connection)
    if request is not None:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
