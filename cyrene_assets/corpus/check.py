"""The linter behind ``cyrene corpus check``: everything that is wrong with a corpus, at once."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from cyrene_assets.corpus.align import ONE_LANGUAGE_KINDS, Parallel, parallel_corpus
from cyrene_assets.corpus.clean import UNKNOWN_PLACEHOLDER
from cyrene_assets.corpus.config import CONTROL_MARKUP, Corpus, load_corpus
from cyrene_assets.corpus.sources import Problem, SourceError, read_listed
from cyrene_assets.errors import UserError

# A language with fewer units than this share of the largest one's is thinly translated.
COVERAGE = 0.95
MISSING_SHOWN = 20


@dataclass(frozen=True)
class Counts:
    """What a language has; ``characters`` are those of the cleaned text."""

    lines: int
    scenes: int
    documents: int
    characters: int
    character_lines: int


@dataclass
class Report:
    """What a corpus has, what keeps it from being built (errors), and what to look at (warnings).

    ``languages`` counts those languages whose files could be read.
    """

    corpus: str
    languages: dict[str, Counts] = field(default_factory=dict)
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the corpus can be built."""
        return not self.errors

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"ok": self.ok, **asdict(self)}


def lint(folder: Path) -> Report:
    """Check a corpus folder. Whatever is wrong is in the report; nothing is raised.

    A language whose files cannot be read is an error, and the others are checked without it.
    """
    try:
        corpus = load_corpus(folder)
    except UserError as error:
        remedy = "mend corpus.yaml, then check again"
        return Report(folder.name, errors=[Problem("corpus.yaml", 0, str(error), remedy)])
    report = Report(corpus.name)
    frames = {}
    for language in corpus.languages:
        try:
            frames[language], left_out = read_listed(folder, corpus, language)
            report.warnings += [problem for problem in left_out if problem not in report.warnings]
        except SourceError as error:
            # What is wrong with the source as a whole is found again with each language.
            report.errors += [p for p in error.problems if p not in report.errors]
    if not frames:
        return report
    readable = {code: corpus.languages[code] for code in frames}
    corpus = corpus.model_copy(update={"languages": readable})
    try:
        parallel = parallel_corpus(frames, corpus)
    except SourceError as error:
        report.errors += error.problems
        return report
    report.languages = {code: _counts(parallel.units, code) for code in corpus.languages}
    report.warnings += _silent_people(parallel.units, corpus)
    report.warnings += _thin_languages(parallel.units, corpus)
    report.warnings += _missing(parallel)
    report.warnings += _duplicates(parallel)
    report.warnings += _flagged(parallel.units)
    return report


def _counts(units: pl.DataFrame, language: str) -> Counts:
    own = units.filter(pl.col("language") == language)
    dialog = own.filter(pl.col("kind") == "dialog")
    return Counts(
        lines=len(dialog),
        scenes=dialog["scene"].n_unique(),
        documents=len(own) - len(dialog),
        characters=int(own["text"].str.len_chars().sum()),
        character_lines=len(own.filter(pl.col("role") == "character")),
    )


def _silent_people(units: pl.DataFrame, corpus: Corpus) -> Iterator[Problem]:
    heard = set(units.select("language", "role", "speaker").unique().rows())
    for code, entry in corpus.languages.items():
        for key, role, names in (
            ("speakers", "character", entry.speakers),
            ("player", "player", (entry.player,)),
        ):
            for name in names:
                if (code, role, name) not in heard:
                    yield Problem(
                        "corpus.yaml",
                        0,
                        f"languages.{code}.{key}: {name!r} never speaks",
                        "write the name as the dialog does, or leave it if that is meant",
                    )


def _thin_languages(units: pl.DataFrame, corpus: Corpus) -> Iterator[Problem]:
    shared = units.filter((pl.col("text") != "") & ~pl.col("kind").is_in(ONE_LANGUAGE_KINDS))
    sizes = {code: len(shared.filter(pl.col("language") == code)) for code in corpus.languages}
    largest = max(sizes, key=lambda code: sizes[code])
    for code, size in sizes.items():
        if size < COVERAGE * sizes[largest]:
            yield Problem(
                "corpus.yaml",
                0,
                f"{code} has {size} units, {size / sizes[largest]:.0%} of {largest}'s",
                "translate the missing ones",
            )


def _missing(parallel: Parallel) -> Iterator[Problem]:
    places = parallel.units.filter(pl.col("text") != "").unique(
        ["unit"], keep="first", maintain_order=True
    )
    missing = (
        parallel.coverage.explode("languages_missing")
        .join(places.select("unit", "file", "line"), on="unit", maintain_order="left")
        .select("languages_missing", "unit", "file", "line")
    )
    for (language,), rows in missing.group_by("languages_missing", maintain_order=True):
        for _, unit, file, line in rows.head(MISSING_SHOWN).rows():
            message = f"missing translation: {unit} is not in {language}"
            yield Problem(file, line, message, f"translate it into {language}")
        if len(rows) > MISSING_SHOWN:
            more = len(rows) - MISSING_SHOWN
            yield Problem(
                "corpus.yaml", 0, f"{more} more units are not in {language}", "translate them"
            )


def _duplicates(parallel: Parallel) -> Iterator[Problem]:
    first = parallel.units.unique(["language", "scene"], keep="first", maintain_order=True)
    found = (
        parallel.duplicates.join(first, on=["language", "scene"], maintain_order="left")
        .group_by("scene", "original", maintain_order=True)
        .agg(pl.col("language"), pl.col("file").first(), pl.col("line").first())
    )
    for row in found.rows(named=True):
        yield Problem(
            row["file"],
            row["line"],
            f"duplicate: {row['scene']} repeats {row['original']} word for word "
            f"in {', '.join(row['language'])}",
            "remove one of them, or leave it: only the first is trained on",
        )


def _flagged(units: pl.DataFrame) -> Iterator[Problem]:
    copied = pl.col("flags").list.contains("untranslated_copy")
    originals = {
        (unit, text): language
        for unit, text, language in units.filter(
            ~copied & pl.col("unit").is_in(units.filter(copied)["unit"].implode())
        )
        .select("unit", "raw_text", "language")
        .rows()
    }
    for row in units.filter(pl.col("flags").list.len() > 0).rows(named=True):
        flags, place = row["flags"], (row["file"], row["line"])
        if "untranslated_copy" in flags:
            original = originals.get((row["unit"], row["raw_text"]), "another language")
            yield Problem(
                *place,
                f"untranslated copy: {row['unit']} reads as in {original}",
                f"translate it into {row['language']}",
            )
        if "unknown_placeholder" in flags:
            text = "\n".join(row[name] or "" for name in ("speaker", "title", "text"))
            found = ", ".join(dict.fromkeys(re.findall(UNKNOWN_PLACEHOLDER, text)))
            yield Problem(
                *place,
                f"unknown placeholder {found} in {row['unit']}",
                "write what it stands for; until then the line is not trained on",
            )
        if "control_tokens" in flags:
            found = ", ".join(dict.fromkeys(re.findall(CONTROL_MARKUP, row["raw_text"])))
            yield Problem(
                *place,
                f"control tokens in {row['unit']}: {found or 'assembled by cleaning'}",
                "remove them from the text, as cleaning does",
            )
        if "empty" in flags:
            yield Problem(*place, f"no text is left in {row['unit']}", "write it, or remove it")
