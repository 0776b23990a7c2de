"""`cyrene ui` with real processes: both are there, or neither."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from helpers import CYRENE, Command
from mini_corpus import write_corpus, write_project

from cyrene_assets.serving.server import free_port

pytestmark = pytest.mark.slow
# Only so that a test that cannot succeed ends: a busy machine takes its time.
SECONDS = 240.0


class Ui:
    """A running `cyrene ui`, and the processes of Dagster under it."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, url: str) -> None:
        self.process = process
        self.log = log
        self.url = url

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def children(self) -> dict[str, int]:
        """The numbers of what runs under it, by what each is."""
        names = {
            "dagster": "cyrene_assets.cli.dagster_ui",
            "web server": "dagster_webserver",
            "daemon": "dagster._daemon",
        }
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    words = (entry / "cmdline").read_bytes().decode().split("\0")
                    home = (entry / "environ").read_bytes()
                    if f"CYRENE_UI={self.url}".encode() in home.split(b"\0"):
                        for name, module in names.items():
                            if "-m" in words and words[words.index("-m") + 1] == module:
                                found[name] = int(entry.name)
        return found

    def wait(self, what: str, holds: Callable[[], bool]) -> float:
        started = time.monotonic()
        while not holds():
            waited = time.monotonic() - started
            assert waited < SECONDS, f"not {what} in time:\n{self.said()[-6000:]}"
            time.sleep(0.3)
        return time.monotonic() - started

    def is_ready(self) -> bool:
        return f"{self.url}  (stop with Ctrl-C)" in self.said()

    def is_gone(self) -> bool:
        return self.process.poll() is not None and not self.children()


@contextmanager
def running(command: Command, port: int | None = None, **changes: str) -> Iterator[Ui]:
    """Run the UI of a home until the end of the block."""
    chosen = port or free_port()
    log = command.home.with_name(f"{command.home.name}-{chosen}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(CYRENE), "ui", "--port", str(chosen)],
            env={**command.environment, **changes},
            cwd=command.root,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    ui = Ui(process, log, f"http://127.0.0.1:{chosen}")
    try:
        yield ui
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)
        left = ui.children()
        for number in left.values():
            os.kill(number, signal.SIGKILL)
        assert not left, f"left behind: {left}"


def test_ui_on_a_taken_port_starts_nothing(cyrene: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(cyrene, port) as ui:
            assert ui.process.wait(SECONDS) == 2
            assert f"cannot listen on 127.0.0.1 port {port}" in ui.said()
            assert "give another --port" in ui.said()
            assert "http://" not in ui.said()
            assert ui.children() == {}
    # Nothing that was to be started holds the home.
    with running(cyrene) as ui:
        ui.wait("ready", ui.is_ready)


def test_ui_a_second_time_names_the_first_by_whatever_path_the_home_is_reached(
    cyrene: Command,
) -> None:
    with running(cyrene) as ui:
        ui.wait("ready", ui.is_ready)
        assert set(ui.children()) == {"dagster", "web server", "daemon"}
        link = cyrene.home.with_name("link")
        link.symlink_to(cyrene.home)
        for home in (cyrene.home, link):
            second = cyrene.run("ui", "--port", str(free_port()), CYRENE_HOME=str(home))
            assert second.returncode == 0, second.stderr
            assert second.stdout == f"the UI of {cyrene.home} is there already: {ui.url}\n"
        ui.process.send_signal(signal.SIGTERM)
        assert ui.process.wait(SECONDS) == 0
        ui.wait("gone", ui.is_gone)
    assert not (cyrene.home / "work" / "ui.address").exists()


@pytest.mark.parametrize(
    ("victim", "sent"),
    [
        ("web server", signal.SIGKILL),
        ("web server", signal.SIGTERM),
        ("daemon", signal.SIGKILL),
        ("dagster", signal.SIGKILL),
    ],
)
def test_the_end_of_one_process_ends_all(
    cyrene: Command, victim: str, sent: signal.Signals
) -> None:
    with running(cyrene) as ui:
        ui.wait("ready", ui.is_ready)
        os.kill(ui.children()[victim], sent)
        ui.wait("gone", ui.is_gone)
        assert ui.process.returncode == 1
        assert "error: the UI and its daemon were stopped: " in ui.said()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_the_end_of_the_command_ends_all(cyrene: Command, sent: signal.Signals) -> None:
    with running(cyrene) as ui:
        ui.wait("ready", ui.is_ready)
        ui.process.send_signal(sent)
        ui.wait("gone", ui.is_gone)
        assert ui.process.returncode == (0 if sent is signal.SIGINT else -signal.SIGKILL)


def test_two_homes_of_one_checkout_keep_their_own_code_location(
    cyrene: Command, tmp_path: Path
) -> None:
    other = Command(
        cyrene.root,
        tmp_path / "ot her #2 ${HOME}",
        {**cyrene.environment, "CYRENE_HOME": str(tmp_path / "ot her #2 ${HOME}")},
    )
    write_project(other.home, write_corpus(tmp_path / "corpus"))
    assert cyrene.run("init").returncode == 0
    with running(cyrene) as first, running(other) as second:
        first.wait("ready", first.is_ready)
        second.wait("ready", second.is_ready)
        # The checkout's .env now names the other home, as a bare shell's commands have it.
        assert other.run("init").returncode == 0
        for ui in (first, second):
            reload(ui.url)
        for ui, command in ((first, cyrene), (second, other)):
            run = launch(ui.url, "raw_dialog", "en")
            ui.wait("run", lambda ui=ui, run=run: status(ui.url, run) in ("SUCCESS", "FAILURE"))  # type: ignore[misc]
            (row,) = json.loads(command.run("artifacts", "--json").stdout)
            assert row["run_id"] == run
            assert Path(row["path"]).is_relative_to(command.home / "store")


def reload(url: str) -> None:
    """Load the code location again, as the UI's button does."""
    query = """mutation { reloadRepositoryLocation(repositoryLocationName: "cyrene_assets") {
      ... on WorkspaceLocationEntry { locationOrLoadError { __typename } } } }"""
    found = graphql(url, query)["reloadRepositoryLocation"]
    assert found == {"locationOrLoadError": {"__typename": "RepositoryLocation"}}


def launch(url: str, asset: str, partition: str) -> str:
    """Materialize an asset's partition, as the UI's button does; return the run."""
    query = """mutation($launch: ExecutionParams!) { launchRun(executionParams: $launch) {
      __typename ... on LaunchRunSuccess { run { runId } } } }"""
    selector = {
        "repositoryLocationName": "cyrene_assets",
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": [asset]}],
    }
    said = graphql(
        url,
        query,
        launch={
            "mode": "default",
            "runConfigData": "{}",
            "selector": selector,
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}]},
        },
    )["launchRun"]
    assert said["__typename"] == "LaunchRunSuccess", said
    return str(said["run"]["runId"])


def status(url: str, run: str) -> str:
    query = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
    return str(graphql(url, query, run=run)["runOrError"]["status"])


def graphql(url: str, query: str, **variables: Any) -> Any:
    request = urllib.request.Request(
        f"{url}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        said = json.load(answer)
    assert "errors" not in said, said
    return said["data"]
