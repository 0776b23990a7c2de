"""What `cyrene` takes to answer, of this code and of another revision, in turns.

Run from the project's root: `.venv/bin/python -m benchmarks.cli_start --beside REVISION`. The
sample corpus is built for `tiny` up to `--to` in a project of its own (or `--home` names one in
which all of it is built); each command then runs with each code in turn, in a process of its own.
Processor time is what the machine's other work changes least; both are the least of all turns.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._machine import environment, machine
from benchmarks.flags import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "cli-start.json"
CYRENE = "from cyrene_assets.cli.main import main; main(prog_name='cyrene')"
COMPLETION = {
    "_CYRENE_COMPLETE": "bash_complete",
    "COMP_WORDS": "cyrene build --s",
    "COMP_CWORD": "2",
}
NOW = "now"


def commands(target: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return the arguments and variables of each command that is measured."""
    build = ["build", "--size", "tiny", "--to", target]
    lines = {
        "--version": ["--version"],
        "--help": ["--help"],
        "build --help": ["build", "--help"],
        "doctor": ["doctor"],
        "status": ["status"],
        "artifacts": ["artifacts"],
        "build --plan": [*build, "--plan"],
        "build": build,
    }
    return {
        "completion": ([], COMPLETION),
        **{name: (arguments, {}) for name, arguments in lines.items()},
    }


def run(
    code: Path, home: Path, arguments: list[str], variables: dict[str, str]
) -> tuple[float, float]:
    """Run a command with a code; return its processor and wall time in seconds.

    Raises:
        SystemExit: it fails. `doctor` may find something.
    """
    before, started = os.times(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CYRENE, *arguments],
        env={**environment(home), **variables, "PYTHONPATH": str(code)},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    wall, after = time.monotonic() - started, os.times()
    if done.returncode not in ((0, 1) if arguments == ["doctor"] else (0,)):
        raise SystemExit(done.stdout + done.stderr)
    cpu = after.children_user + after.children_system
    return cpu - before.children_user - before.children_system, wall


def archived(revision: str, folder: Path) -> Path:
    """Write the tree of a revision into a folder; return it."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", revision], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--beside", metavar="REVISION", help="another code, in turns with this one")
    parser.add_argument("--home", type=Path, help="a project in which everything is built")
    parser.add_argument("--to", default="packed_sft", help="the asset up to which it is built")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write results/cli-start.json")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        scratch = Path(name)
        home = given.home.absolute() if given.home else scratch / "home"
        home.mkdir(exist_ok=True)
        codes = {NOW: ROOT}
        if given.beside:
            codes[given.beside] = archived(given.beside, scratch / "beside")
        chosen = commands(given.to)
        run(ROOT, home, *chosen["build"])
        seconds: dict[str, dict[str, Any]] = {}
        for command, (arguments, variables) in chosen.items():
            for code in codes.values():  # Bytecode is written once, the instance opened once.
                run(code, home, arguments, variables)
            taken: dict[str, list[tuple[float, float]]] = {code: [] for code in codes}
            for _ in range(given.turns):
                for code, folder in codes.items():
                    taken[code].append(run(folder, home, arguments, variables))
            seconds[command] = {
                code: {
                    "processor": round(min(cpu for cpu, _ in turns), 2),
                    "wall": round(min(wall for _, wall in turns), 2),
                }
                for code, turns in taken.items()
            }
            print(command, seconds[command], flush=True)
    found = {"machine": machine(), "built up to": given.to, "turns": given.turns, "s": seconds}
    print(f"\n{found['machine']}\n")
    print(f"| `cyrene` ... | {' | '.join(f'{code}: processor, wall' for code in codes)} |")
    print(f"|---|{'---:|' * len(codes)}")
    for command, each in seconds.items():
        cells = (f"{each[code]['processor']:.2f}, {each[code]['wall']:.2f}" for code in codes)
        print(f"| {command} | {' | '.join(cells)} |")
    if given.write:
        RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
