"""Training on several devices, shown with two processes on the CPU."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workers.conftest import Ran, RunProgram

pytestmark = pytest.mark.slow

PLUGIN = Path(__file__).with_name("cpu_devices.py")


def on_two_devices(extras: dict[str, Any]) -> dict[str, Any]:
    """Have two processes make up the batch of 2 that one makes in one go."""
    command = list(extras["command"])
    command[command.index("--per_device_train_batch_size") + 1] = "1"
    command.insert(command.index("--external_plugins") + 2, str(PLUGIN))
    environment = {**extras["environment"], "NPROC_PER_NODE": "2"}
    return {**extras, "command": [*command, "--ddp_backend", "gloo"], "environment": environment}


def processes_of(folder: Path) -> list[int]:
    """Return the processes whose command names a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in command:
                found.append(int(entry.name))
    return found


def test_cut_off_and_resumed_the_curve_is_that_of_one_and_no_worker_outlives_the_program(
    cpt: Ran,
    start_program: Callable[..., "subprocess.Popen[str]"],
    run_program: RunProgram,
    pretrain_extras: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    out.mkdir()
    extras = on_two_devices(pretrain_extras(work))
    process = start_program("pretrain", tmp_path, {**extras, "out": str(out)})
    log, deadline = work / "run" / "logging.jsonl", time.monotonic() + 300
    while not (log.is_file() and '"3/6"' in log.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # The program alone, not its group: the launcher and its workers must see to it themselves.
    assert len(processes_of(work)) >= 3
    process.kill()
    process.communicate()
    while processes_of(work):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    resumed = run_program("pretrain", **extras)
    assert resumed.result["resumed_from"] in {"step 2", "step 4"}
    for kind in ("train_loss", "eval_loss"):
        steps, losses = zip(*resumed.result[kind], strict=True)
        expected_steps, expected = zip(*cpt.result[kind], strict=True)
        assert steps == expected_steps
        assert losses == pytest.approx(expected, rel=1e-4)
