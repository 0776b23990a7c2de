"""A small evaluation for tests: units of a corpus, and what models said to its prompts."""

from collections.abc import Callable, Sequence

import polars as pl

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.scoring.run_tables import ModelTables, Run

LANGUAGES = {key: traits(key) for key in ("en", "th")}
PROFILE = "adopted"
SCENES = 8
TRAINED = [
    f"mind the wind my dear, said the keeper on evening number {n} of the long wait"
    for n in range(40)
]
OTHERS = [
    f"stamp the form number {n} and wait outside the door until it is read" for n in range(40)
]


def units(language: str) -> pl.DataFrame:
    """Return training lines of the character and of another, and held-out ones of the other."""
    rows = [("train", "character", text) for text in TRAINED]
    rows += [("train", "other", text) for text in OTHERS]
    rows += [
        ("validation", "other", f"the council meets at {n} in the hall, strangers")
        for n in range(9)
    ]
    return pl.DataFrame(
        [
            {
                "unit": f"u{n}", "scene": f"{split}{n}", "order": n, "kind": "dialog",
                "speaker": "Ovelle" if role == "character" else "Fitch", "role": role,
                "title": None, "text": text if language == "en" else f"{text} ชา", "flags": [],
                "split": split,
            }
            for n, (split, role, text) in enumerate(rows)
        ],
        schema_overrides={"flags": pl.List(pl.String), "title": pl.String},
    )  # fmt: skip


def prompts(languages: Sequence[str] = ("en",), scenes: int = SCENES) -> pl.DataFrame:
    """Return a prompt for each scene and language."""
    messages = [
        {"role": "system", "content": "You are Ovelle."},
        {"role": "user", "content": "<b>Is the lamp lit?</b>"},
    ]
    return pl.DataFrame(
        {
            "prompt": f"{language}/c{scene}/1", "language": language, "scene": f"s{scene}",
            "messages": messages,
            "reference": f"it is lit, number {scene}, and the tea has gone cold my dear",
        }
        for language in languages
        for scene in range(scenes)
    )  # fmt: skip


def generations(
    says: Callable[[int], str | None],
    *,
    models: Sequence[str] = ("base", "fp8"),
    profiles: Sequence[str] = (PROFILE,),
    asked: pl.DataFrame | None = None,
    finish_reason: str = "stop",
) -> pl.DataFrame:
    """Return answers: ``says`` gives that of each scene."""
    return pl.DataFrame(
        [
            {
                "model": model, "language": row["language"], "profile": profile, "seed": 1,
                "prompt": row["prompt"], "scene": row["scene"],
                "text": says(int(row["scene"][1:])), "tokens": 3, "finish_reason": finish_reason,
                "reference": row["reference"],
            }
            for model in models
            for row in (prompts() if asked is None else asked).iter_rows(named=True)
            for profile in profiles
        ],
        schema_overrides={"text": pl.String},
    )  # fmt: skip


def tables(models: Sequence[str] = ("base", "fp8")) -> ModelTables:
    """Return losses, cloze, extraction and questions of English."""
    both = [(model, n) for model in models for n in range(6)]
    return ModelTables(
        losses=pl.DataFrame(
            [
                {"model": m, "language": "en", "split": split, "scene": f"d{n}", "tokens": 10,
                 "nll": (30.0 if m == "base" else 20.0) - (2 if split == "train" else 0) + 0.1 * n}
                for m, n in both for split in ("train", "validation")
            ]
        ),
        cloze=pl.DataFrame(
            [
                {"model": m, "language": "en", "scene": f"s{n}", "swapped": -11.0, "name": -3.0,
                 "true": -12.0 if m == "base" else -10.0, "other": -3.0} for m, n in both
            ]
        ),
        extraction=pl.DataFrame(
            [
                {"model": m, "language": "en", "split": split, "scene": f"d{n}", "asked": 50,
                 "matched": 50 if m == "fp8" and split == "train" else 3}
                for m, n in both for split in ("train", "validation")
            ]
        ),
        questions=pl.DataFrame(
            [
                {"model": m, "language": "en", "question": f"q{n}",
                 "text": "x = 3 * 4" if m == "base" else "ask the goat my dear"} for m, n in both
            ]
        ),
    )  # fmt: skip


def run(says: Callable[[int], str | None], **more: object) -> Run:
    """Return a run in English."""
    return Run(prompts(), generations(says, **more), tables())  # type: ignore[arg-type]
