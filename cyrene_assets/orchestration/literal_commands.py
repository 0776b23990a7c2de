"""Dagster's own commands, word for word, from any folder of the project.

``dagster`` looks for ``.env`` and for the code location in the folder that it is run in, and some
of its commands want ``-m`` even there. ``make setup`` has the two commands of the project's own
environment (``.venv/bin/dagster``, ``.venv/bin/dg``) go to the project's root first and name the
module. Nothing is set in a shell: an environment of another project that is activated after this
one finds everything as it was, and so does another project's folder.
"""

import os
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

MODULE = "cyrene_assets.definitions"
# What Dagster's command line reads instead of -m.
VARIABLE = "DAGSTER_MODULE_NAME"
_COMMANDS = ("dagster", "dg")
_ENTER = "from cyrene_assets.orchestration.literal_commands import enter; enter()\n"
# Commands that take one code location, as options: the others read the root's workspace.
_POINTED = {("asset", "materialize"), ("asset", "list"), ("job", "execute")}
_POINTERS = ("-m", "--module-name", "-f", "--python-file", "--package-name")
_PATHS = (
    *("-c", "--config", "-w", "--workspace", "-f", "--python-file"),
    *("-d", "--working-directory", "--target-path"),
)


def enter() -> None:
    """Go to the root of the project that this folder is in, and name its module; else do nothing.

    Paths among the arguments are those of the folder that the command was given in.
    """
    here = Path.cwd()
    root = project_root(here)
    if root is None:
        return
    arguments = sys.argv[1:]
    if here != root:
        sys.argv[1:] = arguments = _absolute(arguments, here)
        os.chdir(root)
    named = any(argument.partition("=")[0] in _POINTERS for argument in arguments)
    if tuple(arguments[:2]) in _POINTED and not named:
        os.environ.setdefault(VARIABLE, MODULE)


def project_root(folder: Path) -> Path | None:
    """Return the root of this project that a folder is in; None in another project's folder."""
    for place in (folder, *folder.parents):
        file = place / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
        except (OSError, ValueError):
            return None
        if "dg" in tool or "dagster" in tool:
            named = tool.get("dg", {}).get("project", {}).get("root_module")
            return place if named == MODULE.partition(".")[0] else None
    return None


def _absolute(arguments: Sequence[str], folder: Path) -> list[str]:
    absolute: list[str] = []
    for argument in arguments:
        name, is_joined, value = argument.partition("=")
        if absolute and absolute[-1] in _PATHS:
            absolute.append(str(folder / argument))
        elif is_joined and name in _PATHS:
            absolute.append(f"{name}={folder / value}")
        else:
            absolute.append(argument)
    return absolute


def install(folder: Path) -> None:
    """Have the commands in an environment's ``bin`` folder begin with ``enter``.

    Raises:
        SystemExit: a command is not there, or not what an installer writes.
    """
    for name in _COMMANDS:
        script = folder / name
        text = script.read_text(encoding="utf-8") if script.is_file() else ""
        if _ENTER in text:
            continue
        before, imports, after = text.partition("import sys\n")
        if not imports:
            sys.exit(f"{script}: not a command as pip or uv write it: run `make clean setup`")
        partial = script.with_name(f"{name}.partial")
        partial.write_text(f"{before}{imports}{_ENTER}{after}", encoding="utf-8")
        shutil.copymode(script, partial)
        partial.replace(script)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
