"""What models learn from: the documents of continual pretraining, and the chats of fine-tuning."""

from typing import TYPE_CHECKING

from cyrene_assets.automation.rebuild_rules import AT_ONCE
from cyrene_assets.corpus.parallel_files import units_file
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.artifact_spec import Reads
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.partitions import languages
from cyrene_assets.store.outcome import BuildResult, Check

if TYPE_CHECKING:
    import polars as pl

GROUP = "corpus"
_UNITS_OF_LANGUAGE: Reads = {"parallel_corpus": lambda language: [units_file(language or "")]}
NO_CONTROL_TOKENS = Check(
    "no_control_tokens",
    "The text has no control tokens of the tokenizer or the chat template.",
    blocking=True,
)


def _units_of(build: ArtifactBuild) -> "pl.DataFrame":
    from cyrene_assets.corpus.preparation.parallel_corpus import read_units
    from cyrene_assets.corpus.rendering.line_selection import UNIT_COLUMNS

    return read_units(build.input("parallel_corpus").path, build.partition_key, UNIT_COLUMNS)


@artifact_asset(
    group_name=GROUP,
    rebuild=AT_ONCE,
    kinds={"polars", "parquet"},
    code_version="3",
    partitions_def=languages(),
    deps=["parallel_corpus"],
    params=lambda project, language: project.corpus.document_params(language or ""),
    reads=_UNITS_OF_LANGUAGE,
    checks=[
        Check("has_training_documents", "The training split is not empty.", blocking=True),
        NO_CONTROL_TOKENS,
    ],
)
def cpt_documents(build: ArtifactBuild) -> BuildResult:
    """Continual-pretraining documents of one language, rendered and cleaned.

    `documents.parquet` has text, scene, kind and split of each. Token limits come later, in
    `packed_cpt`; `cyrene corpus export` writes JSON Lines in ms-swift's standard format.
    """
    from cyrene_assets.corpus.lint.training_texts import write_documents

    return write_documents(_units_of(build), build.project.corpus, build.partition_key, build.out)


@artifact_asset(
    group_name=GROUP,
    rebuild=AT_ONCE,
    kinds={"polars", "parquet"},
    code_version="3",
    partitions_def=languages(),
    deps=["parallel_corpus"],
    params=lambda project, language: project.corpus.chat_params(language or ""),
    reads=_UNITS_OF_LANGUAGE,
    checks=[
        Check("has_training_chats", "The character is spoken to in the training split."),
        NO_CONTROL_TOKENS,
    ],
)
def sft_chat(build: ArtifactBuild) -> BuildResult:
    """Chat conversations with the character in one language.

    `chats.parquet` has messages (system, user, assistant), scene, split and turns of each. The
    system prompt is the corpus's, byte for byte, and the one that serving sends. `cyrene corpus
    export` writes JSON Lines in ms-swift's standard format.
    """
    from cyrene_assets.corpus.lint.training_texts import write_chats

    return write_chats(_units_of(build), build.project.corpus, build.partition_key, build.out)
