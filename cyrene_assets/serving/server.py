"""vLLM's OpenAI-compatible server as a process of its own: start, readiness, stop.

It leads a process group that ends with it, and it ends with the process that started it.
"""

import errno
import ipaddress
import os
import re
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cyrene_assets.compute.program_environment import program_environment
from cyrene_assets.compute.toolchains import SERVE, WORKERS
from cyrene_assets.serving import protocol
from cyrene_assets.serving.engine_args import OUT_OF_MEMORY, SERVE_ENV
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.process_groups import end_group

# Where a person puts the key.
KEY_VARIABLE = "CYRENE_API_KEY"
_POLL_SECONDS = 0.3
# A first start on a GPU may compile kernels for minutes.
_START_SECONDS = 1800.0
_TAIL_LINES = 4
_TAKEN = os.strerror(errno.EADDRINUSE).lower()
_OWN = "error: "
_ERROR = re.compile(r"\b\w+(?:Error|Exception): ")
# Log lines that quote an error in passing, or tell of memory: vLLM does at every start on a GPU.
_NO_CAUSE = re.compile(r"\b(?:DEBUG|INFO|WARNING)\b")


@dataclass(frozen=True)
class Server:
    """A server that is ready: ``url`` is what an OpenAI client takes as its base URL."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def exit_error(self) -> BuildError | None:
        """Return why the server is gone, or None while it runs."""
        status = self.process.poll()
        return None if status is None else _exit_error(status, self.log)

    def wait(self) -> None:
        """Wait for the server's end.

        Raises:
            BuildError: it ended by itself.
        """
        raise _exit_error(self.process.wait(), self.log)


@contextmanager
def run_server(
    home: Path,
    arguments: Sequence[str],
    *,
    host: str,
    port: int,
    log: Path,
    environment: Mapping[str, str],
    on_wait: Callable[[float], None] = lambda _seconds: None,
) -> Iterator[Server]:
    """Start a server, yield it when it answers, and end it whatever happens.

    Args:
        home: CYRENE_HOME, whose serve toolchain runs it.
        arguments: of ``vllm serve``.
        host: the address in ``arguments``.
        port: the port there.
        log: the file for its output.
        environment: what it needs in addition to what every vLLM process does.
        on_wait: called now and then with the seconds since the start.

    Raises:
        UserError: the toolchain is not installed, the port is taken, the address is not this
            machine's, or no key is set for an address beyond loopback.
        BuildError: the server ended before it answered.
    """
    key = require_api_key(host)
    check_port(host, port)
    python = SERVE.python(home)
    with disk_errors(home):
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("wb")
    identity = secrets.token_hex(8)
    own = {**SERVE_ENV, "VLLM_LOGGING_LEVEL": "INFO", protocol.IDENTITY: identity, **environment}
    own |= {protocol.KEY: key} if key else {}
    with output:
        process = subprocess.Popen(
            [str(python), "-m", f"{WORKERS}.{SERVE.name}.serve", *arguments],
            env=program_environment(home, own),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            ready = f"http://{_reachable_host(host)}:{port}/health"
            _wait_until_ready(process, ready, identity, log, on_wait)
            yield Server(f"http://{_url_host(host)}:{port}/v1", process, log)
        finally:
            end_group(process)


def require_api_key(host: str) -> str | None:
    """Return the key that clients must send, from the environment.

    Raises:
        UserError: the server would listen beyond loopback, and there is no key.
    """
    key = api_key()
    if not key and not is_loopback(host):
        raise UserError(
            f"{host} is reachable from other machines, so a key is needed: set {KEY_VARIABLE} to "
            "a long random text that clients send, or omit --host to listen on loopback"
        )
    return key


def api_key() -> str | None:
    """Return the key in the environment, or None.

    Raises:
        UserError: it cannot be sent in a header.
    """
    key = os.environ.get(KEY_VARIABLE)
    if key and not re.fullmatch(r"[!-~]+(?: +[!-~]+)*", key):
        raise UserError(
            f"{KEY_VARIABLE} has characters that no client can send: use ASCII letters and digits, "
            "such as `openssl rand -hex 24` gives"
        )
    return key


def check_port(host: str, port: int) -> None:
    """Make sure that a server can listen there.

    Raises:
        UserError: the port is taken or not allowed, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"cannot listen on {host} port {port} ({error.strerror}): end the program that "
                "has it, or give another --port or --host"
            ) from error


def free_port() -> int:
    """Return a port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reachable_host(host: str) -> str:
    """Return where this machine reaches a server that listens on ``host``."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return _url_host(host)


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _wait_until_ready(
    process: subprocess.Popen[bytes],
    url: str,
    identity: str,
    log: Path,
    on_wait: Callable[[float], None],
) -> None:
    started = time.monotonic()
    while not _answers(url, identity):
        seconds = time.monotonic() - started
        if process.poll() is not None:
            raise _exit_error(process.returncode, log)
        if seconds > _START_SECONDS:
            raise BuildError(f"the server does not answer after {seconds:.0f} s\n  log: {log}")
        on_wait(seconds)
        time.sleep(_POLL_SECONDS)


def _answers(url: str, identity: str) -> bool:
    """Return whether the server of this identity answers: another may have come to the port."""
    # Loopback is called directly: a proxy in the environment is for other addresses.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            named = str(response.headers.get(protocol.IDENTITY_HEADER))
            return response.status == 200 and named == identity
    except (OSError, urllib.error.HTTPError):
        return False


def _exit_error(status: int, log: Path) -> BuildError:
    """Return why a server ended, from its last words; its log has all of them."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if not _NO_CAUSE.search(line)]
    if any(text in line.lower() for line in said for text in OUT_OF_MEMORY):
        return BuildError(
            "there is not enough memory to serve this model: end other programs that use it, or "
            f"serve a smaller size\n  log: {log}"
        )
    if any(_TAKEN in line.lower() for line in said):
        return BuildError(
            "another program took the port while the model was loading: end it, or give another "
            f"--port\n  log: {log}"
        )
    end = f"was killed by {signal.Signals(-status).name}" if status < 0 else "ended"
    if status == -signal.SIGKILL:
        end += " (the system kills what takes more memory than there is)"
    # What the program itself found before vLLM began.
    own = next((line for line in lines if line.startswith(_OWN)), None)
    if own is not None:
        return BuildError(f"the server {end}: {own.removeprefix(_OWN)}\n  log: {log}")
    # vLLM ends with a general remark; the cause is the first error of its log.
    causes = [line for line in said if _ERROR.search(line)]
    told = [*causes[:1], *[line for line in lines if line.strip()][-_TAIL_LINES:]]
    shown = "".join(f"\n  | {line[:300]}" for line in told)
    return BuildError(f"the server {end}; its last lines:{shown}\n  log: {log}")
