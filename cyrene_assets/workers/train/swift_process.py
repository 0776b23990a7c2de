"""Start ms-swift, pass its output through, and say why it failed."""

import contextlib
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cyrene_assets.checkpoints.files import reject_unsafe_files
from cyrene_assets.config.trackers import KEYS, OPTIONS
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.utils.fork_client import ForkServerGoneError, RunningProgram
from cyrene_assets.workers.common.fork_server import client
from cyrene_assets.workers.common.parent_death import PARENT

TAIL_LINES = 20
# How far back a cause is looked for: torch's launcher says much after it.
_CAUSE_LINES = 400
_POLL_SECONDS = 0.5
_MODULES = {"pt": "swift.cli.pt", "sft": "swift.cli.sft", "export": "swift.cli.export"}
_WORKER = "cyrene_assets.workers.common.parent_death"
# What a tool says, and what that means with its remedy: {0} is what it said, {1} its first group.
_CAUSES = (
    (
        r"OutOfMemoryError|CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED",
        "the GPU's memory ran out. Where something else uses it too, close that: the next attempt "
        "resumes from the last checkpoint. Else change the recipe's stage, which trains it from "
        "the beginning: a lower `sequence_length`, `tuner: lora` or `master_weights: false` where "
        "it says otherwise; or train a smaller size. `cyrene doctor --size SIZE` says what fits",
    ),
    (
        r"DefaultCPUAllocator|exitcode: -9\)",
        "memory ran out and the system ended it. Free memory, or train a smaller size",
    ),
    (r"(?:FileNotFoundError|No such file or directory)[^\n]*", "a file is missing: {0}"),
    (
        r"pip install (wandb|swanlab)",
        "the train toolchain has no {1}, which `report_to` in project.yaml asks for: install it "
        "there, or take it out of `report_to`",
    ),
    (
        r"(?:ModuleNotFoundError|ImportError)[^\n]*",
        "the train toolchain lacks something ({0}): install it again",
    ),
    (
        # torch's own words for it, of an optimizer's state that is cut off.
        r"No space left on device|PytorchStreamWriter failed|inline_container\S* \. unexpected pos",
        "the disk is full. Free space under CYRENE_HOME; the next attempt resumes",
    ),
)
# A line that ends a traceback.
_ERROR = re.compile(r"[\w.]*(Error|Exception)\b")
_CHAIN = re.compile(
    r"During handling of the above exception|The above exception was the direct cause"
)
# What the other devices say when one has failed.
_CONSEQUENCE = re.compile(r"NCCL|DistBackendError|DistNetworkError|Connection (?:reset|closed) by")


def swift_process(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return what ``swift ...`` would run, without the process that only starts another.

    With ``NPROC_PER_NODE`` in the environment training runs under torch's launcher, as ``swift``
    itself does it, on a free port. Each process ends with the one that started it.
    """
    module = _MODULES[command[1]]
    launcher: list[str] = []
    processes = environment.get("NPROC_PER_NODE")
    if processes is not None:
        launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", processes]
        launcher += ["-m", _WORKER]
    return [sys.executable, "-m", _WORKER, *launcher, module, *command[2:]]


def run_swift(
    command: Sequence[str], environment: Mapping[str, str], poll: Callable[[], None] | None = None
) -> None:
    """Run a ``swift`` command to its end, its output passed through.

    ``poll`` is called twice a second while it runs, and once after it has ended.

    Raises:
        BuildError: its model or adapter carries code or pickles; or it failed, and the message
            has the cause where it is known, and the last lines.
    """
    # ms-swift runs code that it finds next to weights.
    for option in ("--model", "--adapters"):
        if option in command:
            reject_unsafe_files(Path(command[command.index(option) + 1]))
    process = _start(command, environment)
    tail: deque[str] = deque(maxlen=_CAUSE_LINES)
    keys = [value for name in KEYS.values() if (value := os.environ.get(name))]
    reader = threading.Thread(target=_pass_through, args=(process, tail, keys), daemon=True)
    reader.start()
    try:
        while process.poll() is None:
            if poll is not None:
                poll()
            time.sleep(_POLL_SECONDS)
        reader.join(timeout=5)
        if poll is not None:
            poll()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        lines = workers_lines(list(tail))
        raise BuildError(
            f"`{' '.join(command[:2])}` failed with status {process.returncode}: "
            f"{explain_failure(lines, process.returncode)}\n" + "\n".join(lines[-TAIL_LINES:])
        )


def _start(command: Sequence[str], environment: Mapping[str, str]) -> RunningProgram:
    """Start it next to this program: in a fork of the server that this is one of, or by itself.

    Several processes of a training are started by torch's launcher.
    """
    complete = {**os.environ, **environment}
    server = None if "NPROC_PER_NODE" in environment else client()
    if server is not None:
        with contextlib.suppress(ForkServerGoneError):
            program = server.start(_MODULES[command[1]], command[2:], complete, group=os.getpgrp())
            program.stdin.close()
            return program
    return subprocess.Popen(
        swift_process(command, environment),
        env={**complete, PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _pass_through(process: RunningProgram, tail: deque[str], secrets: Sequence[str]) -> None:
    for line in io.TextIOWrapper(process.stdout, errors="replace"):
        for secret in secrets:
            line = line.replace(secret, "***")  # noqa: PLW2901  # what is not passed on
        sys.stdout.write(line)
        sys.stdout.flush()
        if line.strip():
            tail.append(line.rstrip()[:400])


def workers_lines(lines: Sequence[str]) -> list[str]:
    """Return the lines without torch's launcher: what it says of failed workers, and its marks."""
    if any("ChildFailedError" in line for line in lines):
        starts = [n for n, line in enumerate(lines) if line.startswith("Traceback ")]
        lines = lines[: starts[-1]] if starts else lines
    return [re.sub(r"^\[rank\d+\]: ?", "", line) for line in lines]


def explain_failure(lines: Sequence[str], status: int) -> str:
    """Return the likely cause of a failed command, with its remedy, from its last lines.

    It is the last error of the log: libraries log errors that they get over, such as a module that
    is tried and missing. What a known cause led to does not hide it: the next error of a chained
    traceback, and those of the other devices.
    """
    cause = "its last lines follow"
    known = chained = False
    killed = ["DefaultCPUAllocator"] if status in {-9, 137} else []
    for line in (*lines, *killed):
        words = _known(line)
        if words is not None:
            cause, known, chained = words, True, False
        elif _CHAIN.search(line):
            chained = known
        elif _ERROR.match(line.strip()) and not _CONSEQUENCE.search(line):
            if not chained:
                cause, known = line.strip(), False
            chained = False
    return cause


def _known(line: str) -> str | None:
    """Return what a line means, where that is known."""
    for pattern, cause in _CAUSES:
        found = re.search(pattern, line)
        if found:
            return cause.format(found[0], *found.groups())
    return None


def portable_command(command: Sequence[str]) -> list[str]:
    """Return the command without what differs between machines that train the same.

    Every absolute path is replaced by the name of its option, and what it reports to is left out.
    """
    words: list[str] = []
    option = ""
    for word in command:
        option = word if word.startswith("--") else option
        if option not in OPTIONS:
            words.append(f"<{option.lstrip('-')}>" if Path(word).is_absolute() else word)
    return words
