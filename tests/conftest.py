"""Fixtures that several test modules share.

The code location reads its languages when it is imported, from the project of CYRENE_HOME: the
miniature project is in place before any test module is.
"""

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from filelock import FileLock
from mini_corpus import write_corpus, write_project

if TYPE_CHECKING:
    from helpers import Command, Sandbox

# A busy machine is no reason to fail.
hypothesis.settings.register_profile(
    "project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("project")

# As the command does it: what is loaded stays, and looking through it after every 700 objects takes
# a twentieth of all time.
gc.set_threshold(20_000)

ROOT = Path(__file__).parent.parent
# One database for all runs, Dagster's own for tests, instead of one for each: a third faster.
_ONE_DATABASE = """
event_log_storage:
  module: dagster._core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config: {{base_dir: {}}}
"""
# What the shell says, which the processes of pytest-xdist inherit from the first one's as it was.
_SHELL = "TESTS_INHERITED"
_INHERITED: dict[str, str] = {
    name: os.environ.pop(name)
    for name in tuple(os.environ)
    if name.startswith(("CYRENE_", "DAGSTER_")) and name != "CYRENE_UPDATE_SNAPSHOT"
}
if _SHELL in os.environ:
    _INHERITED = json.loads(os.environ[_SHELL])
os.environ[_SHELL] = json.dumps(_INHERITED)
_SESSION = Path(tempfile.mkdtemp(prefix="cyrene-tests-"))
write_project(_SESSION / "home", write_corpus(_SESSION / "corpus"))
os.environ["CYRENE_HOME"] = str(_SESSION / "home")
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"


def pytest_unconfigure() -> None:
    shutil.rmtree(_SESSION, ignore_errors=True)


@pytest.fixture(scope="session")
def toolchain_environment() -> dict[str, str]:
    """Environment variables that name the installed toolchains' interpreters."""
    from cyrene_assets.compute.toolchains import TOOLCHAINS

    home = Path(_INHERITED.get("CYRENE_HOME", ROOT / ".cyrene")).absolute()
    found = {
        toolchain.variable: _INHERITED.get(
            toolchain.variable, str(toolchain.folder(home) / "bin" / "python")
        )
        for toolchain in TOOLCHAINS.values()
    }
    missing = [path for path in found.values() if not Path(path).is_file()]
    if missing:
        pytest.fail(f"no {' and no '.join(missing)}: run `make envs` first")
    return found


@pytest.fixture(scope="session")
def package_index() -> None:
    """The package index, which a test consults; without it the test is skipped."""
    from cyrene_assets.compute.toolchains import run_uv
    from cyrene_assets.utils.errors import BuildError

    with tempfile.TemporaryDirectory() as folder:
        try:
            # A version that is there as long as the index is.
            run_uv("pip", "install", "--dry-run", "-q", "--target", folder, "click==8.1.8")
        except BuildError as error:
            pytest.skip(f"no package index: {' '.join(str(error).split())[-300:]}")


# These share the build of `tiny`. Some of their tests damage its artifacts and repair them:
# nobody else may look meanwhile, so all of them run in one process.
_SHARE_TINY = frozenset(
    {"test_cpu_paths.py", "test_end_to_end.py", "test_exported.py", "test_served.py"}
)
# Seconds after which a test with a real tool has hung; of others pyproject.toml says it.
_SLOW_TIMEOUT = 3600
# What takes longest begins first, so that no process works alone at the end.
_LONGEST = ("tiny", "test_torture.py", "test_pretrain.py", "test_two_languages.py")


def _group(file: str) -> str:
    """Return what of the slow tests runs in one process: a file, and those that share `tiny`."""
    return "tiny" if file in _SHARE_TINY else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first; refuse a file that uses `tiny` and is not known to.

    A test that runs a real tool has more time before it counts as one that hangs: the build of
    `tiny` waits for another process's.
    """
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.timeout(_SLOW_TIMEOUT), append=True)
        if "tiny" in getattr(item, "fixturenames", ()) and item.path.name not in _SHARE_TINY:
            raise pytest.UsageError(f"{item.path.name} uses `tiny`: name it in _SHARE_TINY")
    order = {group: place for place, group in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(_group(item.path.name), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give pytest-xdist's processes complete groups (its own `loadgroup` ignores pytest 9.2's)."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return _group(Path(nodeid.partition("::")[0]).name)

    return Groups(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def tiny(
    tmp_path_factory: pytest.TempPathFactory, toolchain_environment: dict[str, str]
) -> tuple[Path, str]:
    """A home in which the command itself built `tiny` up to the scoreboard, and what it printed.

    It takes minutes, so the processes of pytest-xdist share one.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "tiny"
    home, printed = folder / "home", folder / "output.txt"
    with FileLock(shared / "tiny.lock"):
        if not printed.exists():
            folder.mkdir()
            done = subprocess.run(
                [
                    str(Path(sys.executable).with_name("cyrene")),
                    *("build", "--size", "tiny", "--to", "scoreboard"),
                ],
                env={
                    **os.environ,
                    **toolchain_environment,
                    "CYRENE_HOME": str(home),
                    "DAGSTER_HOME": str(home / "dagster"),
                },
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            logs = home.glob("logs/*/*/*.log")
            said = "\n".join(path.read_text(errors="replace")[-3000:] for path in logs)
            assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{said}"
            printed.write_text(done.stdout, encoding="utf-8")
    return home, printed.read_text(encoding="utf-8")


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """An empty folder like ``tmp_path``, in memory where the system has a place for that.

    Dagster's databases wait for the disk at every step of a run; a busy disk makes that minutes.
    """
    with quick_folder() as folder:
        yield folder


@contextmanager
def quick_folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 500_000_000
    with tempfile.TemporaryDirectory(prefix="cyrene-", dir=memory if roomy else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def blank() -> Iterator[Path]:
    """A folder with the miniature corpus and a home with a new instance: copying one is faster."""
    with quick_folder() as folder:
        write_corpus(folder / "corpus")
        with pytest.MonkeyPatch.context() as patch, opened(folder, patch):
            pass
        yield folder


@pytest.fixture(scope="session")
def built(blank: Path) -> Iterator[Path]:
    """A folder with the miniature corpus and a home in which the corpus assets are built."""
    with quick_folder() as folder:
        shutil.copytree(blank, folder, dirs_exist_ok=True)
        with pytest.MonkeyPatch.context() as patch, opened(folder, patch) as sandbox:
            sandbox.build("cpt_documents")
            sandbox.build("sft_chat")
        yield folder


@pytest.fixture
def sandbox(built: Path, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Sandbox"]:
    """A project of its own in which the corpus assets are built."""
    shutil.copytree(built, quick_path, dirs_exist_ok=True)
    with opened(quick_path, monkeypatch) as sandbox:
        yield sandbox


@pytest.fixture
def empty(blank: Path, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Sandbox"]:
    """A project of its own in which nothing is built."""
    shutil.copytree(blank, quick_path, dirs_exist_ok=True)
    with opened(quick_path, monkeypatch) as sandbox:
        yield sandbox


@pytest.fixture
def cyrene(quick_path: Path) -> "Command":
    """The command, on a project of its own in which nothing is built."""
    from helpers import command, linked_root

    corpus = write_corpus(quick_path / "corpus")
    return command(linked_root(quick_path / "root"), quick_path / "home", corpus)


@pytest.fixture
def mounted(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Return a function that runs a command next to a small disk of its own, ``{mount}`` in it."""
    mount = tmp_path / "mount"
    mount.mkdir()

    def run(options: str, command: list[str], **changes: str) -> "subprocess.CompletedProcess[str]":
        inner = ["sh", "-c", f'mount -t tmpfs -o {options} tmpfs "{mount}" && exec "$@"', "sh"]
        return subprocess.run(
            ["unshare", "-rm", *inner, *(part.replace("{mount}", str(mount)) for part in command)],
            env={**os.environ, **changes},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    if shutil.which("unshare") is None or run("size=64k", ["true"]).returncode != 0:
        pytest.skip("this system lets no user mount a disk of their own (unshare -rm)")
    return run


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has whatever a stage needs: no toolchain is there for artifacts of no cost."""
    from cyrene_assets.orchestration import preflight

    monkeypatch.setattr(preflight, "unmet", lambda *_: [])


@pytest.fixture
def specs() -> Iterator[None]:
    """Forget the assets that a test defines."""
    from cyrene_assets.orchestration.artifact_spec import SPECS

    before = dict(SPECS)
    yield
    SPECS.clear()
    SPECS.update(before)


@contextmanager
def opened(folder: Path, patch: pytest.MonkeyPatch) -> Iterator["Sandbox"]:
    """Open the project in a folder: its settings, its environment, its instance."""
    from helpers import Sandbox

    from cyrene_assets.project.instance import open_instance, prepare
    from cyrene_assets.project.project import Project

    home = folder / "home"
    write_project(home, folder / "corpus")
    patch.setenv("CYRENE_HOME", str(home))
    patch.setenv("DAGSTER_HOME", str(home / "dagster"))
    project = Project.load()
    config = project.dagster_home / "dagster.yaml"
    config.unlink(missing_ok=True)
    prepare(project, folder)
    with config.open("a", encoding="utf-8") as file:
        file.write(_ONE_DATABASE.format(project.dagster_home / "one"))
    with open_instance(project) as instance:
        yield Sandbox(home, folder / "corpus", instance)
