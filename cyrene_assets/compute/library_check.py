"""Whether everything compiled in an environment loads on this system, before anything uses it.

A package's wheel brings most of the shared libraries that its modules need, the system has the
rest. What the system lacks shows at the first import, hours into a build; and where a package
catches the import's error, as vLLM does, it shows as something else.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.hash import GNUHashSection

from cyrene_assets.compute.system_libraries import missing_line
from cyrene_assets.utils.errors import BuildError

_PROGRAM = Path(__file__).parents[1] / "workers" / "common" / "load_libraries.py"
# They come with NVIDIA's driver, of which `platform_support` knows more than a missing file.
_DRIVER = frozenset({"libcuda.so.1", "libnvidia-ml.so.1"})
# Modules that their package does without: numba takes another of its threading layers where Intel's
# or GNU's library is not there.
_OPTIONAL = ("numba/np/ufunc/tbbpool.", "numba/np/ufunc/omppool.")
_SECONDS = 300


@dataclass(frozen=True)
class _Library:
    """A shared library of an environment, and the names of those that it is linked with."""

    path: Path
    needs: tuple[str, ...]


@dataclass
class Packages:
    """The shared libraries under an environment's packages.

    Plug-ins for hardware that few have (InfiniBand, MPI) lie among them, and need what the system
    lacks: only what Python's own extension modules lead to counts.
    """

    folder: Path
    suffixes: Sequence[str] = field(default_factory=lambda: EXTENSION_SUFFIXES)

    @cached_property
    def _libraries(self) -> dict[str, _Library]:
        found = {}
        for folder, _, names in os.walk(self.folder):
            for name in (name for name in names if ".so" in name):
                path = Path(folder, name)
                if (needs := _needs(path)) is not None:
                    found[name] = _Library(path, needs)
        return dict(sorted(found.items()))

    def from_the_system(self) -> dict[str, str]:
        """Return the libraries that the system must have: by name, the first file that needs it."""
        found: dict[str, str] = {}
        waiting = [name for name, library in self._libraries.items() if self._is_module(library)]
        seen = set(waiting)
        while waiting:
            library = self._libraries[waiting.pop()]
            for name in library.needs:
                if name in self._libraries:
                    if name not in seen:
                        seen.add(name)
                        waiting.append(name)
                elif name not in _DRIVER:
                    shown = library.path.relative_to(self.folder).as_posix()
                    found[name] = min(found.get(name, shown), shown)
        return found

    def _is_module(self, library: _Library) -> bool:
        name = library.path.name
        shown = library.path.relative_to(self.folder).as_posix()
        if not name.endswith(tuple(self.suffixes)) or shown.startswith(_OPTIONAL):
            return False
        if not name.startswith("lib"):
            return True
        return _exports(library.path, f"PyInit_{name.split('.')[0]}")


def unloadable(python: Path, modules: Iterable[str] = (), files: Iterable[str] = ()) -> list[str]:
    """Return a line with its remedy for each thing that an environment cannot load on this system.

    Args:
        python: the environment's interpreter.
        modules: to import as well; some fail for other reasons than a missing library.
        files: libraries to load after them, as paths under the environment's packages; those that
            are not there are left out.

    Raises:
        BuildError: the interpreter does not run.
    """
    packages = packages_of(python)
    needed = Packages(packages).from_the_system()
    wanted = {
        "libraries": sorted(needed),
        "modules": list(modules),
        "files": [str(packages / file) for file in files if (packages / file).is_file()],
    }
    found = run_python(python, str(_PROGRAM), json.dumps(wanted))
    return _lines(python, needed, json.loads(found.rstrip().splitlines()[-1]))


def can_load(python: Path, library: str) -> bool:
    """Return whether an environment's interpreter finds a library of the system's and loads it.

    Raises:
        BuildError: the interpreter does not run.
    """
    wanted = {"libraries": [library], "modules": [], "files": []}
    found = run_python(python, str(_PROGRAM), json.dumps(wanted))
    return not json.loads(found.rstrip().splitlines()[-1])["libraries"]


def _lines(
    python: Path, needed: Mapping[str, str], found: Mapping[str, Mapping[str, str]]
) -> list[str]:
    lines = []
    for name, said in found["libraries"].items():
        if "No such file" in said:
            lines.append(missing_line(name, needed[name]))
        else:
            lines.append(f"{needed[name]} needs {name}, which does not load here ({said})")
    for what, said in {**found["modules"], **found["files"]}.items():
        # Some say again what the line about a library says.
        if not any(name in said for name in found["libraries"]):
            lines.append(
                f"{what} does not load in {python} ({said}): remove the environment's folder and "
                "make it again; if that does not help, the package does not run on this system"
            )
    return lines


def packages_of(python: Path) -> Path:
    """Return where an environment's compiled packages lie.

    Raises:
        BuildError: the interpreter does not run.
    """
    code = "import sysconfig; print(sysconfig.get_path('platlib'))"
    return Path(run_python(python, "-c", code).strip())


def run_python(python: Path, *arguments: str) -> str:
    """Return what an interpreter prints; neither the user's packages nor variables reach it.

    Raises:
        BuildError: it does not run, or not to its end.
    """
    command = [str(python), "-I", *arguments]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except OSError as error:
        raise BuildError(f"{python} does not run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{python} did not load its libraries within {_SECONDS} s") from error
    if result.returncode < 0:
        raise BuildError(
            f"{python} was killed by signal {-result.returncode} as it loaded its libraries: "
            f"{result.stderr.strip()[-300:]}"
        )
    if result.returncode != 0:
        raise BuildError(f"{python} does not run: {result.stderr.strip()[-300:]}")
    return result.stdout


def _needs(path: Path) -> tuple[str, ...] | None:
    """Return the names that a library is linked with; None where it is no ELF file."""
    try:
        with path.open("rb") as file:
            for segment in ELFFile(file).iter_segments("PT_DYNAMIC"):
                assert isinstance(segment, DynamicSegment)
                tags = segment.iter_tags("DT_NEEDED")
                return tuple(str(tag.needed) for tag in tags)  # type: ignore[attr-defined]
    except ELFError:  # a linker's script, or another system's library
        return None
    return ()


def _exports(path: Path, symbol: str) -> bool:
    with path.open("rb") as file:
        # The hash table finds one symbol among a hundred thousand; libraries have it since 2006.
        section = ELFFile(file).get_section_by_name(".gnu.hash")
        return isinstance(section, GNUHashSection) and section.get_symbol(symbol) is not None
