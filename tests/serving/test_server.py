import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cyrene_assets.serving import server
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.process_identity import exists

# Stands for the interpreter of the serve toolchain: it answers /health, and dies when told to.
FAKE = """#!{python}
import http.server, os, subprocess, sys
if "--die" in sys.argv:
    print("ValueError: To serve at least one request, 9 GiB KV cache is needed")
    sys.exit("RuntimeError: Engine core initialization failed")
if "--fail" in sys.argv:
    print("(APIServer pid=7) WARNING 11-22 12:51:42 [x.py:1] this can lead to OSError: [Errno 24]")
    print("(EngineCore pid=8) INFO 11-22 12:51:43 [w.py:1] Free memory on device (11/12 GiB) on")
    print("KeyError: 'the cause'")
    print("see above")
    sys.exit(3)
if "--late" in sys.argv:
    import time
    time.sleep(1)
    sys.exit("OSError: [Errno 98] Address already in use")
child = subprocess.Popen(["sleep", "600"])
print(child.pid, os.environ.get("VLLM_API_KEY"), os.environ.get("HF_TOKEN"), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("x-cyrene-server", os.environ["CYRENE_SERVER_ID"])
        self.end_headers()
    def log_message(self, *_):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fake = tmp_path / "python"
    fake.write_text(FAKE.format(python=sys.executable), encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("CYRENE_SERVE_PYTHON", str(fake))
    monkeypatch.delenv(server.KEY_VARIABLE, raising=False)
    return tmp_path


def run(stack: ExitStack, home: Path, *arguments: str, host: str = "127.0.0.1") -> server.Server:
    port = server.free_port()
    return stack.enter_context(
        server.run_server(
            home,
            [*arguments, "--port", str(port)],
            host=host,
            port=port,
            log=home / "logs" / "serve.log",
            environment={},
        )
    )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_server_runs_until_it_is_left_and_nothing_stays(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(server.KEY_VARIABLE, "secret")
    monkeypatch.setenv("HF_TOKEN", "another")
    with ExitStack() as stack:
        found = run(stack, home)
        assert found.url.startswith("http://127.0.0.1:")
        assert found.url.endswith("/v1")
        assert found.exit_error() is None
        child, key, token = found.log.read_text().split()
        assert (key, token) == ("secret", "None")
        # The key is in no command line, which other users of the machine can read.
        shown = Path(f"/proc/{found.process.pid}/cmdline").read_bytes()
        assert b"secret" not in shown
    assert found.process.poll() is not None
    assert _gone(int(child))


def test_a_server_that_dies_says_so(home: Path, stack: ExitStack) -> None:
    found = run(stack, home)
    os.kill(found.process.pid, signal.SIGKILL)
    with pytest.raises(BuildError, match=r"the server was killed by SIGKILL .*more memory"):
        found.wait()
    assert "SIGKILL" in str(found.exit_error())


def test_memory_that_is_short_is_named(home: Path, stack: ExitStack) -> None:
    with pytest.raises(BuildError, match="not enough memory to serve this model") as caught:
        run(stack, home, "--die")
    assert "serve.log" in str(caught.value)


def test_a_server_that_does_not_start_shows_the_cause(home: Path, stack: ExitStack) -> None:
    with pytest.raises(BuildError, match=r"the server ended; its last lines:\n  \| KeyError"):
        run(stack, home, "--fail")


def test_a_port_that_is_taken_is_one_message(home: Path, stack: ExitStack) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} \(Address already in use\).*--port"):
            server.check_port("127.0.0.1", port)


class Stranger(BaseHTTPRequestHandler):
    """A server that answers /health, too."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_another_server_that_comes_to_the_port_is_not_taken_for_it(
    home: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        monkeypatch.setattr(server, "check_port", lambda *_: None)
        monkeypatch.setattr(server, "free_port", lambda: stranger.server_port)
        with pytest.raises(BuildError, match="another program took the port while"):
            run(stack, home, "--late")
        stranger.shutdown()


def test_an_address_of_another_machine_is_one_message() -> None:
    with pytest.raises(UserError, match=r"cannot listen on 192\.0\.2\.1"):
        server.check_port("192.0.2.1", server.free_port())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_beyond_loopback_a_key_is_needed(
    home: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with pytest.raises(UserError, match=f"a key is needed: set {server.KEY_VARIABLE}"):
        server.require_api_key(host)
    monkeypatch.setenv(server.KEY_VARIABLE, "secret")
    assert server.require_api_key(host) == "secret"


@pytest.mark.parametrize("key", ["ключ", "two\nlines", " padded", "padded "])
def test_a_key_that_no_client_can_send_is_one_message(
    home: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(server.KEY_VARIABLE, key)
    with pytest.raises(UserError, match=f"{server.KEY_VARIABLE} has characters") as caught:
        server.require_api_key("0.0.0.0")
    assert key not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_on_loopback_none_is(home: Path, host: str) -> None:
    assert server.require_api_key(host) is None


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        *(("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")),
        *(("127.0.0.1", "127.0.0.1"), ("localhost", "localhost")),
    ],
)
def test_where_this_machine_reaches_it(host: str, asked: str) -> None:
    assert server._reachable_host(host) == asked


def _gone(process: int) -> bool:
    for _ in range(100):
        if not exists(process):
            return True
        time.sleep(0.05)
    return False


def test_a_server_that_tells_its_own_error_is_quoted_alone(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    log.write_text(
        "WARNING Failed to import from vllm._C: ImportError('libnuma.so.1: cannot open')\n"
        "error: this system has no libnuma.so.1, which vLLM's library (_C) needs: install it\n",
        encoding="utf-8",
    )
    assert str(server._exit_error(1, log)) == (
        "the server ended: this system has no libnuma.so.1, which vLLM's library (_C) needs: "
        f"install it\n  log: {log}"
    )
