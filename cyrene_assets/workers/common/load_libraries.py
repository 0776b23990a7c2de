"""Load what a toolchain has compiled, in its own interpreter, and say what does not load.

Run by path, with the standard library alone, so that nothing of the orchestrator's is needed. The
only argument is JSON: ``libraries`` are names for the system's loader, ``modules`` are imported.
The last line of the output is JSON: ``libraries`` and ``modules`` that do not load, each with the
loader's or the import's own words.
"""

import ctypes
import importlib
import json
import sys
from collections.abc import Sequence


def unloadable(libraries: Sequence[str]) -> dict[str, str]:
    """Return the libraries that the loader does not find or cannot load, with its words."""
    found = {}
    for name in libraries:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            found[name] = str(error)
    return found


def unimportable(modules: Sequence[str]) -> dict[str, str]:
    """Return the modules that cannot be imported, with the cause in one line."""
    found = {}
    for name in modules:
        try:
            importlib.import_module(name)
        # A compiled package fails with whatever it likes: torchvision with RuntimeError.
        except Exception as error:
            found[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return found


def main() -> None:
    """Load what the argument says; print what does not load."""
    wanted = json.loads(sys.argv[1])
    result = {
        "libraries": unloadable(wanted["libraries"]),
        "modules": unimportable(wanted["modules"]),
        "files": unloadable(wanted["files"]),
    }
    sys.stdout.write(f"\n{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
