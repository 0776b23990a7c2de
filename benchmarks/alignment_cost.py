"""What `parallel_corpus` costs a row, of this code and of other revisions, in turns.

Run from the project's root: `.venv/bin/python -m benchmarks.alignment_cost --beside REVISION ...`.
A game-data folder is written (`benchmarks.game_folder`), 13 languages without a selection; each
code runs over it in a process of its own, one after the other, and so again. Compare the seconds of
one run alone: other work on the machine slows all of them.
"""

import argparse
import json
import statistics
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from benchmarks._invented import LANGUAGES
from benchmarks._machine import machine
from benchmarks.flags import ROOT, flagged
from benchmarks.game_folder import write_folder
from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.sources.registry import read_listed

RESULTS = ROOT / "benchmarks" / "results" / "alignment-cost.json"
# Settings that an older revision does not know, and that cost nothing here.
NEWER = ("chats", "gendered")


def folder_of(scale: float, out: Path) -> Path:
    """Write the corpus, with settings that older revisions know; return its folder."""
    write_folder(out, scale, 42, sorted(LANGUAGES))
    path = out / "everything" / "corpus.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    player = config.pop("player", "Player")
    for key in NEWER:
        config.pop(key, None)
    for language in config["languages"].values():
        language.setdefault("player", player)
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    path.write_text(text, encoding="utf-8")
    return path.parent


def rows_of(folder: Path) -> int:
    """Return how many rows all languages have."""
    corpus = load_corpus(folder)
    return sum(len(read_listed(folder, corpus, code)[0]) for code in corpus.languages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--scale", type=float, default=0.1, help="of the game-data folder")
    parser.add_argument("--beside", metavar="REVISION", nargs="+", default=[])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write results/alignment-cost.json")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        scratch = Path(name)
        codes = {"now": ROOT}
        for revision in given.beside:
            codes[revision] = scratch / revision
            codes[revision].mkdir()
            archive = subprocess.run(
                ["git", "archive", revision], cwd=ROOT, check=True, stdout=subprocess.PIPE
            )
            command = ["tar", "-x", "-C", str(codes[revision])]
            subprocess.run(command, input=archive.stdout, check=True)
        folder = folder_of(given.scale, scratch / "game")
        rows = rows_of(folder)
        seconds: dict[str, list[float]] = {code: [] for code in codes}
        for _ in range(given.turns):
            for code, path in codes.items():
                seconds[code].append(round(flagged(folder, path)["seconds"], 2))
                print(code, seconds[code][-1], flush=True)
    found: dict[str, Any] = {"machine": machine(), "rows": rows, "processor seconds": seconds}
    now = statistics.median(seconds["now"])
    for code, each in seconds.items():
        middle = statistics.median(each)
        found.setdefault("microseconds a row", {})[code] = round(middle / rows * 1e6, 1)
        print(f"{code}: {middle / rows * 1e6:.1f} us a row, {middle / now:.2f} of now's")
    if given.write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
