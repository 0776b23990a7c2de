"""What of a lock file has no wheel for a Python on this system, known before any download.

uv looks the files' names up, which takes a second or two, and downloads nothing.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from cyrene_assets.utils.errors import BuildError

# Packages that nobody has published a wheel of, and that need no compiler: oss2 and
# transformers-stream-generator are Python alone, crcmod leaves its C out where it cannot be
# compiled. ms-swift brings all three.
PURE_SOURCES = frozenset({"crcmod", "oss2", "transformers-stream-generator"})
# The Pythons for which every lock file was resolved, the newest that is widely had first.
PYTHONS = ("3.13", "3.12", "3.11", "3.14")
_NO_WHEEL = re.compile(r"([A-Za-z0-9._-]+)[=<>]=\S+ has no (?:usable )?wheels")

Uv = Callable[..., None]


def without_wheel(
    lock: Path, uv: Uv, python: str, platform: str | None = None, limit: int | None = None
) -> list[str]:
    """Return the packages of a lock file that would be built from source, as ``name==version``.

    Those in `PURE_SOURCES` are left out.

    Args:
        lock: pins, a line each.
        uv: runs a command of uv's; its error ends with uv's own words.
        python: its version, as ``3.13``.
        platform: uv's name of a platform; this one where left out.
        limit: how many are enough: each costs a look-up of seconds; all where left out.

    Raises:
        BuildError: uv cannot tell: the index does not answer, or a version is not there.
    """
    pins = [line for line in _pins(lock) if _name(line) not in PURE_SOURCES]
    version = ("--python-version", python)
    where = ("--python-platform", platform) if platform else ()
    found: list[str] = []
    with tempfile.TemporaryDirectory() as given:
        wanted = Path(given) / "wanted.txt"
        while limit is None or len(found) < limit:
            wanted.write_text("\n".join(pins), encoding="utf-8")
            try:
                uv(
                    *("pip", "install", "--dry-run", "--quiet", "--no-deps"),
                    *("--only-binary", ":all:", "--target", str(Path(given) / "nothing")),
                    *(*version, *where, "-r", str(wanted)),
                )
            except BuildError as error:
                said = " ".join(str(error).split())
                match = _NO_WHEEL.search(said)
                lacking = [line for line in pins if match and _name(line) == match[1]]
                if not lacking:
                    raise
                found += lacking
                pins = [line for line in pins if line not in lacking]
            else:
                break
    return found


def wheel_problem(lock: Path, uv: Uv, python: str, header: Path | None) -> str | None:
    """Return why a lock file's packages cannot be installed for a Python here, with the remedy.

    Args:
        lock: the lock file.
        uv: runs a command of uv's.
        python: this Python's version, as ``3.13``.
        header: where its ``Python.h`` belongs.

    Raises:
        BuildError: uv cannot tell.
    """
    missing = without_wheel(lock, uv, python, limit=1)
    if not missing:
        return None
    package = missing[0].partition(";")[0].strip()
    for other in PYTHONS:
        if other != python and not without_wheel(lock, uv, other, limit=1):
            return (
                f"{lock.name}: {package} has no wheel for Python {python} on this system: use "
                f"Python {other} (`rm -rf .venv && make PYTHON=python{other} envs`)"
            )
    if compiler() and header is not None and header.is_file():
        return None
    return (
        f"{lock.name}: {package} has no wheel for this system, and to build it there is "
        f"{f'no {header}' if compiler() else 'no C compiler'}: install both (Debian, Ubuntu: "
        "`apt install gcc python3-dev`)"
    )


def compiler() -> str | None:
    """Return the C compiler that is there: the one in CC, gcc or clang."""
    named: Sequence[str] = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"]
    return next((name for name in named if shutil.which(name.split()[0])), None)


def triton_problem(header: Path | None) -> str | None:
    """Return what Triton lacks, which compiles a little C before a GPU's first kernel.

    Args:
        header: where the ``Python.h`` of the environment's Python belongs.
    """
    return compiler_problem() or header_problem(header, "this Python")


def compiler_problem() -> str | None:
    """Return that there is no C compiler for Triton, with the remedy."""
    if compiler() is not None:
        return None
    return (
        f"there is no C compiler ({os.environ.get('CC') or 'gcc or clang'}), and Triton "
        "compiles a little C before a GPU's first kernel: install one (Debian, Ubuntu: "
        "`apt install gcc`)"
    )


def header_problem(header: Path | None, whose: str) -> str | None:
    """Return that a Python, called ``whose``, lacks the header that Triton needs."""
    if header is None or header.is_file():
        return None
    return (
        f"{whose} has no {header}, which Triton compiles against before a GPU's first "
        "kernel: install it (Debian, Ubuntu: `apt install python3-dev`)"
    )


def _pins(lock: Path) -> list[str]:
    lines = (line.strip() for line in lock.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _name(pin: str) -> str:
    return pin.partition("==")[0].strip()
