"""An HTTP and a SOCKS5 proxy for tests: every host's name leads to loopback, and is noted."""

import socket
import struct
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer


@dataclass
class Proxy:
    """A proxy at work; ``login`` is the user's name and password that it wants."""

    login: tuple[str, str] | None = None
    hosts: list[str] = field(default_factory=list)
    port: int = 0


class _Handler(StreamRequestHandler):
    proxy: Proxy

    def _relay(self, port: int, first: bytes = b"") -> None:
        """Connect to loopback and pass bytes on both ways until one side ends."""
        with socket.create_connection(("127.0.0.1", port)) as far, suppress(OSError):
            far.sendall(first)
            back = threading.Thread(target=_pump, args=(far, self.connection), daemon=True)
            back.start()
            while data := self.rfile.read1(65536):
                far.sendall(data)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class _Http(_Handler):
    def handle(self) -> None:
        line = self.rfile.readline().decode()
        if not line:
            return
        headers = []
        while (header := self.rfile.readline()) not in {b"\r\n", b""}:
            headers.append(header)
        method, target, _ = line.split(" ", 2)
        wanted = self.proxy.login and b64encode(":".join(self.proxy.login).encode())
        if wanted and not any(wanted in h for h in headers if h.lower().startswith(b"proxy-auth")):
            self.wfile.write(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n")
            return
        if method == "CONNECT":
            host, _, port = target.partition(":")
            self.proxy.hosts.append(host)
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            self._relay(int(port))
            return
        host, _, path = target.removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        self.proxy.hosts.append(name)
        # One request a connection, so that the next one comes here again.
        kept = [h for h in headers if not h.lower().startswith((b"proxy-", b"connection"))]
        first = f"{method} /{path} HTTP/1.1\r\n".encode() + b"".join(kept)
        self._relay_one(int(port or 80), first + b"Connection: close\r\n\r\n")

    def _relay_one(self, port: int, request: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port)) as far, suppress(OSError):
            far.sendall(request)
            while data := far.recv(65536):
                self.wfile.write(data)


class _Socks(_Handler):
    def handle(self) -> None:
        _, methods = self.rfile.read(2)
        offered = self.rfile.read(methods)
        if self.proxy.login is None:
            self.wfile.write(b"\x05\x00")
        elif 2 not in offered:
            self.wfile.write(b"\x05\xff")
            return
        else:
            self.wfile.write(b"\x05\x02")
            self.rfile.read(1)
            user = self.rfile.read(self.rfile.read(1)[0]).decode()
            password = self.rfile.read(self.rfile.read(1)[0]).decode()
            ok = (user, password) == self.proxy.login
            self.wfile.write(b"\x01\x00" if ok else b"\x01\x01")
            if not ok:
                return
        kind = self.rfile.read(4)[3]
        if kind == 3:
            host = self.rfile.read(self.rfile.read(1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET, self.rfile.read(4))
        (port,) = struct.unpack("!H", self.rfile.read(2))
        self.proxy.hosts.append(host)
        self.wfile.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + struct.pack("!H", port))
        self._relay(port)


@contextmanager
def proxying(kind: str, login: tuple[str, str] | None = None) -> Iterator[Proxy]:
    """Run a proxy on loopback: ``http``, or ``socks5``."""
    proxy = Proxy(login)
    handler = type("_Own", (_Http if kind == "http" else _Socks,), {"proxy": proxy})
    with ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        proxy.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()
