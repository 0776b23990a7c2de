"""Predicted against measured: `cyrene build --plan` of `tiny`, from small corpora to large ones.

Run from the project's root: `.venv/bin/python -m benchmarks.plan [--lines 40 400 3000]`. In one
project, which begins empty, corpora of invented text follow each other, with so many lines of
dialog in each of three languages (about 500 tokens of CPT a line). Each is planned, then built up
to the adapter: the first plan is a guess, the later ones rest on the builds before. `--steps 100`
ends the CPT of the last corpus after so many optimizer steps and extrapolates from their rate.
"""

import argparse
import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._machine import CYRENE, cyrene, environment, machine
from benchmarks._sized import write_corpus
from cyrene_assets.store.artifact_key import ArtifactKey

TARGET = "lora_adapter"


def planned(home: Path, corpus: Path, target: str) -> dict[str, dict[str, Any]]:
    """Return the plan of a corpus: its steps, the partitions of an asset together."""
    cyrene(home, "init", "--corpus", str(corpus))
    plan = json.loads(cyrene(home, "build", "--plan", "--json", "--to", target)[0])
    steps: dict[str, dict[str, Any]] = {}
    for step in plan["steps"]:
        known = steps.setdefault(ArtifactKey.parse(step["step"]).asset, {**step, "seconds": 0.0})
        known["seconds"] += step["seconds"] or 0.0
    return steps


def measured(home: Path) -> dict[str, tuple[float, int | None]]:
    """Return the seconds of each asset's current artifacts, and the tokens of a training."""
    found: dict[str, tuple[float, int | None]] = {}
    for row in json.loads(cyrene(home, "artifacts", "--json")[0]):
        seconds, _ = found.get(row["asset"], (0.0, None))
        manifest = json.loads((Path(row["path"]) / "manifest.json").read_text("utf-8"))
        tokens = manifest["measurements"].get("tokens_trained")
        found[row["asset"]] = seconds + row["seconds"], tokens
    return found


def extrapolated(home: Path, steps: int) -> tuple[float, int]:
    """Begin the CPT, end it after some steps; return its seconds and tokens as far as they tell."""
    cyrene(home, "build", "--to", "packed_cpt")
    build = subprocess.Popen(
        [str(CYRENE), "build", "--to", "cpt_checkpoint"],
        env=environment(home),
        stdout=subprocess.DEVNULL,
    )
    logs = home / "work" / "cpt_checkpoint"
    done, total, speed = 0, 1, 0.0
    while done < steps and build.poll() is None:
        time.sleep(1)
        rows = [json.loads(line) for log in logs.rglob("logging.jsonl") for line in log.open()]
        if rows:
            done, total = map(int, rows[-1]["global_step/max_steps"].split("/"))
            speed = rows[-1]["train_speed(s/it)"]
    build.send_signal(signal.SIGINT)
    build.wait()
    packed = json.loads(cyrene(home, "artifacts", "packed_cpt", "--json")[0])[0]
    manifest = json.loads((Path(packed["path"]) / "manifest.json").read_text("utf-8"))
    return speed * total, manifest["measurements"]["tokens"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, nargs="+", default=[40, 400, 3000])
    parser.add_argument("--steps", type=int, help="extrapolate the last corpus's CPT from these")
    given = parser.parse_args()
    print(f"{machine()}\n")
    columns = "lines, step, from, tokens planned, tokens, s planned, between, s, planned / measured"
    names = columns.split(", ")
    print(f"| {' | '.join(names)} |\n|---:|---|---|{'---:|' * (len(names) - 3)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        for lines in given.lines:
            corpus = Path(folder) / f"corpus-{lines}"
            write_corpus(corpus, lines)
            cut = given.steps if lines == given.lines[-1] else None
            target = "cpt_checkpoint" if cut else TARGET
            plan = planned(home, corpus, target)
            if cut:
                found: dict[str, tuple[float, int | None]] = {
                    "cpt_checkpoint": extrapolated(home, cut)
                }
            else:
                cyrene(home, "build", "--to", target)
                found = measured(home)
            for asset, step in plan.items():
                if asset in found:
                    print(row(lines, asset, step, *found[asset]), flush=True)


def row(lines: int, asset: str, step: dict[str, Any], seconds: float, tokens: int | None) -> str:
    """Return a row of the table."""
    cells = [
        f"{lines:,}",
        f"`{asset}`",
        step["basis"] or "nothing",
        f"{step['tokens']:,}" if step["tokens"] else "",
        f"{tokens:,}" if tokens else "",
        f"{step['seconds']:.1f}",
        f"{step['low']:.0f} - {step['high']:.0f}" if tokens and step["low"] else "",
        f"{seconds:.1f}",
        f"{step['seconds'] / seconds:.2f}" if seconds else "",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
