"""What the pages and checks of `raw_dialog` and `parallel_corpus` say."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.lint import plots
from cyrene_assets.corpus.lint.corpus_summary import CorpusSummary, kind_counts, summarize_corpus
from cyrene_assets.corpus.lint.outcomes import SHOWN, no_leak, table
from cyrene_assets.corpus.preparation.flag_registry import Limit, limits
from cyrene_assets.corpus.preparation.leakage import find_split_leakage
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus
from cyrene_assets.corpus.sources.speakers import variables
from cyrene_assets.corpus.sources.types import Problem
from cyrene_assets.store.outcome import BuildResult, CheckOutcome, Markdown, Picture, none_of
from cyrene_assets.utils.counting import counted

COVERAGE_TARGET = 0.95


def raw_dialog_outcome(
    rows: pl.DataFrame, left_out: Sequence[Problem], shown: Mapping[str, Any]
) -> BuildResult:
    """Return what is said of one language's rows, and of what was left out of them.

    Args:
        rows: the canonical rows.
        left_out: why something is not among them.
        shown: the table's own metadata.
    """
    characters = int(rows["text"].str.len_chars().sum())
    lines = len(rows.filter(rows["kind"] == "dialog"))
    return BuildResult(
        f"{counted(lines, 'line')}, {counted(len(rows) - lines, 'document')}, "
        f"{counted(characters, 'character')}",
        metadata={
            **shown,
            "characters": characters,
            "left out": len(left_out),
            "left out first": Markdown(
                "\n".join(
                    f"- {plots.escape_markdown(str(problem))}" for problem in left_out[:SHOWN]
                )
                or "(nothing)"
            ),
            "kinds": table(kind_counts(rows)),
            "preview": Markdown(plots.scene_preview(rows)),
        },
    )


def parallel_outcome(parallel: ParallelCorpus, corpus: Corpus) -> BuildResult:
    """Return what is said of the aligned languages, with the outcome of every check."""
    found = summarize_corpus(parallel)
    languages = len(parallel.languages)
    proof = find_split_leakage(
        parallel.languages,
        parallel.units,
        parallel.duplicates,
        parallel.stock,
    )
    with_text = {row["language"] for row in found.kinds if row["characters"]}
    empty = [key for key in corpus.languages if key not in with_text]
    low = [row["language"] for row in found.languages if row["coverage"] < COVERAGE_TARGET]
    rows = sum(row["units"] for row in found.languages)
    allowed = corpus.unknown_markup
    return BuildResult(
        f"{counted(rows, 'unit')} in {counted(languages, 'language')}, {found.held_out:,} of "
        f"{counted(found.scenes, 'scene or document', 'scenes and documents')} held out"
        + (f", {parallel.twins:,} in both variants of gendered text" if parallel.twins else ""),
        metadata={
            "dagster/row_count": rows,
            "languages": table(found.coverage, safe=True),
            "flags": table(found.flags, safe=True),
            "kinds": table(found.kinds),
            "split": table(found.split),
            "coverage": Picture(plots.coverage_png(found.languages)),
            "worst units": table(found.worst, safe=True),
            "unknown markup": table(parallel.unknown.tokens.head(SHOWN).to_dicts()),
            "speakers that look like variables": table(
                [
                    {"speaker": one.name, "lines": one.total, "languages": list(one.lines)}
                    for one in variables(parallel.speakers)[:SHOWN]
                ]
            ),
        },
        checks=[
            no_leak(proof, parallel.shared_lines),
            none_of(
                "languages_have_text",
                empty,
                "language without any text",
                "languages without any text",
                remedy="give them some, or take them off `languages` in corpus.yaml",
            ),
            CheckOutcome(
                "unknown_markup",
                not parallel.unknown.languages_over(allowed),
                parallel.unknown.detail(allowed),
            ),
            none_of("coverage", low, "language under 95% coverage", "languages under 95% coverage"),
            *(_at_most(found, flag, limit) for flag, limit in limits()),
        ],
    )


def _at_most(found: CorpusSummary, flag: str, limit: Limit) -> CheckOutcome:
    """Return a check's outcome: passed when no language has more than a share of flagged units."""
    over = [language for language, share in found.share(flag).items() if share > limit.share]
    number = found.count(flag)
    more = f": {', '.join(found.examples[flag])}" if number else ""
    where = f"over {limit.share:.1%} in {', '.join(over)}; " if over and limit.share else ""
    what = f"{where}{counted(number, 'unit')} flagged {flag}{more}"
    return CheckOutcome(limit.check, not over, what)
