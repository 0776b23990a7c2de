"""A fork server of a toy toolchain, which imports next to nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from machines import detect

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.orchestration import fork_servers

# Notes each import on a line of a file, and marks the process.
_PRELOAD = """import os
from pathlib import Path
def preload():
    with (Path(__file__).parent / "imports.txt").open("a") as file:
        file.write(f"{os.getpid()}\\n")
"""


def imports(home: Path) -> list[int]:
    """Return the processes that have imported the toolchain's libraries."""
    return [int(line) for line in (_package(home) / "imports.txt").read_text().splitlines()]


@contextmanager
def toy_fork_server(
    home: Path,
    toolchain: Toolchain,
    monkeypatch: pytest.MonkeyPatch,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Have a fork server of the toy toolchain, on a machine without a GPU."""
    folder = _package(home)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preload.py").write_text(_PRELOAD, encoding="utf-8")
    detect(monkeypatch, Hardware())
    monkeypatch.setattr(fork_servers, "WORKERS", "toy.workers")
    monkeypatch.setattr(fork_servers, "_ENVIRONMENTS", {toolchain.name: environment or {}})
    with fork_servers.fork_servers(home, [toolchain]):
        yield


def _package(home: Path) -> Path:
    return home / "work" / "pythonpath" / "toy" / "workers" / "toy"
