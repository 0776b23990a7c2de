import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from forking import toy_fork_server
from helpers import Sandbox

from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.orchestration import pipes_runner
from cyrene_assets.orchestration.pipes_runner import ProgramRun
from cyrene_assets.utils import process_groups
from cyrene_assets.utils.errors import BuildError, CyreneError, UserError
from cyrene_assets.utils.process_identity import exists

TOY = Toolchain("toy", "CYRENE_TOY_PYTHON", "train.txt", "train.txt", ("dagster-pipes",))
_HEAD = "import os, signal, subprocess, sys, time\nfrom pathlib import Path\n"
_HEAD += "from cyrene_assets.utils.errors import BuildError, UserError\n"
_HEAD += "from cyrene_assets.workers.common.pipes_program import Program, run\n"
# A program and a process of its own, both of which would work for ten minutes.
FAMILY = """
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    Path(program.extras["pids"] + ".new").write_text(f"{os.getpid()} {child.pid}")
    Path(program.extras["pids"] + ".new").rename(program.extras["pids"])
    time.sleep(600)
"""


def write_program(home: Path, name: str, body: str) -> None:
    """Write ``toy.workers.toy.<name>`` to the one folder that programs import from."""
    package = home / "work" / "pythonpath" / "toy" / "workers" / "toy"
    package.mkdir(parents=True, exist_ok=True)
    text = f"{_HEAD}def main(program: Program) -> dict:\n{body}\nif __name__ == '__main__':\n"
    (package / f"{name}.py").write_text(f"{text}    run(main)\n", encoding="utf-8")


class Runner:
    """Runs toy programs inside an asset of a real Dagster run."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.home = sandbox.home
        self.log = sandbox.home / "logs" / "toy.log"
        self.values: dict[str, Any] | None = None
        self.error: CyreneError | None = None

    def __call__(
        self,
        body: str | None,
        *,
        name: str = "toy",
        extras: Mapping[str, Any] | None = None,
        log: Path | None = None,
        **options: Any,
    ) -> "Runner":
        if body is not None:
            write_program(self.home, name, body)

        @dg.asset(name="toy")
        def toy(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            run = ProgramRun(
                context=context,
                toolchain=TOY,
                program=name,
                extras=extras or {},
                home=self.home,
                log=log or self.log,
                **options,
            )
            try:
                self.values = run.run()
            except CyreneError as error:
                self.error = error
            return dg.MaterializeResult()

        dg.materialize([toy], instance=self.sandbox.instance)
        return self


@pytest.fixture(params=["started", "forked"])
def program(
    request: pytest.FixtureRequest, empty: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runner]:
    """Yield a runner of programs that are started, and of programs that are forked."""
    monkeypatch.setenv("CYRENE_TOY_PYTHON", sys.executable)
    monkeypatch.setattr(pipes_runner, "WORKERS", "toy.workers")
    if request.param == "started":
        yield Runner(empty)
        return
    with toy_fork_server(empty.home, TOY, monkeypatch):
        yield Runner(empty)


def alive(processes: list[int]) -> list[int]:
    """Return those that still run; one that only waits to be reaped does not."""

    def runs(process: int) -> bool:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return exists(process) and not Path("/proc/self").exists()
        return state != "Z"

    return [process for process in processes if runs(process)]


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_result_comes_back_and_the_output_is_kept(
    program: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    body = """
    print("on its way")
    print("to standard error", file=sys.stderr)
    return {"doubled": [2 * n for n in program.extras["numbers"]], "text": "é\\u2028"}
"""
    program(body, extras={"numbers": [1, 2]})
    assert program.error is None
    assert program.values == {"doubled": [2, 4], "text": "é\u2028"}
    assert program.log.read_text().splitlines() == ["on its way", "to standard error"]
    shown = capfd.readouterr().out
    assert "on its way" in shown
    assert "to standard error" in shown


def test_progress_becomes_observations(program: Runner) -> None:
    body = """
    for step in range(1, 4):
        program.progress(f"step {step} of 3", step=step, total=3, loss=2 / 3)
    return {}
"""
    program(body)
    result = program.sandbox.instance.fetch_observations(dg.AssetKey("toy"), limit=10)
    # Reports that follow each other too fast are left out; the last one never is.
    observations = [r.asset_observation for r in reversed(result.records)]
    assert [o.description for o in observations if o] == [
        "step 1 of 3, loss 0.6667",
        "step 3 of 3, loss 0.6667",
    ]
    assert observations[-1] is not None
    values = {name: value.value for name, value in observations[-1].metadata.items()}
    assert {k: values[k] for k in ("step", "total", "loss")} == {
        "step": 3,
        "total": 3,
        "loss": 0.6667,
    }


def test_an_error_of_the_program_is_the_message(program: Runner) -> None:
    program("    raise BuildError('the model has no tokenizer: name another one')")
    assert isinstance(program.error, BuildError)
    assert str(program.error) == (
        "toy: the model has no tokenizer: name another one\n  log: " + str(program.log)
    )
    assert "Traceback" not in program.log.read_text()


def test_bad_input_that_a_program_finds_is_the_users_to_fix(program: Runner) -> None:
    program("    raise UserError('that folder holds no model: name another one')")
    assert isinstance(program.error, UserError)
    assert program.error.exit_status == 2
    assert str(program.error).startswith("toy: that folder holds no model: name another one\n")


def test_a_crash_names_its_last_lines_and_keeps_its_log(program: Runner) -> None:
    body = """
    for number in range(40):
        print("line", number)
    sys.stdout.write("10%|█\\r 20%|██\\r 30%|███\\n")
    raise ZeroDivisionError("a tally of nothing")
"""
    program(body)
    message = str(program.error)
    assert message.startswith("toy failed; its last lines:\n  | ")
    assert "  | ZeroDivisionError: a tally of nothing\n" in message
    assert message.endswith(f"\n  log: {program.log}")
    assert "line 3\n" not in message
    assert "10%" not in message
    assert len(message.splitlines()) == 14
    log = program.log.read_text()
    assert "line 0\n" in log
    assert "Traceback (most recent call last)" in log


_ENGINE = """
    prefix = "(EngineCore pid=812) ERROR 11-22 12:51:43 [core.py:1510] "
    error = ("EngineCore failed to start.", "Traceback (most recent call last):", "ValueError: "
             "Free memory on device cuda:0 (11.5/139.8 GiB) on startup is less than desired GPU "
             "memory utilization (0.9, 125.8 GiB).")
    # As vLLM's formatter does it: a carriage return before each further line.
    print("\\r\\n".join(prefix + line for line in error), file=sys.stderr)
    print("x\\n" * 50)
"""


@pytest.mark.parametrize(
    ("ending", "begin"),
    [
        ("raise BuildError('vLLM failed on m (RuntimeError: Engine core init)')", "toy: vLLM fail"),
        ("raise RuntimeError('Engine core initialization failed.')", "toy failed; its last lines"),
    ],
)
def test_run_of_a_failed_engine_names_the_engines_own_error_and_a_remedy(
    program: Runner, ending: str, begin: str
) -> None:
    program(f"{_ENGINE}    {ending}")
    message = str(program.error)
    assert message.startswith(begin)
    *_, engine, log = message.splitlines()
    assert engine.startswith(
        "  vLLM's engine: ValueError: Free memory on device cuda:0 (11.5/139.8"
    )
    assert "(0.9, 125.8 GiB); not enough GPU memory: end the other programs on the GPU" in engine
    assert log == f"  log: {program.log}"


def test_a_killed_program_says_by_what(program: Runner) -> None:
    program("    os.kill(os.getpid(), signal.SIGKILL)")
    assert "toy was killed by SIGKILL (the system kills what takes more memory" in str(
        program.error
    )
    program("    os.kill(os.getpid(), signal.SIGSEGV)", name="other")
    assert "other was killed by SIGSEGV; its last lines" in str(program.error)


@pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)"])
def test_an_end_without_a_result_is_a_failure(program: Runner, ending: str) -> None:
    program(f"    print('so far so good')\n    {ending}")
    assert "toy ended without a result; its last lines:\n  | so far so good" in str(program.error)


def test_a_result_and_then_a_crash_is_a_failure(program: Runner) -> None:
    program("    import atexit\n    atexit.register(lambda: os._exit(3))\n    return {}")
    assert program.values is None
    assert "toy failed" in str(program.error)


def test_a_module_that_is_not_there(program: Runner) -> None:
    program("    return {}", name="there")
    program(None, name="not_there")
    assert "No module named toy.workers.toy.not_there" in str(program.error)


def test_attempts_share_a_log(program: Runner) -> None:
    program("    print('the first attempt')\n    return {}")
    program("    print('the second')\n    return {}")
    assert program.log.read_text() == "the first attempt\nthe second\n"


def test_a_toolchain_that_is_not_installed(
    program: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYRENE_TOY_PYTHON", str(program.home / "nothing" / "python"))
    program("    return {}")
    assert isinstance(program.error, UserError)
    assert "the 'toy' toolchain is not installed (CYRENE_TOY_PYTHON=" in str(program.error)


def test_a_program_sees_no_secret_but_those_meant_for_it(
    program: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ("HF_TOKEN", "X_API_KEY", "aws_secret_access_key", "DB_PASSWORD", "MY_SECRET")
    for name in secrets:
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("HARMLESS", "shown")
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    body = "    return dict(os.environ)"
    program(body, environment={"HARMLESS_TOO": "1"})
    assert program.values is not None
    assert not set(secrets) & program.values.keys()
    assert "hidden" not in program.values.values()
    assert program.values["HARMLESS"] == "shown"
    assert program.values["HARMLESS_TOO"] == "1"
    assert program.values["PYTHONPATH"] == str(program.home / "work" / "pythonpath")
    assert "PYTHONDONTWRITEBYTECODE" not in program.values
    # A number means the same one of several GPUs to CUDA as to the driver, which the project asks.
    assert program.values["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    program(body, secrets=["HF_TOKEN"])
    assert program.values["HF_TOKEN"] == "hidden"
    assert not set(secrets[1:]) & program.values.keys()


def test_only_this_package_is_added_to_the_toolchains_own(program: Runner) -> None:
    program("    return {'seen': sorted(os.listdir(os.environ['PYTHONPATH']))}")
    assert program.values == {"seen": ["cyrene_assets", "cyrene_vllm_plugin-1.dist-info", "toy"]}


def test_a_full_disk_under_the_log_does_not_stop_the_program(program: Runner) -> None:
    body = """
    for _ in range(3000):
        print("x" * 100)
    Path(program.extras["done"]).touch()
    return {}
"""
    done = program.home / "done"
    with pytest.raises(OSError, match="No space left"):
        program(body, extras={"done": str(done)}, log=Path("/dev/full"))
    assert done.exists()


def test_what_a_program_leaves_behind_is_ended_with_it(program: Runner) -> None:
    pids = program.home / "pids"
    body = FAMILY.replace("    time.sleep(600)\n", "    return {}\n")
    program(body, extras={"pids": str(pids)})
    assert program.values == {}
    assert within(15, lambda: not alive([int(pid) for pid in pids.read_text().split()]))


def test_interrupting_the_run_ends_the_whole_group(program: Runner) -> None:
    pids = program.home / "pids"

    def interrupt() -> None:
        if within(30, pids.exists):
            os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        with pytest.raises((KeyboardInterrupt, dg.DagsterExecutionInterruptedError)):
            program(FAMILY, extras={"pids": str(pids)})
    finally:
        sender.join()
    processes = [int(pid) for pid in pids.read_text().split()]
    assert len(processes) == 2
    assert within(15, lambda: not alive(processes))


def test_what_ignores_the_request_to_end_is_killed(
    program: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_groups, "TERMINATION_SECONDS", 0.5)
    pids = program.home / "pids"
    body = f"    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FAMILY}"

    def interrupt() -> None:
        if within(30, pids.exists):
            os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        with pytest.raises((KeyboardInterrupt, dg.DagsterExecutionInterruptedError)):
            program(body, extras={"pids": str(pids)})
    finally:
        sender.join()
    assert within(15, lambda: not alive([int(pid) for pid in pids.read_text().split()]))


_PARENT = """
import sys
from pathlib import Path
import dagster as dg
from cyrene_assets.orchestration import pipes_runner
from cyrene_assets.compute.toolchains import Toolchain
pipes_runner.WORKERS = "toy.workers"
home = Path(sys.argv[1])

@dg.asset
def toy(context: dg.AssetExecutionContext) -> None:
    pipes_runner.ProgramRun(
        context=context,
        toolchain=Toolchain("toy", "CYRENE_TOY_PYTHON", "", "", ()),
        program="toy",
        extras={"pids": sys.argv[2]},
        home=home,
        log=home / "toy.log",
    ).run()

dg.materialize([toy], instance=dg.DagsterInstance.ephemeral())
"""


@pytest.mark.parametrize(
    "sent", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_killing_the_parent_ends_the_whole_group(tmp_path: Path, sent: signal.Signals) -> None:
    home, pids = tmp_path / "home", tmp_path / "pids"
    write_program(home, "toy", FAMILY)
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(home), str(pids)],
        env={**os.environ, "CYRENE_TOY_PYTHON": sys.executable},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert within(60, pids.exists)
        processes = [int(pid) for pid in pids.read_text().split()]
        assert alive(processes) == processes
        parent.send_signal(sent)
        parent.wait(timeout=30)
        assert within(15, lambda: not alive(processes))
    finally:
        parent.kill()
        parent.wait()
