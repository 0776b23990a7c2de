"""The real daemon, once: a changed file, and the training sets are rebuilt automatically."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from helpers import Sandbox, linked_root
from ticks import Ticks

pytestmark = pytest.mark.slow
# So that a test that cannot succeed does not run for ever.
SECONDS = 300.0


@pytest.fixture
def ticks(sandbox: Sandbox) -> Ticks:
    """A project whose training sets are made, with a tokenizer for a base model."""
    from corpus.miniature import byte_tokenizer

    tokenizer = sandbox.home / "tokenizer.json"
    byte_tokenizer(tokenizer, ["water comes and water goes\n" * 3])
    ticks = Ticks(sandbox)
    ticks.policy(training="never", quantization="never", evaluation="never", settle_seconds=2)
    ticks.made("base_model[tiny]", files={"tokenizer.json": tokenizer.read_bytes()})
    assert sandbox.build("packed_cpt")[0] == ["packed_cpt[tiny]"]
    assert sandbox.build("packed_sft")[0] == ["packed_sft[tiny]"]
    ticks.made("cpt_checkpoint[tiny]")
    return ticks


@pytest.fixture
def daemon(ticks: Ticks, tmp_path: Path) -> Iterator[Path]:
    """Run Dagster's daemon on the project, as `make ui` does; yield its log."""
    root, log = linked_root(tmp_path / "root"), tmp_path / "daemon.log"
    environment = {**os.environ, "PYTHONPATH": str(root), "CYRENE_HOME": str(ticks.sandbox.home)}
    # Every run is a process: it is not to compile the package again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
            cwd=root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait(what: str, log: Path, holds: Callable[[], bool]) -> float:
    """Wait until something holds; return for how many seconds."""
    started = time.monotonic()
    while not holds():
        waited = time.monotonic() - started
        assert waited < SECONDS, f"not {what} in time:\n{log.read_text(errors='replace')[-6000:]}"
        time.sleep(0.5)
    return time.monotonic() - started


def test_a_changed_file_renews_the_training_sets(ticks: Ticks, daemon: Path) -> None:
    sandbox = ticks.sandbox
    before, runs = sandbox.digests(), sandbox.instance.get_runs_count()
    wait("watching", daemon, lambda: b"no file was written since" in daemon.read_bytes())
    file = sandbox.corpus / "dialog" / "en.jsonl"
    changed = file.read_bytes().replace(b"room 2", b"room two").replace(b"room 3", b"room three")
    # Written in two halves: the first alone is no valid file.
    file.write_bytes(changed[: len(changed) // 2])
    time.sleep(1)
    file.write_bytes(changed)

    def renewed() -> bool:
        return sandbox.digests()["packed_cpt[tiny]"] != before["packed_cpt[tiny]"] and not any(
            sandbox.plan("packed_sft").values()
        )

    wait("renewed", daemon, renewed)
    wait("at rest", daemon, lambda: not sandbox.instance.get_runs(_UNFINISHED))
    made = sandbox.instance.get_runs()[: sandbox.instance.get_runs_count() - runs]
    assert all(run.status is dg.DagsterRunStatus.SUCCESS for run in made)
    ran = [
        (key.to_user_string(), run.tags.get("dagster/partition"))
        for run in made
        for key in run.asset_selection or ()
    ]
    # One run for each artifact and one change; the other language's units are what they were.
    assert sorted(ran, key=str) == sorted(
        [
            ("raw_dialog", "en"),
            ("parallel_corpus", None),
            *((a, "en") for a in ("cpt_documents", "sft_chat")),
            *((a, "tiny") for a in ("packed_cpt", "packed_sft")),
        ],
        key=str,
    )
    # What the automation made is what a build would have made.
    assert sandbox.build("packed_cpt")[0] == sandbox.build("packed_sft")[0] == []
    plan = sandbox.plan("cpt_checkpoint")
    assert plan["cpt_checkpoint[tiny]"] == "input changed: packed_cpt[tiny]"


_UNFINISHED = dg.RunsFilter(
    statuses=[
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
)
