"""A run cancelled in the UI, and the UI terminated: their processes are gone, the slot is free."""

import json
import os
import random
import signal
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .bench import Bench, environment
from .kills import finish
from .processes import TAG, gone_within, kill, start, tagged

STARTS_SECONDS, GONE_SECONDS, UI_GONE_SECONDS = 240.0, 10.0, 30.0
_LAUNCH = """
mutation($launch: ExecutionParams!) {
  launchRun(executionParams: $launch) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on InvalidSubsetError { message }
  }
}
"""
_CANCEL = "mutation($run: String!) { terminateRun(runId: $run) { __typename } }"
_STATUS = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
_SLOTS = "{ instance { concurrencyLimits { concurrencyKey activeSlotCount pendingStepCount } } }"


@dataclass
class Cancelled:
    """What became of cancelled runs; ``longest_end`` is the slowest end of all processes.

    ``held_slots`` counts the runs that held a slot of a pool when they were cancelled.
    """

    stage: str
    cancelled: int = 0
    held_slots: int = 0
    longest_end: float = 0.0
    lost: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the results as a JSON value."""
        return vars(self)


class Ui:
    """Dagster's UI with its daemon, as `cyrene ui` starts it, on a port of its own."""

    def __init__(self, place: Path, tag: str) -> None:
        from helpers import CYRENE, linked_root

        # The command points the .env of the project's root at its home: of a root of its own.
        root = linked_root(place / "root")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        variables = {**os.environ, **environment(place), TAG: tag, "PYTHONPATH": str(root)}
        self.process = start(place / "ui", [str(CYRENE), "ui", "--port", str(self.port)], variables)
        wait_for(lambda: self._answers("{ version }"), STARTS_SECONDS)

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask the UI's GraphQL endpoint."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.load(answer)
        if "errors" in said:
            raise RuntimeError(said["errors"])
        return said["data"]

    def _answers(self, query: str) -> bool:
        try:
            self.ask(query)
        except (urllib.error.URLError, OSError):
            return False
        return True

    def launch(self, stage: str) -> str:
        """Launch a run of one stage and return its id."""
        selector = {
            "repositoryLocationName": "cyrene_assets",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [stage]}],
        }
        tags = [{"key": "dagster/partition", "value": "tiny"}]
        said = self.ask(
            _LAUNCH,
            launch={
                "mode": "default",
                "runConfigData": "{}",
                "selector": selector,
                "executionMetadata": {"tags": tags},
            },
        )["launchRun"]
        if said["__typename"] != "LaunchRunSuccess":
            raise RuntimeError(said)
        return str(said["run"]["runId"])


def wait_for(condition: Any, seconds: float) -> bool:
    """Wait until a condition holds; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(held)


def cancel(bench: Bench, stage: str, runs: int, seed: int) -> Cancelled:
    """Launch runs of a stage in the UI, cancel each while its tool works, and look around."""
    draw, found, place = random.Random(f"{stage}{seed}"), Cancelled(stage), bench.folder / "cancel"
    bench.restore(stage, place)
    tag = f"{os.getpid()}-{time.monotonic_ns()}"
    ui = Ui(place, tag)
    try:
        for _ in range(runs):
            wrong = _cancel_one(ui, stage, tag, draw, found)
            found.lost += [f"{stage}: {said}" for said in wrong]
    finally:
        os.kill(ui.process, signal.SIGTERM)
        left = gone_within(tag, UI_GONE_SECONDS)
        for process in left:
            kill(process)
        gone_within(tag, GONE_SECONDS)
        os.waitpid(ui.process, 0)
    if left:
        found.lost.append(f"{stage}: {len(left)} processes of a terminated UI are left")
    found.lost += finish(bench, stage, place)
    return found


def _cancel_one(ui: Ui, stage: str, tag: str, draw: random.Random, found: Cancelled) -> list[str]:
    run = ui.launch(stage)

    def tools() -> list[int]:
        return [process for process in tagged(tag) if _is_tool(process)]

    if not wait_for(tools, STARTS_SECONDS):
        return ["no tool was started"]
    time.sleep(draw.uniform(0, 8))

    def slots() -> int:
        pools = ui.ask(_SLOTS)["instance"]["concurrencyLimits"]
        return sum(pool["activeSlotCount"] + pool["pendingStepCount"] for pool in pools)

    held = slots()
    asked = time.monotonic()
    ui.ask(_CANCEL, run=run)
    if not wait_for(lambda: not tools(), GONE_SECONDS):
        return [f"{len(tools())} processes of a cancelled run are left after {GONE_SECONDS:.0f} s"]
    found.longest_end = max(found.longest_end, round(time.monotonic() - asked, 1))
    found.cancelled += 1
    found.held_slots += held
    wrong = []
    if held != _uses_gpu(found.stage):
        wrong.append(f"it held {held} slots of pools")

    def ended() -> bool:
        return bool(ui.ask(_STATUS, run=run)["runOrError"]["status"] == "CANCELED")

    if not wait_for(ended, GONE_SECONDS):
        wrong.append("the run is not marked as cancelled")

    if not wait_for(lambda: slots() == 0, GONE_SECONDS):
        wrong.append("its pool slot is not free")
    return wrong


def _uses_gpu(stage: str) -> bool:
    from cyrene_assets.orchestration.artifact_spec import SPECS

    return SPECS[stage].gpu


def _is_tool(process: int) -> bool:
    try:
        return b"cyrene_assets.workers." in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
