"""The corpus assets: from raw files to the documents and chats that models learn from."""

import json
from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.artifact_asset import Build, Check, CheckOutcome, Outcome, artifact_asset
from cyrene_assets.defs._shared import read_by_language, write_table
from cyrene_assets.partitions import languages
from cyrene_assets.project import Project

if TYPE_CHECKING:
    import polars as pl

GROUP = "corpus"
COVERAGE_TARGET = 0.95


def raw_corpus_digest(project: Project, language: str) -> str:
    """Return the digest of the raw files of ``language`` as they are now."""
    from cyrene_assets.corpus.sources import raw_digest

    return raw_digest(project.corpus_folder, project.corpus, language)


@dg.observable_source_asset(
    partitions_def=languages,
    group_name=GROUP,
    tags={"dagster/kind/jsonl": "", "dagster/kind/file": ""},
    description="The raw files of one language under `corpora/`: their digest, and nothing new.",
)
def raw_corpus(context: dg.AssetExecutionContext) -> dg.DataVersionsByPartition:
    """Observe the raw files of the languages asked for."""
    project = Project.load()
    return dg.DataVersionsByPartition(
        {key: raw_corpus_digest(project, key) for key in context.partition_keys}
    )


def _raw_inputs(project: Project, language: str | None) -> dict[str, Any]:
    return {f"raw_corpus[{language}]": raw_corpus_digest(project, language or "")}


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "parquet"},
    code_version="1",
    partitions_def=languages,
    deps=["raw_corpus"],
    params=lambda project, language: project.corpus.source_params(language or ""),
    external_inputs=_raw_inputs,
)
def raw_dialog(build: Build) -> Outcome:
    """Every line and document of one language in one canonical table, speaker and scene attached.

    `raw_dialog.parquet` has a row per dialog line and per document, in the order of the files, with
    the file and line each came from. Aligned with the other languages by `parallel_corpus`.
    """
    from cyrene_assets.corpus import stats
    from cyrene_assets.corpus.sources import read_listed

    rows, left_out = read_listed(build.project.corpus_folder, build.project.corpus, build.key)
    shown = write_table(rows, build.out, "raw_dialog.parquet")
    characters = int(rows["text"].str.len_chars().sum())
    lines = len(rows.filter(rows["kind"] == "dialog"))
    return Outcome(
        f"{lines:,} lines, {len(rows) - lines:,} documents, {characters:,} characters",
        metadata={
            **shown,
            "characters": characters,
            "left out": len(left_out),
            "left out first": dg.MetadataValue.md(
                "\n".join(f"- {stats.escape_markdown(str(problem))}" for problem in left_out[:20])
                or "(nothing)"
            ),
            "kinds": dg.MetadataValue.md(stats.markdown_table(stats.kind_counts(rows))),
            "preview": dg.MetadataValue.md(stats.scene_preview(rows)),
        },
    )


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "parquet"},
    code_version="1",
    deps=["raw_dialog"],
    params=lambda project, _: {
        "split": project.corpus.split_params(),
        "languages": {key: project.corpus.render_params(key) for key in project.corpus.languages},
    },
    checks=[
        Check("no_leak", "No scene and no text stands on both sides of the split.", blocking=True),
        Check(
            "languages_have_text",
            "Every language of the corpus has units left after cleaning.",
            blocking=True,
        ),
        Check("coverage", "Every language has at least 95% of the units."),
        Check("no_untranslated_copies", "No unit is another language's text."),
        Check("no_unknown_placeholders", "Cleaning knew every placeholder."),
        Check("no_duplicate_scenes", "No scene or document repeats an earlier one."),
    ],
)
def parallel_corpus(build: Build) -> Outcome:
    """All languages aligned unit by unit: cleaned text, split and quality flags.

    `units.parquet` holds every row of every language, `coverage.parquet` the units that some
    language lacks. The split into training and validation is by scene, one for all languages, so
    that no translation of a held-out scene is trained on.
    """
    from cyrene_assets.corpus import stats
    from cyrene_assets.corpus.align import parallel_corpus as align
    from cyrene_assets.corpus.split import leaks

    frames = read_by_language(build.inputs_of("raw_dialog"), "raw_dialog.parquet")
    parallel = align(frames, build.project.corpus)
    parallel.coverage.write_parquet(build.out / "coverage.parquet", statistics=False)
    shown = write_table(parallel.units, build.out, "units.parquet", partitioned=False)
    units = parallel.units
    coverage = stats.coverage_table(units, parallel.coverage)
    leaking = leaks(units)
    with_text = set(units.filter(units["text"] != "")["language"])
    empty = [key for key in build.project.corpus.languages if key not in with_text]
    held_out = units.filter(units["split"] == "validation")["scene"].n_unique()
    low = [row["language"] for row in coverage if row["coverage"] < COVERAGE_TARGET]
    return Outcome(
        f"{units['unit'].n_unique():,} units in {len(frames)} languages, {held_out} of "
        f"{units['scene'].n_unique()} scenes and documents held out",
        metadata={
            **shown,
            "coverage": dg.MetadataValue.md(stats.markdown_table(coverage)),
            "flagged units": dg.MetadataValue.md(stats.markdown_table(stats.worst_units(units))),
            "kinds": dg.MetadataValue.md(stats.markdown_table(stats.kind_counts(units))),
        },
        checks=[
            CheckOutcome(
                "no_leak",
                leaking.is_empty(),
                "nothing stands on both sides"
                if leaking.is_empty()
                else f"{len(leaking)} scenes or texts stand on both sides of the split",
                {"leaks": dg.MetadataValue.md(stats.markdown_table(leaking.head(20).to_dicts()))},
            ),
            _found("languages_have_text", empty, "languages without any text"),
            _found("coverage", low, "languages under 95% coverage"),
            *(
                _found(name, _flagged(units, flag), f"units flagged {flag}")
                for name, flag in (
                    ("no_untranslated_copies", "untranslated_copy"),
                    ("no_unknown_placeholders", "unknown_placeholder"),
                    ("no_duplicate_scenes", "duplicate"),
                )
            ),
        ],
    )


def _flagged(units: "pl.DataFrame", flag: str) -> list[str]:
    flagged = units.filter(units["flags"].list.contains(flag))
    return [f"{row['language']}/{row['unit']}" for row in flagged.to_dicts()]


def _found(name: str, found: list[str], what: str) -> CheckOutcome:
    """Return a check's outcome: passed when nothing was found, else what and where."""
    if not found:
        return CheckOutcome(name, True, f"no {what}")
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return CheckOutcome(name, False, f"{len(found)} {what}: {', '.join(found[:5])}{more}")


def _units_of(build: Build) -> "pl.DataFrame":
    import polars as pl

    path = build.input("parallel_corpus").path / "units.parquet"
    return pl.scan_parquet(path).filter(pl.col("language") == build.key).collect()


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "jsonl"},
    code_version="1",
    partitions_def=languages,
    deps=["parallel_corpus"],
    params=lambda _project, language: {"language": language},
    checks=[Check("has_training_documents", "There is something to train on.", blocking=True)],
)
def cpt_documents(build: Build) -> Outcome:
    """Continual-pretraining documents of one language, rendered and cleaned.

    `train.jsonl` and `validation.jsonl` are in ms-swift's standard format, `documents.parquet` is
    the same with scene, kind and split. Token limits come later, in `packed_cpt`.
    """
    from cyrene_assets.corpus import render, stats

    documents = render.cpt_documents(_units_of(build), build.project.corpus, build.key)
    shown = write_table(documents, build.out, "documents.parquet")
    for split in ("train", "validation"):
        part = documents.filter(documents["split"] == split)
        render.write_document_jsonl(part, build.out / f"{split}.jsonl")
    train = len(documents.filter(documents["split"] == "train"))
    return Outcome(
        f"{train:,} documents to train on, {len(documents) - train:,} held out",
        metadata={
            **shown,
            "characters": int(documents["characters"].sum()),
            "documents by kind": dg.MetadataValue.json(
                dict(documents["kind"].value_counts().rows())
            ),
            "preview": dg.MetadataValue.md(stats.document_preview(documents["text"][0])),
        },
        checks=[
            CheckOutcome("has_training_documents", train > 0, f"{train} training documents"),
        ],
    )


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "jsonl"},
    code_version="1",
    partitions_def=languages,
    deps=["parallel_corpus"],
    params=lambda project, language: project.corpus.chat_params(language or ""),
    checks=[Check("has_training_chats", "The character is spoken to in the training split.")],
)
def sft_chat(build: Build) -> Outcome:
    """Chat conversations with the character in one language.

    `train.jsonl` and `validation.jsonl` are in ms-swift's standard format (system, user,
    assistant); `chats.parquet` is the same with scene, split and turns. The system prompt is the
    corpus's, byte for byte, and the one that serving sends.
    """
    from cyrene_assets.corpus import render

    chats = render.sft_chats(_units_of(build), build.project.corpus, build.key)
    shown = write_table(chats, build.out, "chats.parquet")
    for split in ("train", "validation"):
        part = chats.filter(chats["split"] == split)
        render.write_chat_jsonl(part, build.out / f"{split}.jsonl")
    train = len(chats.filter(chats["split"] == "train"))
    return Outcome(
        f"{train:,} chats to train on, {len(chats) - train:,} held out",
        metadata={
            **shown,
            "turns": int(chats["turns"].sum()),
            "system prompt": build.params["system_prompt"],
            "preview": dg.MetadataValue.md(_chat_preview(chats)),
        },
        checks=[CheckOutcome("has_training_chats", train > 0, f"{train} training chats")],
    )


def _chat_preview(chats: "pl.DataFrame") -> str:
    from cyrene_assets.corpus import stats

    if chats.is_empty():
        return "(none)"
    said = json.loads(chats["messages"][0])[1:]
    return stats.document_preview("\n".join(f"{m['role']}: {m['content']}" for m in said))
