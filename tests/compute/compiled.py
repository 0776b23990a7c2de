"""Real compiled files from this environment, changed where a test says so."""

import re
import subprocess
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from uv import find_uv_bin

SITE = Path(sysconfig.get_path("platlib"))
SUFFIX = EXTENSION_SUFFIXES[0]
# One is linked with libraries of its wheel and with libz; the other with the system's libm alone.
IMAGING, MATH = (SITE / "PIL" / f"{name}{SUFFIX}" for name in ("_imaging", "_imagingmath"))


def needing(library: str) -> bytes:
    """Return Pillow's module as if it were linked with ``library`` instead of libm.so.6."""
    old, new = b"\0libm.so.6\0", b"\0" + library.encode() + b"\0"
    content = MATH.read_bytes()
    assert len(old) == len(new)
    assert content.count(old) == 1
    return content.replace(old, new)


def bundled() -> Path:
    """Return a shared library that a wheel brings, with a long name of its own and no needs."""
    (found,) = SITE.glob("pillow.libs/libXau-*.so*")
    return found


def environment(folder: Path) -> tuple[Path, Path]:
    """Make an environment; return its interpreter and where its packages go."""
    command = [find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder)]
    subprocess.run(command, check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    return folder / "bin" / "python", packages


def linked_by_the_loader(file: Path) -> set[str]:
    """Return the names that a file is linked with directly or not, as the loader resolves them."""
    listed = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"^\s(\S+) => /(?!\S*site-packages)", listed, re.MULTILINE))
