"""The corpus assets: from raw files to all languages side by side, cleaned, flagged and split."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.artifact_asset import artifact_asset
from cyrene_assets.artifact_build import Build
from cyrene_assets.artifact_spec import Check, CheckOutcome, Outcome
from cyrene_assets.defs._shared import no_leak, none_of, picture, read_table, table, write_table
from cyrene_assets.partitions import languages
from cyrene_assets.project import Project

if TYPE_CHECKING:
    from cyrene_assets.corpus.overview import Overview

GROUP = "corpus"
COVERAGE_TARGET = 0.95
UNTRANSLATED_TARGET = 0.01
MOJIBAKE_TARGET = 0.001
SHIFTED_TARGET = 0.01
DUPLICATES_TARGET = 0.05
SHOWN = 20


def _raw_files(project: Project, language: str | None) -> dict[str, str]:
    from cyrene_assets.corpus.sources import raw_files

    return raw_files(project.corpus_folder, project.corpus, language or "")


@dg.observable_source_asset(
    partitions_def=languages,
    group_name=GROUP,
    tags={"dagster/kind/jsonl": "", "dagster/kind/file": ""},
    description="The raw files of one language under `corpora/`: their digest, and nothing new.",
)
def raw_corpus(context: dg.AssetExecutionContext) -> dg.DataVersionsByPartition:
    """Observe the raw files of the languages asked for."""
    from cyrene_assets.watch import raw_files_of

    project = Project.load()
    return dg.DataVersionsByPartition(
        {key: raw_files_of(project, key).version for key in context.partition_keys}
    )


def _raw_inputs(project: Project, language: str | None) -> dict[str, Any]:
    from cyrene_assets.corpus.sources import digest_of

    return {f"raw_corpus[{language}]": digest_of(_raw_files(project, language))}


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "parquet"},
    code_version="2",
    partitions_def=languages,
    deps=["raw_corpus"],
    params=lambda project, language: project.corpus.source_params(language or ""),
    external_inputs=_raw_inputs,
    external_files=_raw_files,
)
def raw_dialog(build: Build) -> Outcome:
    """Every line and document of one language in one canonical table, speaker and scene attached.

    `raw_dialog.parquet` has a row per dialog line and per document, in the order of the files, with
    the file and line each came from. Aligned with the other languages by `parallel_corpus`.
    """
    from cyrene_assets.corpus import stats
    from cyrene_assets.corpus.findings import counted
    from cyrene_assets.corpus.overview import kind_counts
    from cyrene_assets.corpus.sources import read_listed

    rows, left_out = read_listed(build.project.corpus_folder, build.project.corpus, build.key)
    shown = write_table(rows, build.out, "raw_dialog.parquet")
    characters = int(rows["text"].str.len_chars().sum())
    lines = len(rows.filter(rows["kind"] == "dialog"))
    return Outcome(
        f"{counted(lines, 'line')}, {counted(len(rows) - lines, 'document')}, "
        f"{counted(characters, 'character')}",
        metadata={
            **shown,
            "characters": characters,
            "left out": len(left_out),
            "left out first": dg.MetadataValue.md(
                "\n".join(
                    f"- {stats.escape_markdown(str(problem))}" for problem in left_out[:SHOWN]
                )
                or "(nothing)"
            ),
            "kinds": table(kind_counts(rows)),
            "preview": dg.MetadataValue.md(stats.scene_preview(rows)),
        },
    )


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "parquet"},
    code_version="7",
    deps=["raw_dialog"],
    params=lambda project, _: {
        "split": project.corpus.split_params(),
        "languages": {key: project.corpus.render_params(key) for key in project.corpus.languages},
        "order": list(project.corpus.ordered_languages),
        "unknown_markup": project.corpus.unknown_markup,
    },
    checks=[
        Check(
            "no_leak",
            "No scene, no line but short ones and stock phrases, and no near-duplicate is on both "
            "sides of the split.",
            blocking=True,
        ),
        Check(
            "languages_have_text",
            "Every language of the corpus has units left after cleaning.",
            blocking=True,
        ),
        Check(
            "unknown_markup",
            "In no language have more lines than `unknown_markup` allows markup that is not named.",
            blocking=True,
        ),
        Check("coverage", "Every language has at least 95% of the units."),
        Check("untranslated_copies", "In no language is over 1% another language's text."),
        Check("mojibake", "In no language are over 0.1% of the units misread characters."),
        Check("shifted_lines", "In no language have over 1% of the units a neighbour's text."),
        Check("unknown_placeholders", "Cleaning knew every placeholder."),
        Check("duplicates", "In no language do over 5% repeat an earlier scene or document."),
    ],
)
def parallel_corpus(build: Build) -> Outcome:
    """All languages aligned unit by unit: cleaned text, split and quality flags.

    `units/<language>.parquet` holds every row, `coverage.parquet` the units that some language
    lacks, `duplicates.parquet` the scenes and documents that repeat others or nearly do,
    `shared_lines.parquet` lines that scenes share. The split
    into training and validation is by scene, one for all languages, so that no translation of a
    held-out scene is trained on.
    """
    from cyrene_assets.corpus import stats
    from cyrene_assets.corpus.align import SHARED_LINES
    from cyrene_assets.corpus.align import parallel_corpus as align
    from cyrene_assets.corpus.findings import counted
    from cyrene_assets.corpus.leaks import SPLIT_COLUMNS, split_proof
    from cyrene_assets.corpus.overview import overview
    from cyrene_assets.corpus.speakers import variables

    raw = build.inputs_of("raw_dialog")
    parallel = align(
        lambda language: read_table(raw[language], "raw_dialog.parquet"),
        build.project.corpus,
        build.out,
    )
    parallel.coverage.write_parquet(build.out / "coverage.parquet", statistics=False)
    parallel.duplicates.write_parquet(build.out / "duplicates.parquet", statistics=False)
    parallel.shared_lines.write_parquet(build.out / SHARED_LINES, statistics=False)
    found = overview(parallel)
    proof = split_proof(
        parallel.languages,
        lambda language: parallel.units(language, SPLIT_COLUMNS),
        parallel.duplicates,
        parallel.stock,
    )
    with_text = {row["language"] for row in found.kinds if row["characters"]}
    empty = [key for key in build.project.corpus.languages if key not in with_text]
    low = [row["language"] for row in found.languages if row["coverage"] < COVERAGE_TARGET]
    rows = sum(row["units"] for row in found.languages)
    allowed = build.project.corpus.unknown_markup
    return Outcome(
        f"{counted(rows, 'unit')} in {counted(len(raw), 'language')}, {found.held_out:,} of "
        f"{counted(found.scenes, 'scene or document', 'scenes and documents')} held out",
        metadata={
            "dagster/row_count": rows,
            "languages": table(found.coverage, safe=True),
            "flags": table(found.flags, safe=True),
            "kinds": table(found.kinds),
            "split": table(found.split),
            "coverage": picture(stats.coverage_png(found.languages)),
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
                "languages without any text",
                remedy="give them some, or take them off `languages` in corpus.yaml",
            ),
            CheckOutcome(
                "unknown_markup",
                not parallel.unknown.over(allowed),
                parallel.unknown.detail(allowed),
            ),
            none_of("coverage", low, "languages under 95% coverage"),
            _at_most(found, "untranslated_copies", "untranslated_copy", UNTRANSLATED_TARGET),
            _at_most(found, "mojibake", "mojibake", MOJIBAKE_TARGET),
            _at_most(found, "shifted_lines", "shifted_line", SHIFTED_TARGET),
            _at_most(found, "unknown_placeholders", "unknown_placeholder", 0.0),
            _at_most(found, "duplicates", "duplicate", DUPLICATES_TARGET),
        ],
    )


def _at_most(found: "Overview", name: str, flag: str, target: float) -> CheckOutcome:
    """Return a check's outcome: passed when no language has more than a share of flagged units."""
    from cyrene_assets.corpus.findings import counted

    over = [language for language, share in found.share(flag).items() if share > target]
    number = found.count(flag)
    more = f": {', '.join(found.examples[flag])}" if number else ""
    where = f"over {target:.1%} in {', '.join(over)}; " if over and target else ""
    return CheckOutcome(name, not over, f"{where}{counted(number, 'unit')} flagged {flag}{more}")
