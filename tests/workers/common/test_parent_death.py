"""No worker outlives the process that started it, in a session of its own or not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cyrene_assets.utils.process_identity import exists
from cyrene_assets.workers.common.parent_death import PARENT

ROOT = Path(__file__).parents[3]
WORKER = "cyrene_assets.workers.common.parent_death"
# Starts a worker as torch's launcher does, in a session of its own, and waits for it.
# Dagster makes SIGTERM what SIGINT is: ignored, where a shell runs the tests in the background.
LAUNCHER = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_DFL)
subprocess.run([sys.executable, "-m", sys.argv[1], *sys.argv[2:]], start_new_session=True)
"""
SLEEPER = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1] + ".new").write_text(str(os.getpid()))
Path(sys.argv[1] + ".new").rename(sys.argv[1])
time.sleep(600)
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}


def wait_for(file: Path) -> int:
    deadline = time.monotonic() + 120
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(file.read_text())


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 60
    while exists(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_ends_with_its_launcher(tmp_path: Path, sent: signal.Signals) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, WORKER, "sleeper", str(tmp_path / "pid")],
        env=environment(tmp_path),
    )
    worker = wait_for(tmp_path / "pid")
    assert os.getpgid(worker) != os.getpgid(launcher.pid)
    launcher.send_signal(sent)
    launcher.wait()
    wait_for_end(worker)


def test_a_worker_whose_parent_is_gone_already_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    done = subprocess.run(
        [sys.executable, "-m", WORKER, "sleeper", str(tmp_path / "pid")],
        env={**environment(tmp_path), PARENT: "1"},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "pid").exists()


def test_a_module_runs_as_python_runs_it(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text("import sys; print(__name__, sys.argv[1:])")
    done = subprocess.run(
        [sys.executable, "-m", WORKER, "shown", "--a", "b"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "__main__ ['--a', 'b']\n"


# A worker under torch's own launcher: it meets the other one, writes its process id, and waits.
MEETING = """
import os, sys, time
from pathlib import Path
import torch.distributed as dist
dist.init_process_group("gloo")
dist.barrier()
file = Path(sys.argv[1] + os.environ["RANK"])
file.with_suffix(".new").write_text(str(os.getpid()))
file.with_suffix(".new").rename(file)
time.sleep(600)
"""


@pytest.mark.slow
def test_workers_of_torch_s_launcher_end_when_it_is_killed(
    tmp_path: Path, toolchain_environment: dict[str, str]
) -> None:
    (tmp_path / "meeting.py").write_text(MEETING)
    python = toolchain_environment["CYRENE_TRAIN_PYTHON"]
    words = [python, "-m", WORKER, "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    launcher = subprocess.Popen(
        [*words, "-m", WORKER, "meeting", str(tmp_path / "pid")], env=environment(tmp_path)
    )
    workers = [wait_for(tmp_path / f"pid{rank}") for rank in range(2)]
    assert {os.getsid(pid) for pid in workers} == set(workers)
    launcher.kill()
    launcher.wait()
    for pid in workers:
        wait_for_end(pid)
