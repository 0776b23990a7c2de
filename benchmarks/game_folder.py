"""Write a game-data folder of real size, with invented text: `python -m benchmarks.game_folder`.

Run from the project's root with `.venv/bin/python -m benchmarks.game_folder OUT [--scale 0.1]`. It
writes, the same for the same seed:

- `OUT/game`: `TextMap`, `ExcelOutput` and `vendor` in the layout that the `game_data` adapter
  reads; at scale 1 about 400,000 lines of dialog in each of 13 languages, all kinds of documents
  and text maps of 20 to 50 MB, those of three languages in parts;
- `OUT/everything` and `OUT/character`: a corpus.yaml each, without a selection and with the
  character's;
- `OUT/truth.json`: what is wrong with the text on purpose, unit by unit: texts that are missing,
  untranslated, in another language, far too long or short, or without their placeholders; scenes
  that repeat another one as it is, or with some words changed.

A language's text does not depend on which other languages are written.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import yaml

from benchmarks._game import Game, Truth
from benchmarks._game_talk import Texts
from benchmarks._invented import LANGUAGES, Lexicon, Marks, Plan, seeded, write_texts

SHIPPED = Path(__file__).parents[1] / "corpora" / "cyrene" / "corpus.yaml"
VENDOR_LANGUAGE = "chs"


def write_vendor(folder: Path, scale: float, seed: int) -> None:
    """Write pages and instructions in one language."""
    lexicon, rng = Lexicon(VENDOR_LANGUAGE, seed), seeded(seed, "vendor")
    pages, instructions = max(2, round(40 * scale)), max(10, round(6000 * scale))
    texts = Texts()
    texts.add(rng, pages, 1200, paged=True)
    texts.add(rng, 2 * instructions, 60)
    lengths = np.concatenate(texts.lengths)
    flags, count = texts.flags(texts.paged), len(lengths)
    plan = Plan(lengths, flags, ~flags & False, np.arange(count), np.zeros(count))
    written = write_texts(lexicon, plan, Marks(*(np.zeros(0, dtype=np.int64),) * 3, []), rng)  # type: ignore[arg-type]
    (folder / "pages").mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(written[:pages]):
        page = text.replace("\\n", "\n")
        (folder / "pages" / f"{number:03}.md").write_text(page, encoding="utf-8")
    asked = iter(written[pages:])
    lines = [
        {"instruction": question, "input": "", "output": answer}
        for question, answer in zip(asked, asked, strict=True)
    ]
    data = b"\n".join(map(msgspec.json.encode, lines)) + b"\n"
    (folder / "instructions.jsonl").write_bytes(data)


def write_folder(
    out: Path, scale: float, seed: int, languages: Sequence[str] = sorted(LANGUAGES)
) -> Truth:
    """Write everything; return what is wrong with it on purpose."""
    game = Game(scale, seed)
    config = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    game.write_tables(out / "game" / "ExcelOutput")
    write_vendor(out / "game" / "vendor", scale, seed)
    for language in languages:
        started = time.monotonic()
        people = config["languages"][language]
        size = game.write_language(out / "game" / "TextMap", language, people)
        print(f"{language}: {size / 1e6:.1f} MB in {time.monotonic() - started:.1f} s", flush=True)
    config["languages"] = {key: config["languages"][key] for key in languages}
    config["source"]["folder"] = "../game"
    pages, everything = "vendor/pages", "vendor/instructions.jsonl"
    with_vendor = VENDOR_LANGUAGE in languages
    for name, select, vendor in (
        ("character", config["source"]["select"], [pages]),
        ("everything", {}, [pages, everything]),
    ):
        config["source"]["select"] = select
        config["source"]["vendor"] = {VENDOR_LANGUAGE: vendor} if with_vendor else {}
        (out / name).mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
        (out / name / "corpus.yaml").write_text(text, encoding="utf-8")
    (out / "truth.json").write_text(json.dumps(game.truth, indent=1), encoding="utf-8")
    return game.truth


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--scale", type=float, default=1.0, help="1: 400,000 lines of dialog")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument(
        "--languages", nargs="+", choices=sorted(LANGUAGES), default=sorted(LANGUAGES)
    )
    given = parser.parse_args()
    truth = write_folder(given.out, given.scale, given.seed, given.languages)
    print(f"{truth['lines']:,} lines in {truth['scenes']:,} scenes, in {given.out}")


if __name__ == "__main__":
    main()
