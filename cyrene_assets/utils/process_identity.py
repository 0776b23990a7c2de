"""Which process is at work on something, in a word that outlives it.

A process number alone is given to another process sooner or later, at the latest after the machine
was restarted: what a dead process left behind would count as another's work.

psutil tells a process by its start on the wall clock (``create_time``, from ``btime`` of
/proc/stat): with the clock set back by an hour it differed by 3600 s, and a process at work would
count as dead. Its start since boot is private to it (7.2). Only Windows, whose signals cannot tell
whether a process exists, needs it.
"""

import os
import socket
import sys
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_BOOT = _PROC / "sys" / "kernel" / "random" / "boot_id"


def mark(process: int | None = None) -> str:
    """Return the word for a process (this one, where none is given).

    Its number, its start in ticks since the machine's, and that start's own name where the system
    tells (Linux). No clock is read: one that is set back changes nothing.
    """
    number = os.getpid() if process is None else process
    return f"{number}.{_start(number)}.{boot()}"


def is_alive(word: str) -> bool:
    """Return whether the process of a ``mark`` still runs; what is no mark is nobody's."""
    number, _, rest = word.partition(".")
    if not number.isdigit() or not exists(int(number)):
        return False
    return rest == f"{_start(int(number))}.{boot()}"


def owner() -> str:
    """Return the mark of this process with its machine's name, for others to look at."""
    return f"{socket.gethostname()}:{mark()}"


def is_dead(owner: str) -> bool:
    """Return whether an ``owner`` was a process of this machine that is gone."""
    host, _, word = owner.rpartition(":")
    return host == socket.gethostname() and not is_alive(word)


def maker_is_alive(staged: Path) -> bool:
    """Return whether the process that makes a staged folder, ``<asset>-<mark>-...``, still runs."""
    return is_alive(staged.name.partition("-")[2].partition("-")[0])


def exists(process: int) -> bool:
    """Return True if a process with this PID exists, regardless of owner."""
    if sys.platform == "win32":
        # Signal 0 is Ctrl-C there.
        import psutil

        return bool(psutil.pid_exists(process))
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _start(process: int) -> str:
    try:
        # The second field, the program's name, may hold anything but ends with the last bracket.
        return (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "0"


@cache
def boot() -> str:
    """Return the name of the machine's last start; "0" where the system tells none."""
    return _BOOT.read_text().partition("-")[0].strip() if _BOOT.is_file() else "0"
