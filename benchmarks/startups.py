"""Start-ups of a build and of a chat on a CPU, of this code and of another revision, in turns.

Run from the project's root: `.venv/bin/python -m benchmarks.startups build --beside REVISION`, and
`chat` likewise. Each code builds `tiny` from nothing to the scoreboard in a folder of its own, or
starts a chat with its base model up to where a first question can be typed. Compare ratios within
one run: other work on the machine slows all of them, and processor time less than wall time.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._machine import environment, machine
from benchmarks._measured import PROC, family

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "startups.json"
# Each of them would import the libraries again: programs, their parts, and servers of forks.
_PROGRAM = re.compile(r"-m cyrene_assets\.workers\.|multiprocessing\.spawn|VLLM::")
_FORK_SERVER = "cyrene_assets.workers.common.fork_server"
_SAMPLED_EVERY = 0.1
_MAIN = "from cyrene_assets.cli.main import main; main()"
# What `cyrene chat` prints before it reads the first line.
_READY = "; /help"
_BUILD = ("build", "--size", "tiny", "--to")
_LAST = {"build": "scoreboard", "chat": "base_model"}
_CHAT = ("chat", "--size", "tiny", "--model", "base")


class _Seen:
    """What was seen of a process and its descendants: processor seconds, and programs' looks."""

    def __init__(self) -> None:
        self.processor: dict[int, float] = {}
        self.programs: Counter[int] = Counter()

    def look(self, pid: int) -> None:
        for process in family(pid):
            words, (parent, seconds) = _command(process), _parent_and_seconds(process)
            self.processor[process] = max(seconds, self.processor.get(process, 0.0))
            forked = _FORK_SERVER in words and _FORK_SERVER in _command(parent)
            if process != pid and _PROGRAM.search(words) and not forked:
                self.programs[process] += 1

    def started(self) -> int:
        """Return how many programs imported for themselves; what is seen once is about to exec."""
        return sum(looks > 1 for looks in self.programs.values())


@contextmanager
def watched(pid: int) -> Iterator[_Seen]:
    """Yield what is seen of a process and its descendants."""
    seen = _Seen()
    done = threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLED_EVERY):
            seen.look(pid)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield seen
    finally:
        done.set()
        sampler.join()


def _command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (OSError, UnicodeDecodeError):  # It has just ended.
        return ""


def _parent_and_seconds(pid: int) -> tuple[int, float]:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # It has just ended.
        return 0, 0.0
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(code: Path, home: Path, *arguments: str, until: str | None = None) -> dict[str, Any]:
    """Run a command of a code; return its seconds, processor seconds and programs started.

    With ``until`` it is told to quit once it has printed that, and the seconds end there.

    Raises:
        SystemExit: it fails; with its output.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, *arguments],
        env={**environment(home), "PYTHONPATH": str(code), "CYRENE_CORPORA": str(code / "corpora")},
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines, seconds = [], 0.0
    with watched(process.pid) as seen:
        for line in process.stdout:
            lines.append(line)
            if until is not None and until in line:
                seconds = time.monotonic() - started
                process.stdin.write("/quit\n")
                process.stdin.flush()
        status = process.wait()
    if status != 0:
        raise SystemExit(" ".join(arguments) + "\n" + "".join(lines)[-4000:])
    return {
        "seconds": round(seconds or time.monotonic() - started, 1),
        "processor": round(sum(seen.processor.values()), 1),
        "programs": seen.started(),
    }


def digests(code: Path, home: Path) -> dict[str, str]:
    """Return the digest of each artifact by its asset and partition, but for what holds times."""
    command = [sys.executable, "-c", _MAIN, "artifacts", "--json"]
    paths = {"PYTHONPATH": str(code), "CYRENE_CORPORA": str(code / "corpora")}
    done = subprocess.run(
        command, env={**environment(home), **paths}, check=True, capture_output=True
    )
    rows = json.loads(done.stdout)
    return {
        f"{r['asset']} {r['partition']}": r["digest"] for r in rows if r["asset"] != "scoreboard"
    }


def main() -> None:
    """Measure, print a row for each code, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["build", "chat"])
    parser.add_argument("--beside", metavar="REVISION", required=True)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write results/startups.json")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        scratch = Path(name)
        codes = {given.beside: scratch / "code", "now": ROOT}
        codes[given.beside].mkdir()
        archive = subprocess.run(
            ["git", "archive", given.beside], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        command = ["tar", "-x", "-C", str(codes[given.beside])]
        subprocess.run(command, input=archive.stdout, check=True)
        found: dict[str, list[dict[str, Any]]] = {code: [] for code in codes}
        made: dict[str, dict[str, str]] = {}
        for turn in range(given.turns):
            for code, path in codes.items():
                home = scratch / f"{code}-{turn}"
                home.mkdir()
                built = run(path, home, *_BUILD, _LAST[given.what])
                chat = given.what == "chat"
                found[code].append(run(path, home, *_CHAT, until=_READY) if chat else built)
                made[code] = digests(path, home)
                print(code, found[code][-1], flush=True)
    before, now = made[given.beside], made["now"]
    differ = sorted(key for key in before if before[key] != now.get(key))
    print(f"{len(before) - len(differ)} of {len(before)} artifacts are equal", *differ[:5])
    if given.write:
        rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        rows[given.what] = {"machine": machine(), "equal artifacts": len(before) - len(differ)}
        rows[given.what] |= found
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
