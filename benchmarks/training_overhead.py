"""CPT of `tiny` through the platform and by the bare command, in turns.

`.venv/bin/python benchmarks/training_overhead.py [ROUNDS]`. A platform round is one Dagster run of
`cpt_checkpoint`, inputs verified, checkpoint cast, hashed and published; a bare round is the `swift
pt` command that the platform recorded, with another output folder. Ratios, for machines are noisy.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from _machine import cyrene, environment, machine

from cyrene_assets.training.swift_args import OFFLINE_ENV


def bare(command: list[str], home: Path, output: Path) -> float:
    """Run the recorded command by hand; return its wall time in seconds."""
    python = environment(home)["CYRENE_TRAIN_PYTHON"]
    arguments = list(command)
    arguments[arguments.index("--output_dir") + 1] = str(output)
    swift = [python, "-m", "swift.cli.main", *arguments[1:]]
    started = time.monotonic()
    subprocess.run(
        swift,
        env={**os.environ, **OFFLINE_ENV, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=True,
        capture_output=True,
    )
    return time.monotonic() - started


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    times: dict[str, list[float]] = {"platform": [], "bare": []}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            cyrene(home, "build", "--to", "packed_cpt")
            times["platform"].append(cyrene(home, "build", "--to", "cpt_checkpoint")[1])
            row = json.loads(cyrene(home, "artifacts", "cpt_checkpoint", "--json")[0])[0]
            manifest = json.loads((Path(row["path"]) / "manifest.json").read_text("utf-8"))
            command = manifest["measurements"]["command"]
            times["bare"].append(bare(command, home, Path(folder) / f"bare-{number}"))
    print(f"{machine()}\n")
    print("| round | `cyrene build` s | bare `swift pt` s | ratio |\n|---:|---:|---:|---:|")
    pairs = list(zip(times["platform"], times["bare"], strict=True))
    for number, (ours, theirs) in enumerate(pairs, 1):
        print(f"| {number} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |")
    print(f"\nmedian ratio {median(ours / theirs for ours, theirs in pairs):.2f}")


if __name__ == "__main__":
    main()
