"""libnuma for an environment whose system has none.

vLLM's library for CPUs is linked with ``libnuma.so.1``, which its wheel does not bring and a bare
system lacks. A wheel of NVIDIA's nixl carries a copy of it (LGPL-2.1) for x86-64 and aarch64: that
file alone is kept, under the name that vLLM looks for, and whatever Python the environment starts
loads it first.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError

LIBRARY = "libnuma.so.1"
# 66 MB to download; of what is in it 4 MB stay.
CARRIER = "nixl-cu12==1.5.1"
_COPY = "nixl_cu12.libs/libnuma-*.so*"
# Python runs this line at every start of the environment's interpreter. A library that is loaded
# counts as found, so vLLM's processes need no environment variable, however they are started.
_PRELOAD = "cyrene_libnuma.pth"
_LINE = (
    "import ctypes, os, sys; "
    f"_cyrene = os.path.join(sys.prefix, 'lib', '{LIBRARY}'); "
    "os.path.isfile(_cyrene) and ctypes.CDLL(_cyrene)\n"
)


def install_libnuma(environment: Path, packages: Path, uv: Callable[..., None]) -> Path:
    """Put libnuma into an environment, and have its interpreter load it; return the file.

    Args:
        environment: its folder.
        packages: its site-packages.
        uv: runs a command of uv's.

    Raises:
        BuildError: the wheel cannot be had, or does not hold the library any more.
    """
    target = environment / "lib" / LIBRARY
    with (
        disk_errors(environment),
        tempfile.TemporaryDirectory(dir=environment, prefix=".numa-") as given,
    ):
        folder = Path(given)
        python = environment / "bin" / "python"
        uv(
            *("pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"),
            *("--python", str(python), "--target", str(folder), CARRIER),
        )
        copies = sorted(folder.glob(_COPY))
        if not copies:
            raise BuildError(f"{CARRIER} holds no {_COPY}")
        partial = folder / LIBRARY
        # A copy: the file itself may be a link into uv's cache.
        shutil.copyfile(copies[0], partial)
        set_soname(partial, LIBRARY)
        partial.replace(target)
        (packages / _PRELOAD).write_text(_LINE, encoding="ascii")
    return target


def set_soname(library: Path, name: str) -> None:
    """Give a shared library another name of its own (``DT_SONAME``), no longer than the old one.

    The loader takes a library that is already loaded for the one it looks for by this name.

    Raises:
        BuildError: it has no name, or a shorter one.
    """
    with library.open("r+b") as file:
        for segment in ELFFile(file).iter_segments("PT_DYNAMIC"):
            assert isinstance(segment, DynamicSegment)
            for tag in segment.iter_tags("DT_SONAME"):
                old = str(tag.soname).encode()  # type: ignore[attr-defined]
                if len(name) > len(old):
                    raise BuildError(f"{library}: {old!r} has no room for the name {name!r}")
                _, strings = segment.get_table_offset("DT_STRTAB")
                assert strings is not None
                file.seek(strings + tag.entry.d_val)
                file.write(name.encode().ljust(len(old), b"\0"))
                return
    raise BuildError(f"{library}: a shared library without a name")
