import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers import CYRENE, linked_root
from json_server import JsonHandler

from cyrene_assets.diagnostics.health import main, problem_in
from cyrene_assets.serving.server import free_port

LOADED = {"__typename": "RepositoryLocation"}
DAEMONS = [
    {"daemonType": "SENSOR", "required": True, "healthy": True},
    {"daemonType": "BACKFILL", "required": False, "healthy": None},
]


def answer(loaded: Any = LOADED, daemons: Any = DAEMONS) -> dict[str, Any]:
    entries = [{"name": "cyrene_assets", "locationOrLoadError": loaded}]
    workspace = {"__typename": "Workspace", "locationEntries": entries}
    health = {"daemonHealth": {"allDaemonStatuses": daemons}}
    return {"data": {"workspaceOrError": workspace, "instance": health}}


@contextmanager
def serving(status: int) -> Iterator[int]:
    class Handler(JsonHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.reply({}, status if self.path == "/health" else 404)

        def do_POST(self) -> None:  # noqa: N802
            self.reply({}, 404)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_problem_in_an_answer_where_all_works_is_none() -> None:
    assert problem_in(answer()) is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(loaded=None), "still being loaded"),
        (answer(loaded={"__typename": "PythonError", "message": "no corpus"}), "failed: no corpus"),
        (answer(daemons=[{**DAEMONS[0], "healthy": False}]), "not at work: SENSOR"),
        (answer(daemons=[{**DAEMONS[0], "healthy": None}]), "not at work: SENSOR"),
    ],
)
def test_problem_in_an_answer_that_tells_of_one_names_it(said: Any, words: str) -> None:
    assert words in str(problem_in(said))


def test_problem_in_a_workspace_without_code_location_is_that() -> None:
    said = answer()
    said["data"]["workspaceOrError"]["locationEntries"] = []
    assert problem_in(said) == "the workspace has no code location"


@pytest.mark.parametrize("said", [{}, {"data": None, "errors": ["?"]}, []])
def test_problem_in_another_answer_raises(said: Any) -> None:
    with pytest.raises(ValueError, match="unexpected answer"):
        problem_in(said)


@pytest.mark.parametrize(("status", "exit_status"), [(200, 0), (503, 1)])
def test_health_of_the_server_is_its_own_health_route(
    status: int, exit_status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with serving(status) as port:
        assert main(["serve", "--port", str(port)]) == exit_status


@pytest.mark.parametrize("service", ["ui", "serve"])
def test_health_of_nothing_is_one_line_and_exit_1(
    service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    assert main([service, "--port", str(port)]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{service} on port {port}: ")
    assert said.count("\n") == 1


def test_health_of_the_ui_where_another_server_answers_is_bad(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(200) as port:
        assert main(["ui", "--port", str(port)]) == 1
    assert "404" in capsys.readouterr().out


def test_health_check_imports_the_standard_library_alone() -> None:
    code = (
        "import sys, cyrene_assets.diagnostics.health\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "foreign = names - sys.stdlib_module_names - {'cyrene_assets', '__main__'}\n"
        "print(sorted(name for name in foreign if 'finder' not in name and name[:1] != '_'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # A .pth file of the environment may have loaded its own before.
    bare = subprocess.run(
        [sys.executable, "-c", code.replace(", cyrene_assets.diagnostics.health", "")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == bare.stdout


@pytest.mark.slow
def test_health_of_the_real_ui_is_good_from_its_start_to_its_end(tmp_path: Path) -> None:
    root = linked_root(tmp_path / "root")
    port = free_port()
    environment = {
        **os.environ,
        "CYRENE_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(root),
    }
    environment.pop("DAGSTER_HOME", None)
    command = [str(CYRENE), "ui", "--port", str(port)]
    with (tmp_path / "ui.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 240
            while main(["ui", "--port", str(port)]) and time.monotonic() < until:
                assert process.poll() is None, (tmp_path / "ui.log").read_text()
                time.sleep(1)
            assert main(["ui", "--port", str(port)]) == 0, (tmp_path / "ui.log").read_text()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    assert main(["ui", "--port", str(port)]) == 1
