"""Scoring a model's answers: seconds and memory, compared with the obvious way.

Run from the project's root: `.venv/bin/python -m benchmarks.evaluation`.

The answers of one model to 300 prompts with 3 seeds and 4 profiles in 13 languages (46,800),
against a training text of 62 MB of UTF-8, which is 17 million tokens at the 3.6 bytes that the
corpus engine's benchmark counts. The text is invented (`benchmarks._invented`). Of the answers a
fifth recite the training text, one in twenty loops, one in twenty is in another language, one in
fifty is empty and the rest are new. Nothing is generated: this is what `eval_report` does,
all languages in one process.

The obvious way, on one language: every window of the answers looked up with `in`; Self-BLEU by
counting each answer against all others; a style classifier over scikit-learn's own n-grams.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl  # noqa: TID253

from benchmarks._invented import LANGUAGES, Lexicon, Marks, Plan, seeded, write_texts
from benchmarks._machine import machine
from benchmarks._measured import measured
from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics import diversity, memorization, style
from cyrene_assets.evaluation.metrics.ngrams import encode
from cyrene_assets.evaluation.metrics.reference import read_reference
from cyrene_assets.evaluation.scoring.language_report import report_language
from cyrene_assets.evaluation.scoring.run_tables import ModelTables, Run

TRAITS = {key: traits(key) for key in LANGUAGES}

RESULTS = Path(__file__).parent / "results" / "evaluation.json"
CORPUS_BYTES = 62_000_000
PROFILES = ("official", "legacy", "adopted", "greedy")
SEEDS = (1, 2, 3)
PROMPTS = 300
LINES_A_SCENE = 14
SEED = 11


def lines(language: str, count: int, words: float, name: str) -> list[str]:
    """Return invented lines of about so many words each."""
    rng, lexicon = seeded(SEED, language, name), Lexicon(language, SEED)
    lengths = np.maximum(1, np.round(words * lexicon.factor * rng.lognormal(-0.18, 0.6, count)))
    no = np.zeros(count, dtype=bool)
    plan = Plan(lengths.astype(np.int64), no, no, np.arange(count), np.zeros(count))
    nothing = np.zeros(0, dtype=np.int64)
    return write_texts(lexicon, plan, Marks(nothing, np.zeros(0), nothing, []), rng)


@cache
def corpus(language: str) -> pl.DataFrame:
    """Return a language's units: the character and another in turns, a twentieth held out."""
    wanted = CORPUS_BYTES // len(LANGUAGES)
    sample = lines(language, 2000, 14, "sample")
    count = wanted * len(sample) // sum(len(line.encode()) for line in sample)
    texts = lines(language, count, 14, "corpus")
    row = np.arange(count)
    scene = row // LINES_A_SCENE
    return pl.DataFrame(
        {
            "unit": [f"u{n}" for n in range(count)],
            "scene": [f"s{n}" for n in scene.tolist()],
            "order": row,
            "kind": "dialog",
            "speaker": np.where(row % 2, "Ovelle", "Fitch"),
            "role": np.where(row % 2, "character", "other"),
            "title": pl.Series([None] * count, dtype=pl.String),
            "text": texts,
            "flags": pl.Series([[]] * count, dtype=pl.List(pl.String)),
            "split": np.where(scene % 20 == 7, "validation", "train"),
        }
    )


def run_of(language: str, answers: int = PROMPTS * len(SEEDS) * len(PROFILES)) -> Run:
    """Return a run in one language."""
    rng = seeded(SEED, language, "answers")
    new = lines(language, answers, 25, "answers")
    trained = corpus(language).filter(pl.col("split") == "train")["text"].to_list()
    other = lines(
        LANGUAGES[(LANGUAGES.index(language) + 1) % len(LANGUAGES)], answers // 10, 25, "x"
    )
    kinds = rng.choice(5, answers, p=[0.68, 0.2, 0.05, 0.05, 0.02])
    places = rng.integers(0, len(trained) - 3, answers)

    def text(place: int) -> str:
        start, kind = int(places[place]), kinds[place]
        recited = "\n".join(trained[start : start + 3])
        return (new[place], recited, new[place] * 20, other[place % len(other)], "")[kind]

    references = lines(language, PROMPTS, 20, "references")
    said = iter(range(answers))
    rows = [
        (profile, seed, prompt, text(next(said)))
        for profile in PROFILES
        for seed in SEEDS
        for prompt in range(PROMPTS)
    ]
    generations = pl.DataFrame(rows, schema=["profile", "seed", "number", "text"], orient="row")
    asked = pl.DataFrame(
        {
            "prompt": f"{language}/{n}", "language": language, "scene": f"s{n}",
            "messages": [{"role": "user", "content": references[n - 1]}],
            "reference": references[n], "number": n,
        }
        for n in range(PROMPTS)
    )  # fmt: skip
    joined = generations.join(asked, on="number", maintain_order="left").with_columns(
        model=pl.lit("fp8"), finish_reason=pl.lit("stop"), tokens=pl.lit(30)
    )
    none = pl.DataFrame(schema={"model": pl.String, "language": pl.String, "split": pl.String,
                                "scene": pl.String, "text": pl.String})  # fmt: skip
    empty = none.with_columns(nll=0.0, tokens=0, matched=0, asked=0).clear()
    return Run(asked, joined, ModelTables(empty, empty, empty, empty))


@dataclass(frozen=True)
class Beside:
    """What a part of the work took, here and the obvious way (seconds)."""

    part: str
    ours: float
    obvious: float
    note: str


def obvious_regurgitation(training: list[str], answers: list[str], min_length: int) -> list[int]:
    """Look every window up in the training text."""
    text = "\n".join(training)
    covered = []
    for answer in answers:
        marks = [False] * len(answer)
        for start in range(len(answer) - min_length + 1):
            if answer[start : start + min_length] in text:
                marks[start : start + min_length] = [True] * min_length
        covered.append(sum(marks))
    return covered


def obvious_self_bleu(texts: list[list[str]]) -> float:
    """BLEU of each text against all others, by counting."""
    scores = []
    for index in range(len(texts)):
        product = 1.0
        for n in range(1, 5):
            grams = [Counter(zip(*(t[i:] for i in range(n)), strict=False)) for t in texts]
            best: Counter[tuple[str, ...]] = Counter()
            for other in (g for i, g in enumerate(grams) if i != index):
                best |= other
            matched = sum((grams[index] & best).values())
            product *= (matched + (n > 1)) / (grams[index].total() + (n > 1))
        scores.append(float(product**0.25))
    return sum(scores) / len(scores)


def obvious_style(positive: list[str], negative: list[str], answers: list[str]) -> None:
    """Learn and apply a classifier over scikit-learn's own character n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False)
    model = LogisticRegression(max_iter=1000)
    labels = [1] * len(positive) + [0] * len(negative)
    model.fit(vectorizer.fit_transform([*positive, *negative]), labels)
    model.decision_function(vectorizer.transform(answers))


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def beside(language: str) -> Iterator[Beside]:
    """Yield each comparison on one language."""
    reference = read_reference(corpus, TRAITS, language)
    answers = run_of(language).generations["text"].to_list()
    few = answers[:60]
    training = list(reference.training)
    found: list[int] = []

    def search() -> None:
        found.extend(obvious_regurgitation(training, few, reference.min_match_length))

    obvious = seconds(search) * len(answers) / len(few)
    matches = memorization.find_matches(training, few, reference.min_match_length)
    if matches.covered.tolist() != found:
        raise SystemExit("the two ways of finding memorized passages disagree")
    ours = seconds(lambda: memorization.find_matches(training, answers, reference.min_match_length))
    yield Beside("regurgitation", ours, obvious, f"{len(few)} of {len(answers):,} answers, scaled")
    texts = [answer.split() for answer in answers[:PROMPTS] if len(answer.split()) > 3]
    few_texts = texts[:40]
    units = encode([" ".join(text) for text in texts], traits("de"))
    ours = seconds(lambda: diversity.self_bleu(units))
    scaled = seconds(lambda: obvious_self_bleu(few_texts)) * (len(texts) / len(few_texts)) ** 2
    yield Beside("Self-BLEU", ours, scaled, f"{len(few_texts)} of {len(texts)} texts, scaled")
    lines_of = (reference.character_lines, reference.other_lines)
    positive, negative = map(style.sample_lines, lines_of)

    def classify() -> None:
        style.StyleClassifier(positive, negative, reference.traits).score(answers)

    yield Beside(
        "style", seconds(classify), seconds(lambda: obvious_style(positive, negative, answers)), ""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=list(LANGUAGES))
    parser.add_argument("--write", action="store_true", help="write results/evaluation.json")
    given = parser.parse_args()
    for language in given.languages:
        corpus(language)
    runs = {language: run_of(language) for language in given.languages}
    rows = []
    for language, run in runs.items():
        with measured() as cost:
            report = report_language(run, corpus, TRAITS, language, "adopted")
        told = len(report.scores) - report.scores["value"].null_count()
        rows.append({"language": language, "scores": told, **vars(cost)})
        took = f"{cost.wall:.1f} s ({cost.cpu:.1f} s of processor time)"
        print(f"{language}: {took}, {cost.peak:,.0f} MB, {told} scores", flush=True)
    total = sum(row["wall"] for row in rows)
    peak = max(row["peak"] for row in rows)
    size = sum(int(corpus(key)["text"].str.len_bytes().sum()) for key in given.languages)
    answers = sum(len(run.generations) for run in runs.values())
    print(f"{answers:,} answers against {size / 1e6:.0f} MB: {total:.0f} s, {peak:,.0f} MB at most")
    compared = [vars(one) for one in beside("de")]
    for one in compared:
        ours, obvious = one["ours"], one["obvious"]
        print(f"{one['part']}: {ours:.1f} s, the obvious way {obvious:,.0f} s {one['note']}")
    if given.write:
        found = {
            "machine": machine(), "answers": answers, "corpus_bytes": size, "seconds": total,
            "peak_megabytes": peak, "languages": rows, "beside": compared,
        }  # fmt: skip
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
