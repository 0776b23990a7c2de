"""The corpus assets: from raw files to all languages side by side, cleaned, flagged and split."""

from typing import Any

import dagster as dg

from cyrene_assets.automation.rebuild_rules import AT_ONCE
from cyrene_assets.corpus.preparation.flag_registry import limits
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.partitions import languages
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.outcome import BuildResult, Check
from cyrene_assets.store.tables import read_table, write_table

GROUP = "corpus"


def _raw_files(project: Project, language: str | None) -> dict[str, str]:
    from cyrene_assets.corpus.sources.registry import raw_files

    return raw_files(project.corpus_folder, project.corpus, language or "")


@dg.observable_source_asset(
    partitions_def=languages(),
    group_name=GROUP,
    tags={"dagster/kind/jsonl": "", "dagster/kind/file": ""},
    description="The digest of one language's raw files (observed; nothing is stored).",
)
def raw_corpus(context: dg.AssetExecutionContext) -> dg.DataVersionsByPartition:
    """Observe the raw files of the languages asked for."""
    from cyrene_assets.orchestration.raw_files import raw_files_of

    project = Project.load()
    return dg.DataVersionsByPartition(
        {key: raw_files_of(project, key).version for key in context.partition_keys}
    )


def _raw_inputs(project: Project, language: str | None) -> dict[str, Any]:
    from cyrene_assets.corpus.sources.registry import digest_of

    return {str(ArtifactKey("raw_corpus", language)): digest_of(_raw_files(project, language))}


@artifact_asset(
    group_name=GROUP,
    rebuild=AT_ONCE,
    kinds={"polars", "parquet"},
    code_version="2",
    partitions_def=languages(),
    deps=["raw_corpus"],
    params=lambda project, language: project.corpus.source_params(language or ""),
    external_inputs=_raw_inputs,
    external_files=_raw_files,
)
def raw_dialog(build: ArtifactBuild) -> BuildResult:
    """Every line and document of one language in one canonical table, speaker and scene attached.

    `raw_dialog.parquet` has a row per dialog line and per document, in the order of the files, with
    the file and line each came from. Aligned with the other languages by `parallel_corpus`.
    """
    from cyrene_assets.corpus.lint.corpus_outcomes import raw_dialog_outcome
    from cyrene_assets.corpus.sources.registry import read_listed

    rows, left_out = read_listed(
        build.project.corpus_folder, build.project.corpus, build.partition_key
    )
    shown = write_table(rows, build.out, "raw_dialog.parquet")
    return raw_dialog_outcome(rows, left_out, shown)


@artifact_asset(
    group_name=GROUP,
    rebuild=AT_ONCE,
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
        *(Check(limit.check, limit.description) for _, limit in limits()),
    ],
)
def parallel_corpus(build: ArtifactBuild) -> BuildResult:
    """All languages aligned unit by unit: cleaned text, split and quality flags.

    `units/<language>.parquet` holds every row, `coverage.parquet` the units that some language
    lacks, `duplicates.parquet` the scenes and documents that repeat others or nearly do,
    `shared_lines.parquet` lines that scenes share. The split
    into training and validation is by scene, one for all languages, so that no translation of a
    held-out scene is trained on.
    """
    from cyrene_assets.corpus.lint.corpus_outcomes import parallel_outcome
    from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus as align

    raw = build.inputs_of("raw_dialog")
    parallel = align(
        lambda language: read_table(raw[language], "raw_dialog.parquet"),
        build.project.corpus,
        build.out,
    )
    parallel.write()
    return parallel_outcome(parallel, build.project.corpus)
