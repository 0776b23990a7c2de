"""Processes that are there to be killed: starting them, finding them, ending them."""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

TAG = "CYRENE_TORTURE"
_RESULT, _LOG = "result.json", "log.txt"


def fork(folder: Path, work: Callable[[], Any]) -> int:
    """Start ``work`` in a copy of this process, with a session and a log of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        log = os.open(folder / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        (folder / _RESULT).write_text(json.dumps(work()), encoding="utf-8")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def result(folder: Path, child: int) -> Any:
    """Wait for a forked process and return what its work returned.

    Raises:
        RuntimeError: it failed; with the end of its log.
    """
    status = os.waitpid(child, 0)[1]
    if status != 0:
        raise RuntimeError(f"status {status}: {(folder / _LOG).read_text()[-3000:]}")
    return json.loads((folder / _RESULT).read_text(encoding="utf-8"))


def in_child(folder: Path, work: Callable[[], Any]) -> Any:
    """Run ``work`` to its end in a process of its own, and return what it returned."""
    return result(folder, fork(folder, work))


def start(folder: Path, command: list[str], environment: Mapping[str, str]) -> int:
    """Start a command in a session of its own, with its output in the folder's log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOG).open("ab") as log:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.returncode = 0  # others wait for it by its number
    return process.pid


def tagged(tag: str) -> list[int]:
    """Return the living processes that were started with this tag in their environment."""
    wanted = f"{TAG}={tag}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return sorted(found)


def ended(child: int) -> int | None:
    """Return how a child of this process ended (as ``waitpid`` says), None while it runs."""
    found, status = os.waitpid(child, os.WNOHANG)
    return status if found else None


def end_within(child: int, seconds: float) -> int | None:
    """Wait for a child's end and return it; None where it takes longer."""
    deadline = time.monotonic() + seconds
    while (status := ended(child)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return status


def gone_within(tag: str, seconds: float) -> list[int]:
    """Wait until no tagged process is left; return those that are after ``seconds``."""
    deadline = time.monotonic() + seconds
    while (left := tagged(tag)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def kill(process: int) -> None:
    """Send SIGKILL; a process that has ended already is none."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
