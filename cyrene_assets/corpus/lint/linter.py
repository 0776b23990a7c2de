"""The linter behind ``cyrene corpus check``: everything that is wrong with a corpus, at once."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from cyrene_assets.config.yaml_errors import YamlError
from cyrene_assets.corpus.config import Corpus, load_corpus
from cyrene_assets.corpus.lint.fitting import EstimatedTokens
from cyrene_assets.corpus.lint.messages import SHOWN, findings, flagged, listed, once_a_file
from cyrene_assets.corpus.lint.placed_problems import placed
from cyrene_assets.corpus.lint.rehearsal import Summary, rehearse
from cyrene_assets.corpus.packing.chat_windows import TextCounter
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus, build_parallel_corpus
from cyrene_assets.corpus.preparation.parallel_tables import TRANSLATABLE
from cyrene_assets.corpus.sources.registry import read_listed, unread
from cyrene_assets.corpus.sources.speakers import near_misses, to_name
from cyrene_assets.corpus.sources.types import Problem, SourceError
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import UserError

# A language with fewer units than this share of the largest one's is thinly translated.
COVERAGE = 0.95
# In tokens: that of the shortest recipe that ships, `tiny`.
SEQUENCE_LENGTH = 1024


@dataclass(frozen=True)
class Counts:
    """What a language has; ``characters`` are those of the cleaned text.

    ``translatable`` are the units with text that other languages should have as well.
    """

    lines: int
    scenes: int
    documents: int
    characters: int
    character_lines: int
    translatable: int


@dataclass
class Report:
    """What a corpus has, what keeps it from being built (errors), and what to look at (warnings).

    ``languages`` counts those languages whose files could be read; ``summary`` is what would come
    of them, None where it cannot be told.
    """

    corpus: str
    languages: dict[str, Counts] = field(default_factory=dict)
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    summary: Summary | None = None

    @property
    def ok(self) -> bool:
        """Whether the corpus can be built."""
        return not self.errors

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"ok": self.ok, **asdict(self)}


def lint(
    folder: Path, sequence_length: int = SEQUENCE_LENGTH, counter: TextCounter | None = None
) -> Report:
    """Check a corpus folder. Whatever is wrong is in the report; nothing is raised.

    Where the report has no error the corpus builds, up to the training sets of a recipe whose SFT
    has that ``sequence_length`` in tokens, which ``counter`` counts (else they are estimated). A
    language whose files cannot be read is an error, and the others are checked without it.
    """
    try:
        corpus = load_corpus(folder)
    except UserError as error:
        what, _, remedy = str(error).partition("; ")
        wrong = [Problem("corpus.yaml", 0, what, remedy)]
        if isinstance(error, YamlError):
            wrong = [Problem("corpus.yaml", *astuple(one)) for one in error.wrong]
        return Report(folder.name, errors=wrong)
    report = _look_into(folder, corpus, sequence_length, counter or EstimatedTokens())
    for problems in (report.errors, report.warnings):
        problems[:] = placed(problems, folder / "corpus.yaml")
    return report


def _look_into(folder: Path, corpus: Corpus, sequence_length: int, counter: TextCounter) -> Report:
    report = Report(corpus.name)
    readable = {}
    with TemporaryDirectory() as scratch:
        for language, entry in corpus.languages.items():
            try:
                rows, left_out = read_listed(folder, corpus, language)
            except SourceError as error:
                # What is wrong with all of the source is found again with each language.
                report.errors += [p for p in error.problems if p not in report.errors]
                continue
            report.warnings += [problem for problem in left_out if problem not in report.warnings]
            rows.write_parquet(Path(scratch) / f"{language}.parquet")
            readable[language] = entry
        report.warnings += unread(folder, corpus)
        report.errors = once_a_file(report.errors)
        report.warnings = once_a_file(report.warnings)
        if not readable:
            return report
        original = corpus.original if corpus.original in readable else None
        corpus = corpus.model_copy(update={"languages": readable, "original": original})
        (Path(scratch) / "parallel").mkdir()
        try:
            parallel = build_parallel_corpus(
                lambda language: pl.read_parquet(Path(scratch) / f"{language}.parquet"),
                corpus,
                Path(scratch) / "parallel",
            )
        except SourceError as error:
            report.errors += once_a_file(error.problems)
            return report
        _look_at(parallel, corpus, report)
        if report.ok:
            found = rehearse(parallel, corpus, sequence_length, counter, Path(scratch))
            report.summary = found.summary
            report.errors += found.refusals
            report.warnings += found.warnings
    return report


def _look_at(parallel: ParallelCorpus, corpus: Corpus, report: Report) -> None:
    """Add counts and warnings, one language in memory at a time."""
    counts = {}
    heard: set[tuple[str, str, str]] = set()
    odd = []
    places = pl.DataFrame(schema={"unit": pl.String, "file": pl.String, "line": pl.Int32})
    firsts = []
    missing = parallel.coverage["unit"]
    for language, units in parallel.each():
        counts[language] = _counts(units)
        heard.update(units.select("language", "role", "speaker").unique().rows())
        odd.append(flagged(units, parallel.copies))
        with_text = units.filter(pl.col("text") != "").select(places.columns)
        places = pl.concat(
            [places, with_text.filter(pl.col("unit").is_in(missing.implode()))]
        ).unique(["unit"], keep="first", maintain_order=True)
        firsts.append(
            units.select("language", "scene", "file", "line").unique(
                ["scene"], keep="first", maintain_order=True
            )
        )
    report.languages = {code: counts[code] for code in corpus.languages}
    report.errors += [
        Problem(
            "corpus.yaml",
            0,
            f"nothing of {code} is left after cleaning",
            f"give it some text, or take {code!r} off the languages",
        )
        for code, found in report.languages.items()
        if not found.characters
    ]
    report.warnings += _silent_people(heard, corpus)
    report.warnings += _prompts_of_nobody(heard, corpus)
    report.warnings += near_misses(parallel.speakers, corpus)
    report.warnings += to_name(parallel.speakers)
    report.warnings += parallel.unknown.warnings()
    report.warnings += _thin_languages(report.languages)
    report.warnings += _missing(parallel.coverage, places)
    report.warnings += _duplicates(parallel.duplicates, pl.concat(firsts))
    report.warnings += findings(pl.concat(odd))


def _counts(units: pl.DataFrame) -> Counts:
    dialog = units.filter(pl.col("kind") == "dialog")
    return Counts(
        lines=len(dialog),
        scenes=dialog["scene"].n_unique(),
        documents=len(units) - len(dialog),
        characters=int(units["text"].str.len_chars().sum()),
        character_lines=len(units.filter(pl.col("role") == "character")),
        translatable=len(units.filter(TRANSLATABLE)),
    )


def _silent_people(heard: set[tuple[str, str, str]], corpus: Corpus) -> Iterator[Problem]:
    """Yield the names that no line has, all languages of one kind together."""
    silent: dict[str, list[tuple[str, str]]] = {}
    for code, entry in corpus.languages.items():
        for key, role, names in (
            ("speakers", "character", entry.speakers),
            ("player", "player", (entry.player,)),
            ("player_names", "player", entry.player_names),
        ):
            for name in names:
                if (code, role, name) not in heard:
                    silent.setdefault(key, []).append((code, name))
    for key, found in silent.items():
        codes = list(dict.fromkeys(code for code, _ in found))
        named = ", ".join(
            f"{name!r}" + (f" ({code})" if len(codes) > 1 else "") for code, name in found
        )
        yield Problem(
            "corpus.yaml",
            0,
            f"languages.{codes[0]}.{key}: {named} never {'speaks' if len(found) == 1 else 'speak'}",
            f"write the {'name' if len(found) == 1 else 'names'} as the dialog does, or leave "
            f"{'it' if len(found) == 1 else 'them'} if that is meant",
        )


def _prompts_of_nobody(heard: set[tuple[str, str, str]], corpus: Corpus) -> Iterator[Problem]:
    names = {name for _, _, name in heard}
    for name in corpus.chats.prompts:
        if name not in names:
            yield Problem(
                "corpus.yaml",
                0,
                f"chats.prompts: {name!r} never speaks",
                "write the name as the dialog does, or leave it if that is meant",
            )


def _thin_languages(languages: Mapping[str, Counts]) -> Iterator[Problem]:
    largest = max(languages, key=lambda code: languages[code].translatable)
    most = languages[largest].translatable
    thin = [
        f"{code} has {counted(counts.translatable, 'unit')}, {counts.translatable / most:.0%}"
        for code, counts in languages.items()
        if counts.translatable < COVERAGE * most
    ]
    if thin:
        yield Problem(
            "corpus.yaml", 0, f"{listed(thin)} of {largest}'s", "translate the missing ones"
        )


def _missing(coverage: pl.DataFrame, places: pl.DataFrame) -> Iterator[Problem]:
    """Yield the units that are missing, all languages of one together."""
    missing = coverage.join(places, on="unit", maintain_order="left").select(
        "languages_missing", "unit", "file", "line"
    )
    for languages, unit, file, line in missing.head(SHOWN).rows():
        where = ", ".join(languages)
        message = f"missing translation: {unit} is not in {where}"
        yield Problem(file, line, message, f"translate it into {where}")
    rest = missing[SHOWN:].explode("languages_missing")
    if len(rest):
        number = len(missing) - SHOWN
        counts = rest.group_by("languages_missing", maintain_order=True).len()
        where = ", ".join(
            language if of == number else f"{language} ({of:,})" for language, of in counts.rows()
        )
        what = counted(number, "more unit is", "more units are")
        them = "it" if number == 1 else "them"
        yield Problem("corpus.yaml", 0, f"{what} not in {where}", f"translate {them}")


def _duplicates(duplicates: pl.DataFrame, firsts: pl.DataFrame) -> Iterator[Problem]:
    """Yield the scenes that repeat others, all languages of one together."""
    found = (
        duplicates.join(firsts, on=["language", "scene"], maintain_order="left")
        .group_by("scene", "original", "exact", maintain_order=True)
        .agg(pl.col("language", "similarity"), pl.col("file", "line").first())
    )
    for (exact,), rows in found.group_by("exact", maintain_order=True):
        for row in rows.head(SHOWN).rows(named=True):
            where = f"in {', '.join(row['language'])}"
            alike = f"{max(row['similarity']):.0%}"
            yield Problem(
                row["file"],
                row["line"],
                f"duplicate: {row['scene']} repeats {row['original']} word for word {where}"
                if exact
                else f"near-duplicate: {row['scene']} is {alike} like {row['original']} {where}",
                "remove one of them, or leave it: only the first is trained on"
                if exact
                else "remove one of them, or leave it: both are on one side of the split",
            )
        if len(rows) > SHOWN:
            kind = "duplicates" if exact else "near-duplicates"
            what = counted(len(rows) - SHOWN, "more scene or document", "more scenes or documents")
            message = f"{what}: {kind}"
            yield Problem("corpus.yaml", 0, message, "look at the first ones")
