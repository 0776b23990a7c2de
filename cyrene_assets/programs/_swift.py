"""Start ms-swift, pass its output through, and say why it failed."""

import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cyrene_assets.programs._program import ProgramError

TAIL_LINES = 20
_POLL_SECONDS = 0.5
_MODULES = {"pt": "swift.cli.pt", "sft": "swift.cli.sft", "export": "swift.cli.export"}


def swift_process(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return what ``swift ...`` would run, without the process that only starts another.

    With ``NPROC_PER_NODE`` in the environment training runs under torch's launcher, as ``swift``
    itself does it.
    """
    module = _MODULES[command[1]]
    launcher: list[str] = []
    processes = environment.get("NPROC_PER_NODE")
    if processes is not None:
        launcher = ["torch.distributed.run", "--nproc_per_node", processes, "-m"]
    return [sys.executable, "-m", *launcher, module, *command[2:]]


def run_swift(
    command: Sequence[str],
    environment: Mapping[str, str],
    poll: Callable[[], None] | None = None,
) -> None:
    """Run a ``swift`` command to its end, its output passed through.

    ``poll`` is called twice a second while it runs, and once after it has ended.

    Raises:
        ProgramError: it failed; the message has the cause where it is known, and the last lines.
    """
    process = subprocess.Popen(
        swift_process(command, environment),
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    reader = threading.Thread(target=_pass_through, args=(process, tail), daemon=True)
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
        lines = list(tail)
        raise ProgramError(
            f"`{' '.join(command[:2])}` failed with status {process.returncode}: "
            f"{explain_failure(lines, process.returncode)}\n" + "\n".join(lines)
        )


def _pass_through(process: "subprocess.Popen[str]", tail: deque[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if line.strip():
            tail.append(line.rstrip()[:400])


def explain_failure(lines: Sequence[str], status: int) -> str:
    """Return the likely cause of a failed command, with its remedy, from its last lines."""
    text = "\n".join(lines)
    if "OutOfMemoryError" in text or "CUDA out of memory" in text:
        return (
            "the GPU's memory ran out. Close what else uses it, shorten `sequence_length` in the "
            "recipe, or train a smaller size; `cyrene doctor` says what fits"
        )
    if status in {-9, 137} or "DefaultCPUAllocator" in text:
        return "memory ran out and the system ended it. Free memory, or train a smaller size"
    missing = re.search(r"(?:FileNotFoundError|No such file or directory)[^\n]*", text)
    if missing:
        return f"a file is missing: {missing[0]}"
    module = re.search(r"(?:ModuleNotFoundError|ImportError)[^\n]*", text)
    if module:
        return f"the train toolchain lacks something ({module[0]}): install it again"
    if "No space left on device" in text:
        return "the disk is full. Free space under CYRENE_HOME; the next attempt resumes"
    errors = [line for line in lines if re.match(r"\w*(Error|Exception)\b", line.strip())]
    return errors[-1] if errors else "its last lines follow"


def neutral(command: Sequence[str]) -> list[str]:
    """Return the command with every absolute path replaced by the name of its option."""
    return [
        f"<{command[i - 1].lstrip('-')}>" if Path(word).is_absolute() else word
        for i, word in enumerate(command)
    ]
