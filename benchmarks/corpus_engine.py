"""What the corpus engine costs, stage by stage, and how that grows: 13 languages, invented text.

Run from the project's root: `.venv/bin/python -m benchmarks.corpus_engine`. For each of `--scales`
a game-data folder is written (see `game_folder`; 1 is about 400,000 lines of dialog in each of 13
languages) and read without a selection. All stages run in one process, each writing its Parquet,
`--at-once` languages at a time; `parallel_corpus` looks at two of them. The peak of memory is the
kernel's, reset for each stage. `cyrene build` is measured in full, from an empty project.

`--before` measures the same stages with the code of another checkout, from before `--at-once`, on
the same folder and in the same run: its languages are read and rendered one after the other.

`--beside` runs the public builder of the layout's author, a checkout with `--beside-python`, on the
same folder: everything for pretraining and the character's chats, with a process per language (its
README's `--num-proc 13`) or as many as `--beside-processes` says. It reads, cleans, renders, cuts
by tokens and writes; it does not align languages, flag, find duplicates or split. So two of our
figures stand next to its own: all stages (`everything`), and reading, cleaning, rendering and
writing alone, of two languages at once (`rendering alone`). It counts tokens line by line while it
builds: figures without counting are with its tokenizer library replaced; those with counting add to
ours a count of all documents and chats, as the packed sets count them, by the same byte-level BPE.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks._beside import prepared, run_beside, write_tokenizer
from benchmarks._engine_report import STAGES, Result, draw, report, table
from benchmarks._invented import LANGUAGES
from benchmarks._machine import CYRENE, environment, machine
from benchmarks._measured import Cost, run_measured
from benchmarks.game_folder import write_folder

RESULTS = Path(__file__).parent / "results"
CONFIGURATIONS = ("everything", "character")


def stages(checkout: Path, *arguments: object) -> Result:
    """Run all stages of a checkout's code in a process of their own."""
    command = [sys.executable, "-m", "benchmarks._engine_stages", *map(str, arguments)]
    output, _ = run_measured(command, {**os.environ, "PYTHONPATH": str(checkout)}, checkout)
    result: Result = json.loads(output.splitlines()[-1])
    costs = result["costs"]
    together = [costs[stage] for stage in STAGES]
    total = {key: sum(cost[key] for cost in together) for key in ("wall", "cpu")}
    costs["everything"] = {**total, "peak": max(cost["peak"] for cost in together)}
    return result


def build(corpus: Path, home: Path) -> Cost:
    """Run `cyrene build` up to the chats, and as far as the documents, from nothing."""
    total = Cost()
    for asset in ("sft_chat", "cpt_documents"):
        command = [str(CYRENE), "build", "--size", "tiny", "--corpus", str(corpus), "--to", asset]
        _, cost = run_measured(command, environment(home), Path.cwd())
        total = Cost(total.wall + cost.wall, total.cpu + cost.cpu, max(total.peak, cost.peak))
    return total


def at_scale(folder: Path, scale: float, given: argparse.Namespace) -> Result:
    """Measure all that is asked for at one scale."""
    game = given.folder / str(scale) if given.folder else folder / "game"
    if not (game / "truth.json").is_file():
        write_folder(game, scale, 42, given.languages)
    beside = given.beside and scale in (given.beside_scales or given.scales)
    copy, tokenizer = None, []
    if beside:
        copy = prepared(given.beside, folder)
        tokenizer = [folder / "tokenizer.json"]
        write_tokenizer(copy, tokenizer[0])
    out = folder / "out"
    out.mkdir()
    size = sum(path.stat().st_size for path in (game / "game" / "TextMap").iterdir())
    print(f"scale {scale}: {size / 1e6:,.0f} MB of text maps", file=sys.stderr, flush=True)
    corpus = (game / given.corpus).resolve()
    result = stages(Path.cwd(), corpus, out, given.at_once, *tokenizer)
    if given.before:
        (folder / "out-before").mkdir()
        result["before"] = stages(given.before.resolve(), corpus, folder / "out-before")["costs"]
    result |= {"scale": scale, "text_map_bytes": size}
    if given.build:
        result["costs"]["cyrene build"] = asdict(build(game / given.corpus, folder / "home"))
    if copy:
        processes = given.beside_processes or len(given.languages)
        for counting in (False, True):
            cost, tokens = run_beside(
                copy,
                given.beside_python,
                game / "game",
                folder / f"beside-{counting}",
                processes,
                counting=counting,
            )
            name = "beside, counting" if counting else "beside"
            result["costs"][name] = asdict(cost)
            print(f"{name}: {cost}", file=sys.stderr, flush=True)
            result["amounts"]["tokens beside"] = tokens
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--scales", type=float, nargs="+", default=[0.1, 0.33, 1.0])
    add("--corpus", choices=CONFIGURATIONS, default="everything", help="which selection of texts")
    add("--languages", nargs="+", choices=sorted(LANGUAGES), default=sorted(LANGUAGES))
    add("--folder", type=Path, help="keep the game-data folders here, each under its scale")
    add("--at-once", type=int, default=2, help="languages that are read and rendered at a time (2)")
    add("--no-build", dest="build", action="store_false", help="leave `cyrene build` out")
    add("--before", type=Path, help="a checkout of an earlier revision to measure as well")
    add("--beside", type=Path, help="a checkout of the builder to run on the same folders")
    add("--beside-python", type=Path, help="the interpreter that has what it needs")
    add("--beside-processes", type=int, help="how many processes it runs (one per language)")
    add("--beside-scales", type=float, nargs="+", help="the scales at which (all)")
    add("--out", type=Path, default=RESULTS, help="where the results go")
    given = parser.parse_args()
    if given.beside and not given.beside_python:
        parser.error("--beside needs --beside-python")
    results = []
    for scale in sorted(given.scales):
        with tempfile.TemporaryDirectory() as folder:
            results.append(at_scale(Path(folder), scale, given))
        print(table(results[-1]), end="\n\n", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "corpus": given.corpus, "scales": results}
    (given.out / "corpus-engine.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    (given.out / "corpus-engine.md").write_text(report(machine(), results), encoding="utf-8")
    draw(results, given.out / "corpus-engine.png")


if __name__ == "__main__":
    main()
