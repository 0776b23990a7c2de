"""Planted defects: what share of each the flags find, and of how many clean lines they say so.

Run from the project's root: `.venv/bin/python -m benchmarks.flags`. It plants defects by a seed
(`benchmarks._planted`) into the sample corpus, and with `--game FOLDER` into a released game's
dialog (`benchmarks._released_game`), and counts what `parallel_corpus` flags; with
`--beside REVISION`, what the code of that revision flags in the same planted files as well.

A defect counts as found when its line has any flag of quality. A clean line is one without a
planted defect; what is wrong with the text as it was released counts as falsely flagged. `--pairs`
takes two languages of the game alone: there nothing tells which of two lines is wrong, so that a
defect counts as found when either line of its unit has a flag, and a clean line is one of a unit
without a defect.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from benchmarks._machine import machine
from benchmarks._planted import plant
from benchmarks._released_game import write_corpus
from cyrene_assets.corpus.config import load_corpus

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "flags.json"
SAMPLE = ROOT / "corpora" / "sample"
# Not of quality: what the text says of itself, and scenes that repeat others.
OTHER = {"duplicate", "unknown_placeholder", "left_out", "control_tokens", "empty"}
Json = dict[str, Any]


def of_languages(folder: Path, codes: list[str], out: Path) -> Path:
    """Copy some languages of a corpus of dialog."""
    config = yaml.safe_load((folder / "corpus.yaml").read_text(encoding="utf-8"))
    config |= {"original": codes[0], "languages": {c: config["languages"][c] for c in codes}}
    (out / "dialog").mkdir(parents=True)
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (out / "corpus.yaml").write_text(text, encoding="utf-8")
    for code in codes:
        shutil.copy(folder / "dialog" / f"{code}.jsonl", out / "dialog")
    return out


def planted(folder: Path, out: Path, seed: int, share: float, first: str) -> Json:
    """Copy a corpus's dialog with defects planted; return what and where they are."""
    corpus = load_corpus(folder)
    dialog = {
        code: [
            json.loads(line)
            for line in (folder / "dialog" / f"{code}.jsonl").read_text("utf-8").split("\n")[:-1]
        ]
        for code in corpus.languages
    }
    truth, lures = plant(dialog, first, seed, share)
    (out / "dialog").mkdir(parents=True)
    text = (folder / "corpus.yaml").read_text(encoding="utf-8")
    text = "".join(x for x in text.splitlines(True) if not x.startswith("original:"))
    (out / "corpus.yaml").write_text(f"original: {first}\n{text}", encoding="utf-8")
    for code, lines in dialog.items():
        written = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (out / "dialog" / f"{code}.jsonl").write_text(written, encoding="utf-8")
    return {"truth": truth, "lures": lures}


def flagged(folder: Path, code: Path) -> Json:
    """Return the flags that the code of a checkout finds, and its processor seconds."""
    environment = {**os.environ, "PYTHONPATH": str(code)}
    out = folder / "flags.json"
    script = Path(__file__).with_name("_flags_of.py")
    subprocess.run(
        [sys.executable, "-P", str(script), str(folder), str(out)], env=environment, check=True
    )
    found: Json = json.loads(out.read_text(encoding="utf-8"))
    return found


def scores(what: Json, found: Json) -> Json:
    """Return recall by kind of defect, and the flags of clean lines and of lures."""
    truth, lures = what["truth"], what["lures"]
    planted_of: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    named: dict[str, Counter[str]] = {}
    clean, false = 0, Counter[str]()
    any_false, lured, lure_flags = 0, Counter[str](), Counter[str]()
    by_language: dict[str, Counter[str]] = {}
    examples: dict[str, list[str]] = {}
    pair = len(found["flags"]) == 2
    of_unit: dict[str, list[str]] = {}
    for units in found["flags"].values():
        for unit, all_flags in units.items():
            of_unit.setdefault(unit, []).extend(all_flags)
    defective = {unit for _, unit in truth} if pair else set()
    for language, units in found["flags"].items():
        for unit, all_flags in units.items():
            kind = truth.get((language, unit))
            told = of_unit[unit] if pair and kind else all_flags
            flags = [flag for flag in told if flag not in OTHER]
            if kind:
                planted_of[kind] += 1
                hit[kind] += bool(flags)
                named.setdefault(kind, Counter()).update(flags)
                by_language.setdefault(kind, Counter()).update(
                    {language: 1, f"{language} found": int(bool(flags))}
                )
                if not flags:
                    examples.setdefault(f"missed {kind}", []).append(f"{language}/{unit}")
            elif unit in lures:
                lured[lures[unit]] += 1
                lure_flags[lures[unit]] += bool(flags)
            elif unit not in defective and not (set(all_flags) & OTHER):
                clean += 1
                any_false += bool(flags)
                false.update(flags)
                for flag in flags:
                    examples.setdefault(f"false {flag}", []).append(f"{language}/{unit}")
    for kind in [kind for kind in planted_of if ": " in kind]:
        of_all = kind.partition(":")[0]
        planted_of[of_all] += planted_of[kind]
        hit[of_all] += hit[kind]
        named.setdefault(of_all, Counter()).update(named[kind])
        by_language.setdefault(of_all, Counter()).update(by_language[kind])
    return {
        "recall": {
            k: [hit[k], planted_of[k], round(hit[k] / planted_of[k], 3)] for k in sorted(planted_of)
        },
        "named": {kind: dict(count.most_common()) for kind, count in sorted(named.items())},
        "by_language": by_language,
        "lures": {k: [lure_flags[k], lured[k]] for k in sorted(lured)},
        "clean": [any_false, clean, round(any_false / max(clean, 1), 5)],
        "false": dict(false.most_common()),
        "seconds": round(found["seconds"], 2),
        "examples": examples,
    }


def summed(found: list[Json]) -> Json:
    """Return the scores of several seeds together, without any text's place."""

    def pairs(key: str) -> Json:
        kinds = sorted({kind for one in found for kind in one[key]})
        both = {
            k: [sum(one[key].get(k, [0, 0])[n] for one in found) for n in (0, 1)] for k in kinds
        }
        return {k: [*both[k], round(both[k][0] / both[k][1], 3)] for k in kinds}

    flags: Counter[str] = Counter()
    languages: dict[str, Counter[str]] = {}
    for one in found:
        flags.update(one["false"])
        for kind, count in one["by_language"].items():
            languages.setdefault(kind, Counter()).update(count)
    hit, clean = (sum(one["clean"][n] for one in found) for n in (0, 1))
    return {
        "recall": pairs("recall"),
        "lures": pairs("lures"),
        "clean": [hit, clean, round(hit / clean, 5)],
        "false": dict(flags.most_common()),
        "seconds": [one["seconds"] for one in found],
        "recall_by_language": {
            kind: {
                key: round(count[f"{key} found"] / of, 3)
                for key, of in sorted(count.items())
                if not key.endswith(" found")
            }
            for kind, count in sorted(languages.items())
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--game", type=Path, help="a folder with the game's packages, unpacked")
    parser.add_argument("--pairs", nargs="+", default=[], help="of the game's: en-de, ...")
    parser.add_argument("--beside", metavar="REVISION", help="code to compare with")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--share", type=float, default=0.01, help="of the lines, per defect")
    parser.add_argument("--corpora", nargs="+", help="these alone: sample, 'game from en', ...")
    parser.add_argument("--show", type=int, default=0, help="examples of what is missed or false")
    parser.add_argument("--write", action="store_true", help="write results/flags.json")
    given = parser.parse_args()
    results: Json = {"machine": machine(), "share": given.share, "seeds": given.seeds}
    with TemporaryDirectory() as name:
        scratch = Path(name)
        codes = {"now": ROOT}
        if given.beside:
            codes["before"] = scratch / "before"
            codes["before"].mkdir()
            command = ["git", "archive", given.beside]
            archive = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
            command = ["tar", "-x", "-C", str(codes["before"])]
            subprocess.run(command, input=archive.stdout, check=True)
        # The sample is small: of each defect there would be a line or two.
        corpora = {"sample": (SAMPLE, "en", 3 * given.share)}
        if given.game:
            write_corpus(given.game, scratch / "game")
            for original in ("en", "chs"):
                corpora[f"game from {original}"] = (scratch / "game", original, given.share)
            for pair in given.pairs:
                codes_of_pair = pair.split("-")
                folder = of_languages(scratch / "game", codes_of_pair, scratch / pair)
                corpora[f"game, {pair} alone"] = (folder, codes_of_pair[0], given.share)
        for corpus, (folder, original, share) in corpora.items():
            if corpus not in (given.corpora or corpora):
                continue
            found: dict[str, list[Json]] = {code: [] for code in codes}
            for seed in given.seeds:
                out = scratch / f"{corpus}-{seed}"
                what = planted(folder, out, seed, share, original)
                for code, path in codes.items():
                    found[code].append(scores(what, flagged(out, path)))
                    _print(corpus, seed, code, found[code][-1], given.show, out)
            results[corpus] = {code: summed(of_seeds) for code, of_seeds in found.items()}
    if given.write:
        if given.corpora and RESULTS.is_file():
            results = json.loads(RESULTS.read_text(encoding="utf-8")) | results
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _print(corpus: str, seed: int, code: str, found: Json, show: int, folder: Path) -> None:
    print(f"\n{corpus}, seed {seed}, {code}: {found['seconds']} s")
    for kind, (hit, of, share) in found["recall"].items():
        print(f"  {kind:14} {hit:5} of {of:5} {share:6.1%}  {found['named'][kind]}")
    print(f"  lures flagged {found['lures']}")
    print(f"  clean lines flagged {found['clean']} {found['false']}", flush=True)
    if not show:
        return
    texts: dict[str, dict[str, str]] = {}
    for what, places in found["examples"].items():
        for place in places[:show]:
            language, _, unit = place.partition("/")
            if language not in texts:
                lines = (
                    (folder / "dialog" / f"{language}.jsonl").read_text("utf-8").split("\n")[:-1]
                )
                texts[language] = {x["line"]: x["text"] for x in map(json.loads, lines)}
            print(f"    {what}: {place}: {texts[language][unit][:110]!r}")


if __name__ == "__main__":
    main()
