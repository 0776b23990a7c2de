import importlib.util
import inspect
import multiprocessing
import subprocess
import sys
from multiprocessing import popen_forkserver, popen_spawn_posix
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from dagster._grpc import server
from dagster._grpc.impl import start_run_in_subprocess
from helpers import ROOT

from cyrene_assets.orchestration import warm_runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process is copied on Linux")
CHANGED = "Dagster starts runs another way now: see cyrene_assets/orchestration/warm_runs.py"
_SERVER = f"""
import sys
sys.argv = ["dagster", "api", "grpc"]
sys.path.insert(0, "{ROOT}")
from multiprocessing import forkserver, get_context
from multiprocessing.context import SpawnProcess
from dagster._grpc.impl import start_run_in_subprocess
from cyrene_assets.orchestration import warm_runs

warm_runs.PRELOADED = ("json",)

def parent(queue):
    import os
    queue.put(os.getppid())

if __name__ == "__main__":
    assert warm_runs.start_runs_warm()
    warm_runs.start_run_in_subprocess = parent
    context = get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=parent, args=(queue,))
    process.start()
    assert queue.get(timeout=60) == forkserver._forkserver._forkserver_pid
    process.join(60)
    assert process.exitcode == 0
    print("copied")
"""


def test_dagsters_server_starts_a_run_as_a_process_of_the_context_spawn() -> None:
    text = inspect.getsource(server.DagsterApiServer)
    assert 'multiprocessing.get_context("spawn")' in text, CHANGED
    assert "target=start_run_in_subprocess" in text, CHANGED
    assert isinstance(inspect.getattr_static(SpawnProcess, "_Popen"), staticmethod), CHANGED


def test_every_module_that_is_preloaded_exists() -> None:
    assert [n for n in warm_runs.PRELOADED if importlib.util.find_spec(n) is None] == []


@pytest.mark.parametrize(
    "arguments", [["dagster"], ["dagster", "dev"], ["cyrene", "build"], ["pytest"]]
)
def test_a_process_that_is_no_server_starts_processes_as_before(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert not warm_runs.start_runs_warm()


def test_a_process_that_a_server_started_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dagster", "api", "grpc"])
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    assert not warm_runs.start_runs_warm()


def test_a_run_is_copied_and_any_other_process_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popen_forkserver, "Popen", lambda _process: "copied")
    monkeypatch.setattr(popen_spawn_posix, "Popen", lambda _process: "spawned")
    assert warm_runs._started(SpawnProcess(target=start_run_in_subprocess)) == "copied"
    assert warm_runs._started(SpawnProcess(target=print)) == "spawned"


def test_a_servers_run_is_a_child_of_the_loaded_process(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(_SERVER, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "server.py")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "copied\n", done.stderr
