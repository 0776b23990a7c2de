"""What a changed line costs: `.venv/bin/python -m benchmarks.rebuild --beside REVISION`.

One German line of the sample corpus in 13 languages is changed, and `cyrene build --to packed_sft`
run: the steps that ran, wall time, and the processor time of the command and all that it started.
Two revisions in turns, each with a project of its own that is up to date before the change. With
`--ui` also the time from the write to both training sets under `cyrene ui`, and the processor time
of the UI, its daemon and their runs until then. Results go to `results/rebuild.json`.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._machine import environment, machine
from benchmarks._measured import run_measured
from cyrene_assets.project.folders import PROJECT_ROOT, SAMPLE_CORPUS

RESULTS = Path(__file__).parent / "results" / "rebuild.json"
_COMMAND = "import sys; from cyrene_assets.cli.main import main; sys.argv[0] = 'cyrene'; main()"
_SETS = ("packed_cpt", "packed_sft")
_SETTLED = b"no file was written since"
_UI_SECONDS = 600.0
_MADE = """
SELECT asset_key FROM event_logs
WHERE id > ? AND dagster_event_type = 'ASSET_MATERIALIZATION' AND run_id != ''
"""


@dataclass(frozen=True)
class Side:
    """One revision's code, with a project and a copy of the sample corpus of its own."""

    name: str
    code: Path
    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", _COMMAND, *arguments]

    def environment(self) -> dict[str, str]:
        # Runs are processes of their own: none is to compile the package again.
        kept = {k: v for k, v in environment(self.home).items() if k != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "PYTHONPATH": str(self.code)}

    def build(self, target: str, *arguments: str) -> dict[str, Any]:
        """Build up to a target; return the steps that ran and what it cost."""
        command = self.command("build", "--to", target, *arguments)
        printed, cost = run_measured(command, self.environment(), self.code)
        steps = re.findall(r"^[✓=] (\S+)", printed, re.MULTILINE)
        return {"steps": steps, "wall": round(cost.wall, 2), "cpu": round(cost.cpu, 2)}

    def change_a_line(self, number: int) -> None:
        """Write another number at the end of a German line."""
        file = self.folder / "sample" / "dialog" / "de.jsonl"
        lines = file.read_text(encoding="utf-8").split("\n")
        line = json.loads(lines[4])
        line["text"] = f"{line['text'].partition(' #')[0]} #{number}"
        lines[4] = json.dumps(line, ensure_ascii=False)
        file.write_text("\n".join(lines), encoding="utf-8")


def prepared(name: str, code: Path, folder: Path) -> Side:
    """Make a project in which both training sets are up to date."""
    side = Side(name, code, folder / name)
    shutil.copytree(SAMPLE_CORPUS, side.folder / "sample")
    for target in _SETS:
        side.build(target, "--corpus", str(side.folder / "sample"))
    return side


def under_ui(side: Side, number: int, port: int) -> dict[str, Any]:
    """Change a line while the UI runs; return the seconds until both training sets are done."""
    log = side.folder / "ui.log"
    with log.open("wb") as output:
        ui = subprocess.Popen(
            side.command("ui", "--port", str(port)),
            env=side.environment(),
            cwd=side.code,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(lambda: _SETTLED in log.read_bytes())
        # What the processes load after their start is no cost of the change.
        time.sleep(15)
        last, before = _newest_event(side.home), _processor_time(ui.pid)
        side.change_a_line(number)
        written = time.monotonic()
        _wait(lambda: set(_SETS) <= _made_since(side.home, last))
        seconds = time.monotonic() - written
        return {"wall": round(seconds, 1), "cpu": round(_processor_time(ui.pid) - before, 1)}
    finally:
        ui.send_signal(signal.SIGINT)
        ui.wait()


def _wait(holds: Any) -> None:
    until = time.monotonic() + _UI_SECONDS
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(f"not within {_UI_SECONDS:.0f} s")
        time.sleep(0.2)


def _events(home: Path, query: str, *values: int) -> list[tuple[Any, ...]]:
    database = home / "dagster" / "history" / "runs" / "index.db"
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def _newest_event(home: Path) -> int:
    ((newest,),) = _events(home, "SELECT max(id) FROM event_logs")
    return int(newest)


def _made_since(home: Path, event: int) -> set[str]:
    return {json.loads(key)[0] for (key,) in _events(home, _MADE, event)}


def _processor_time(session: int) -> float:
    """Return the seconds of all processes of a session, those included that they waited for."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended in this moment
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", required=True, help="the revision to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="changes of each side")
    parser.add_argument("--ui", action="store_true", help="also the change under `cyrene ui`")
    parser.add_argument("--port", type=int, default=3433)
    options = parser.parse_args()
    git = ["git", "-C", str(PROJECT_ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        beside = folder / "code"
        subprocess.run([*git, "add", "-q", "--detach", str(beside), options.beside], check=True)
        try:
            sides = [
                prepared("before", beside, folder), prepared("after", PROJECT_ROOT, folder)
            ]  # fmt: skip
            rows: list[dict[str, Any]] = []
            for number in range(1, options.rounds + 1):
                for side in sides:
                    side.change_a_line(number)
                    rows.append({"side": side.name, **side.build("packed_sft")})
                    print(rows[-1], flush=True)
            shown = []
            for side in sides if options.ui else ():
                side.build("packed_cpt")
                shown.append({"side": side.name, **under_ui(side, 1000, options.port)})
                print(shown[-1], flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(beside)], check=True)
    report = _report(options.beside, rows, shown)
    RESULTS.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(report["median"], indent=1))


def _report(beside: str, rows: list[dict[str, Any]], shown: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what was measured, with the medians of both sides."""
    return {
        "machine": machine(),
        "load": os.getloadavg()[2],
        "beside": beside,
        "command": rows,
        "ui": shown,
        "median": {
            name: {
                "steps": len(_of(rows, name)[0]["steps"]),
                **{
                    field: round(statistics.median(row[field] for row in _of(rows, name)), 1)
                    for field in ("wall", "cpu")
                },
            }
            for name in ("before", "after")
        },
    }


def _of(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["side"] == name]


if __name__ == "__main__":
    main()
