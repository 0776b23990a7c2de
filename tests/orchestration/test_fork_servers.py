import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from forking import imports, toy_fork_server
from machines import detect

from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.compute.program_environment import program_environment
from cyrene_assets.compute.toolchains import SERVE, TRAIN, Toolchain
from cyrene_assets.orchestration import fork_servers
from cyrene_assets.orchestration.fork_servers import start_forked
from cyrene_assets.serving.engine_args import SERVE_ENV
from cyrene_assets.training import swift_args
from cyrene_assets.utils.fork_client import RunningProgram
from cyrene_assets.utils.process_groups import end_group

TOY = Toolchain("toy", "CYRENE_TOY_PYTHON", "train.txt", "train.txt", ())
PYTHON = Path(sys.executable)
MODULE = "toy.workers.toy.said"
OWN = {"READ_AT_IMPORT": "1"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a home whose toy toolchain has a fork server."""
    monkeypatch.setenv("CYRENE_TOY_PYTHON", sys.executable)
    with toy_fork_server(tmp_path, TOY, monkeypatch, OWN):
        yield tmp_path


def start(home: Path, body: str, **environment: str) -> RunningProgram | None:
    """Have a program forked that consists of these lines."""
    folder = home / "work" / "pythonpath" / "toy" / "workers" / "toy"
    (folder / "said.py").write_text(f"import os, signal, sys\n{body}\n", encoding="utf-8")
    return start_forked(PYTHON, MODULE, program_environment(home, {**OWN, **environment}))


def output(program: RunningProgram | None) -> str:
    """Return all that a program says, and wait for its end."""
    assert program is not None
    said = program.stdout.read().decode()
    program.wait(30)
    end_group(program)
    return str(said)


def test_programs_of_a_build_share_one_import(home: Path) -> None:
    body = "print(os.getppid(), os.getpid() == os.getpgrp(), __name__, len(sys.argv))"
    said = [output(start(home, body)).split() for _ in range(3)]
    assert {words[0] for words in said} == {str(pid) for pid in imports(home)}
    assert len(imports(home)) == 1
    assert {tuple(words[1:]) for words in said} == {("True", "__main__", "1")}


@pytest.mark.parametrize(
    ("body", "status"),
    [("sys.exit(3)", 3), ("os.abort()", -signal.SIGABRT), ("1 / 0", 1), ("os._exit(0)", 0)],
)
def test_program_that_ends_badly_leaves_the_next_alone(home: Path, body: str, status: int) -> None:
    program = start(home, body)
    output(program)
    assert program is not None
    assert program.returncode == status
    assert output(start(home, "print('next')")) == "next\n"
    assert len(imports(home)) == 1


def test_fork_sees_its_own_environment_alone(home: Path) -> None:
    body = "print(os.environ.get('ONE'), os.environ['READ_AT_IMPORT'], sys.stdin.fileno())"
    assert output(start(home, body, ONE="first")) == "first 1 0\n"
    assert output(start(home, body)) == "None 1 0\n"


def test_program_with_other_settings_of_the_libraries_is_not_forked(home: Path) -> None:
    assert start(home, "", READ_AT_IMPORT="0") is None
    assert start_forked(PYTHON, MODULE, {}) is None
    assert start_forked(home / "python", MODULE, program_environment(home, OWN)) is None


def test_dead_server_forks_nothing_more(home: Path) -> None:
    output(start(home, ""))
    os.kill(imports(home)[0], signal.SIGKILL)
    assert start(home, "") is None


def test_program_of_a_dead_server_counts_as_killed(home: Path) -> None:
    program = start(home, "import time; time.sleep(600)")
    assert program is not None
    os.kill(imports(home)[0], signal.SIGKILL)
    assert program.wait(30) == -signal.SIGKILL
    end_group(program)


def test_server_ends_with_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYRENE_TOY_PYTHON", sys.executable)
    with toy_fork_server(tmp_path, TOY, monkeypatch, OWN):
        output(start(tmp_path, ""))
    with pytest.raises(ProcessLookupError):
        os.kill(imports(tmp_path)[0], 0)
    assert start(tmp_path, "") is None


def test_program_started_by_a_fork_joins_its_group(home: Path) -> None:
    """As ms-swift is started by the programs that train."""
    body = (
        "from cyrene_assets.workers.common.fork_server import client\n"
        "if 'SECOND' in os.environ:\n"
        "    print(os.getppid(), os.getpgrp(), sys.argv[1:], sys.stdin.read() == '')\n"
        "    sys.exit(5)\n"
        "environment = dict(os.environ, SECOND='1')\n"
        "second = client().start(__spec__.name, ['a b'], environment, group=os.getpgrp())\n"
        "second.stdin.close()\n"
        "print(os.getpid(), second.stdout.read().decode(), second.wait())"
    )
    first, parent, group, *rest = output(start(home, body)).split()
    assert int(parent) == imports(home)[0]
    assert group == first
    assert " ".join(rest) == "['a b'] True 5"


def test_group_of_a_fork_ends_with_it(home: Path) -> None:
    body = (
        "from cyrene_assets.workers.common.fork_server import client\n"
        "import time\n"
        "if 'SECOND' not in os.environ:\n"
        "    environment = dict(os.environ, SECOND='1')\n"
        "    second = client().start(__spec__.name, [], environment, group=os.getpgrp())\n"
        "    print(second.pid, flush=True)\n"
        "time.sleep(600)"
    )
    program = start(home, body)
    assert program is not None
    second = int(program.stdout.readline())
    os.kill(second, 0)
    end_group(program)
    assert program.returncode == -signal.SIGTERM
    # Nothing is left that holds the pipe.
    assert program.stdout.read() == b""


def test_programs_of_a_build_in_the_background_end_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is ignored is inherited, and Dagster gives SIGTERM what SIGINT has."""
    monkeypatch.setenv("CYRENE_TOY_PYTHON", sys.executable)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with toy_fork_server(tmp_path, TOY, monkeypatch, OWN):
            program = start(tmp_path, "import time\nprint(1, flush=True)\ntime.sleep(600)")
            assert program is not None
            assert program.stdout.readline() == b"1\n"
            end_group(program)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert program.returncode == -signal.SIGTERM


_BUILD = """
import sys, time
from pathlib import Path
from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.orchestration import fork_servers
fork_servers.WORKERS, fork_servers._ENVIRONMENTS = "toy.workers", {"toy": {}}
toy = Toolchain("toy", "CYRENE_TOY_PYTHON", "", "", ())
with fork_servers.fork_servers(Path(sys.argv[1]), [toy]):
    environment = fork_servers.program_environment(Path(sys.argv[1]), {})
    program = fork_servers.start_forked(Path(sys.executable), "toy.workers.toy.said", environment)
    print(program.stdout.readline().decode(), flush=True)
    time.sleep(600)
"""


def test_server_and_forks_end_with_a_killed_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYRENE_TOY_PYTHON", sys.executable)
    body = "import time\nprint(os.getpid(), os.getppid(), flush=True)\ntime.sleep(600)"
    # With these settings it only writes the modules.
    with toy_fork_server(tmp_path, TOY, monkeypatch, OWN):
        assert start(tmp_path, body, READ_AT_IMPORT="0") is None
    command = [sys.executable, "-c", _BUILD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as build:
        assert build.stdout is not None
        pids = [int(word) for word in build.stdout.readline().split()]
        build.kill()
        # Both hold ends of pipes to nobody; the system takes a moment.
    deadline = 300
    while deadline and any(_runs(pid) for pid in pids):
        signal.sigtimedwait([], 0.1)
        deadline -= 1
    assert len(pids) == 2
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_machine_with_a_gpu_has_no_fork_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYRENE_TRAIN_PYTHON", sys.executable)
    detect(monkeypatch, Hardware((Gpu("H200", 140 * GIB, (9, 0)),), "580.1"))
    with fork_servers.fork_servers(tmp_path, [TRAIN]):
        environment = {**swift_args.OFFLINE_ENV, **swift_args.CPU_ENV}
        assert start_forked(PYTHON, "any", environment) is None
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("toolchain", "environment"),
    [
        # pretrain and finetune, with and without a tracker; merge, quantize, base_model, dry_pass
        (TRAIN, swift_args.program_environment((), Hardware())),
        (TRAIN, swift_args.program_environment(("wandb",), Hardware())),
        (TRAIN, {**swift_args.OFFLINE_ENV, **swift_args.CPU_ENV}),
        (SERVE, SERVE_ENV),
    ],
)
def test_programs_of_the_assets_agree_with_their_fork_servers_environment(
    toolchain: Toolchain, environment: dict[str, str]
) -> None:
    assert fork_servers._ENVIRONMENTS[toolchain.name].items() <= environment.items()
