"""The linter behind ``cyrene corpus check``: everything that is wrong with a corpus, at once."""

from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from cyrene_assets.config.yaml_errors import YamlError
from cyrene_assets.corpus.config import Corpus, load_corpus
from cyrene_assets.corpus.lint import corpus_warnings as warnings
from cyrene_assets.corpus.lint.config_lines import add_lines
from cyrene_assets.corpus.lint.corpus_warnings import Counts
from cyrene_assets.corpus.lint.dry_run import dry_run
from cyrene_assets.corpus.lint.dry_run_summary import DryRunSummary
from cyrene_assets.corpus.lint.fitting import EstimatedTokens
from cyrene_assets.corpus.lint.messages import findings, flagged, once_a_file, one_of_a_kind
from cyrene_assets.corpus.packing.chat_windows import TextCounter
from cyrene_assets.corpus.preparation.parallel_corpus import (
    ParallelCorpus,
    build_parallel_corpus,
)
from cyrene_assets.corpus.preparation.parallel_tables import TRANSLATABLE
from cyrene_assets.corpus.sources.registry import read_listed, unread
from cyrene_assets.corpus.sources.speakers import near_misses, to_name
from cyrene_assets.corpus.sources.types import CONFIG_FILE, Problem, SourceError, config_problem
from cyrene_assets.utils.errors import UserError

# In tokens: that of the shortest recipe that ships, `tiny`.
SEQUENCE_LENGTH = 1024


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
    summary: DryRunSummary | None = None

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
        wrong = [config_problem(what, remedy)]
        if isinstance(error, YamlError):
            wrong = [Problem(CONFIG_FILE, *astuple(one)) for one in error.mistakes]
        return Report(folder.name, errors=wrong)
    report = _check_languages(folder, corpus, sequence_length, counter or EstimatedTokens())
    for problems in (report.errors, report.warnings):
        problems[:] = add_lines(problems, folder / CONFIG_FILE)
    return report


def _check_languages(
    folder: Path, corpus: Corpus, sequence_length: int, counter: TextCounter
) -> Report:
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
        report.errors = one_of_a_kind(report.errors)
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
            report.errors += one_of_a_kind(error.problems)
            return report
        _add_warnings(parallel, corpus, report)
        if report.ok:
            found = dry_run(parallel, corpus, sequence_length, counter, Path(scratch))
            report.summary = found.summary
            report.errors += found.refusals
            report.warnings += found.warnings
    return report


def _add_warnings(parallel: ParallelCorpus, corpus: Corpus, report: Report) -> None:
    """Add counts and warnings, one language in memory at a time."""
    counts = {}
    heard: set[tuple[str, str, str]] = set()
    odd = []
    shared: dict[str, warnings.Shared] = {}
    original = None
    places = pl.DataFrame(schema={"unit": pl.String, "file": pl.String, "line": pl.Int32})
    firsts = []
    missing = parallel.coverage["unit"]
    for language, units in parallel.each():
        counts[language] = _counts(units)
        heard.update(units.select("language", "role", "speaker").unique().rows())
        odd.append(flagged(units, parallel.copies))
        if original is None:
            original = warnings.telling_texts(units)
        else:
            shared[language] = warnings.Shared.of(warnings.telling_texts(units), original)
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
    people = {code: own for code, own in corpus.languages.items() if counts[code].characters}
    aligned = [code for code in people if code not in shared or not shared[code].unaligned]
    report.errors += warnings.without_text(report.languages)
    report.warnings += warnings.silent_people(heard, people)
    report.warnings += warnings.prompts_of_nobody(heard, corpus)
    report.warnings += near_misses(parallel.speakers, corpus)
    report.warnings += to_name(parallel.speakers)
    report.warnings += parallel.unknown.warnings()
    report.warnings += warnings.thin_languages(report.languages)
    report.warnings += warnings.copied_languages(shared, parallel.languages[0])
    report.warnings += warnings.missing_units(parallel.coverage, places, aligned)
    report.warnings += warnings.repeated_scenes(parallel.duplicates, pl.concat(firsts))
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
