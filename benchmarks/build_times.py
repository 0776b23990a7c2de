"""Time `tiny` from nothing to the scoreboard: `.venv/bin/python benchmarks/build_times.py`."""

import json
import tempfile
from pathlib import Path

from _machine import cyrene, machine


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _, built = cyrene(home, "build", "--size", "tiny", "--to", "scoreboard")
        _, again = cyrene(home, "build", "--size", "tiny", "--to", "scoreboard")
        rows = json.loads(cyrene(home, "artifacts", "--json")[0])
    assets: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        assets.setdefault(row["asset"], []).append(row)
    print(f"{machine()}\n")
    print("| asset | artifacts | seconds | MB |\n|---|---:|---:|---:|")
    for asset, made in assets.items():
        seconds, size = (sum(row[key] for row in made) for key in ("seconds", "megabytes"))
        print(f"| `{asset}` | {len(made)} | {seconds:.1f} | {size:.1f} |")
    print(f"| whole build, wall time | {len(rows)} | {built:.0f} | |")
    print(f"| build with nothing to do | | {again:.1f} | |")


if __name__ == "__main__":
    main()
