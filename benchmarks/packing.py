"""Packing and token counting: seconds, fill, and tokens a second, compared with what others do.

Run from the project's root: `.venv/bin/python -m benchmarks.packing`, after `make envs`.

Packing: documents of 13 languages, a scene in each; their lengths are log-normal (median 60 tokens,
the longest as long as a pack), as of scenes of dialog and pages of books. Next to ours stand plain
next-fit over the same shuffled order, and ms-swift's own `binpack` strategy, its implementation run
over the same lengths in the train toolchain (1,000 rows at a time, as it does it). `together`
counts the rows in a pack with a copy or a translation of themselves.

Counting: invented text in 13 languages, with a byte-level BPE of `--vocabulary` tokens trained on a
part of it, Qwen3.5's normalizer and expression; next to the same tokenizer's `encode_batch`.
"""

import argparse
import json
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._invented import LANGUAGES, Lexicon, Marks, Plan, seeded, write_texts
from benchmarks._machine import ENVS, machine
from benchmarks._measured import Cost, measured
from cyrene_assets.corpus.packing.best_fit import packing_order
from cyrene_assets.corpus.packing.epoch_order import training_order
from cyrene_assets.corpus.packing.next_fit import next_fit, packing_efficiency
from cyrene_assets.corpus.packing.token_counting import TokenCounter
from cyrene_assets.workers.train.tiny_tokenizer import train_tokenizer

RESULTS = Path(__file__).parent / "results"
CAPACITY = 5120
# Documents, and passes over them.
SIZES = ((10_000, 1), (100_000, 1), (25_000, 4), (1_000_000, 1), (1_000_000, 3))
# Beyond this, ms-swift's own takes too long to wait for.
BINPACK_ROWS = 1_000_000
BINPACK = """
import sys, time
import numpy as np
from swift.dataset.packing import PackingDataset
lengths = np.load(sys.argv[1]).tolist()
class Queue(list):
    put = list.append
out = Queue()
started = time.monotonic()
PackingDataset.create_packed_idx(0, 0, lengths, out, int(sys.argv[2]), "binpack")
print("SECONDS", time.monotonic() - started)
packs = np.empty(len(lengths), dtype=np.int64)
number = 0
for _, sequences, _ in out:
    for sequence in sequences:
        packs[[row for row, _ in sequence]] = number
        number += 1
np.save(sys.argv[3], packs)
"""

Ints = NDArray[np.int64]
Result = dict[str, Any]


def sequence(documents: int, passes: int) -> tuple[Ints, Ints, Ints]:
    """Return tokens, scene and pass of each row of a training sequence."""
    rng = np.random.default_rng(documents)
    scenes = np.arange(documents) // len(LANGUAGES)
    of_scene = rng.lognormal(np.log(60), 1.0, scenes[-1] + 1)
    lengths = of_scene[scenes] * rng.lognormal(0, 0.2, documents)
    lengths = np.clip(lengths + 5, 6, CAPACITY).astype(np.int64)
    numbers, pass_numbers = training_order(np.full(documents, passes), passes, 42)
    return lengths[numbers], scenes[numbers], pass_numbers


def judged(lengths: Ints, scenes: Ints, packs: Ints, seconds: float) -> Result:
    """Return fill and conflicts of rows in packs."""
    ordered = np.sort(packs)
    together = len(packs) - len(np.unique(packs * (scenes.max() + 1) + scenes))
    share = packing_efficiency(lengths, ordered, CAPACITY)
    return {
        "seconds": round(seconds, 2),
        "packs": int(ordered[-1]) + 1,
        "fill": share,
        "together": together,
    }


def binpack(lengths: Ints, folder: Path) -> tuple[Ints, float]:
    """Pack with ms-swift's `binpack` strategy; return each row's pack, and the seconds."""
    np.save(folder / "lengths.npy", lengths)
    python = str(ENVS / "train" / "bin" / "python")
    arguments = [str(folder / "lengths.npy"), str(CAPACITY), str(folder / "packs.npy")]
    done = subprocess.run(
        [python, "-c", BINPACK, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("SECONDS ")]
    return np.load(folder / "packs.npy"), float(line.split()[1])


def packing(folder: Path) -> list[Result]:
    """Pack sequences of several sizes in three ways."""
    results = []
    for documents, passes in SIZES:
        lengths, scenes, pass_numbers = sequence(documents, passes)
        with measured() as cost:
            order = packing_order(lengths, scenes, pass_numbers, CAPACITY)
            packs = next_fit(lengths[order], CAPACITY)
        ours = judged(lengths[order], scenes[order], packs, cost.wall)
        with measured() as plain:
            packs = next_fit(lengths, CAPACITY)
        ways = {"ours": ours, "next-fit": judged(lengths, scenes, packs, plain.wall)}
        if len(lengths) <= BINPACK_ROWS:
            packs, seconds = binpack(lengths, folder)
            ways["ms-swift binpack"] = judged(lengths, scenes, packs, seconds)
        for name, way in ways.items():
            print(
                f"{documents:>9,} documents x {passes}  {name:<16}  {way['seconds']:>7.2f} s  "
                f"{way['fill']:.3%} full  {way['together']:,} together",
                flush=True,
            )
        results.append({"documents": documents, "passes": passes, "ways": ways})
    return results


def invented(language: str, megabytes: float) -> list[str]:
    """Return texts of about 40 words each in one language."""
    lexicon, rng = Lexicon(language, 1), seeded(1, "packing", language)
    texts: list[str] = []
    while sum(map(len, texts)) * 1.5 < megabytes * 1e6:
        lengths = np.clip(rng.lognormal(np.log(30), 0.8, 20_000), 2, 2000).astype(np.int64)
        paged = np.ones(len(lengths), dtype=bool)
        plan = Plan(lengths, paged, ~paged, np.arange(len(lengths)), np.zeros(len(lengths)))
        none = np.zeros(0, dtype=np.int64)
        marks = Marks(none, np.zeros(0), none, [])
        texts += [text.replace("\\n", "\n") for text in write_texts(lexicon, plan, marks, rng)]
    return texts


def counting(megabytes: float, vocabulary: int, tokenizer: Path | None, folder: Path) -> Result:
    """Count the tokens of each language in two ways, which must agree."""
    import polars as pl

    texts = {language: invented(language, megabytes) for language in sorted(LANGUAGES)}
    if tokenizer is None:
        tokenizer = folder / "tokenizer.json"
        some = [
            text for of_language in texts.values() for text in of_language[: len(of_language) // 3]
        ]
        train_tokenizer(some, vocabulary).save(str(tokenizer))
    counter = TokenCounter(tokenizer)
    languages: dict[str, Result] = {}
    for language, of_language in texts.items():
        with measured() as ours:
            counts = counter.count(pl.Series(of_language))
        with measured() as naive:
            encodings = counter.tokenizer.encode_batch(of_language, add_special_tokens=False)
            own = [len(encoding.ids) for encoding in encodings]
        del encodings
        if counts.tolist() != own:
            raise SystemExit(f"{language}: the counts differ")
        languages[language] = {
            "tokens": int(counts.sum()),
            "ours": asdict(ours),
            "encode_batch": asdict(naive),
        }
        print(f"{language}: {rates(languages[language])}", flush=True)
    total: Result = {"tokens": sum(found["tokens"] for found in languages.values())}
    for way in ("ours", "encode_batch"):
        costs = [Cost(**found[way]) for found in languages.values()]
        cost = Cost(
            sum(c.wall for c in costs), sum(c.cpu for c in costs), max(c.peak for c in costs)
        )
        total[way] = asdict(cost)
    print(f"all: {rates(total)}")
    size = counter.tokenizer.get_vocab_size()
    return {"vocabulary": size, "languages": languages, "all": total}


def rates(found: Result) -> str:
    """Return tokens a second in words."""
    said = [
        f"{way} {found['tokens'] / found[way]['wall'] / 1e6:.2f}M tokens/s "
        f"({found['tokens'] / found[way]['cpu'] / 1e6:.2f}M per processor second, "
        f"{found[way]['peak']:,.0f} MB)"
        for way in ("ours", "encode_batch")
    ]
    return f"{found['tokens'] / 1e6:.1f}M tokens, {', '.join(said)}"


def main() -> None:
    """Measure, print and write `results/packing.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=12.0, help="text in each language")
    parser.add_argument("--vocabulary", type=int, default=200_000)
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json instead of a trained one")
    parser.add_argument("--out", type=Path, default=RESULTS / "packing.json")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = {
            "machine": machine(),
            "capacity": CAPACITY,
            "packing": packing(folder),
            "counting": counting(
                arguments.megabytes, arguments.vocabulary, arguments.tokenizer, folder
            ),
        }
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
