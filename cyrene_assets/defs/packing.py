"""The training sets: measured with a size's tokenizer, repeated, ordered and packed."""

from typing import Any, Literal

import dagster as dg

from cyrene_assets.automation.rebuild_rules import AT_ONCE
from cyrene_assets.config.model_sizes import model_size
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.corpus.parallel_files import SHARED_LINES_FILE
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.artifact_spec import Reads
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.partitions import sizes
from cyrene_assets.store.outcome import BuildResult, Check
from cyrene_assets.store.tables import TablesByLanguage, read_table

GROUP = "training"
_ALL_LANGUAGES = dg.AllPartitionMapping()
_TOKENIZER = "tokenizer.json"
_READS: Reads = {
    "base_model": lambda _size: [_TOKENIZER],
    "parallel_corpus": lambda _size: [SHARED_LINES_FILE],
}
_CHECKS = (
    Check(
        "no_leak",
        "No training text is held out, or a near-duplicate of held-out text.",
        blocking=True,
    ),
    Check("packs_hold_a_unit_once", "No pack holds copies or translations of one document."),
)


def _packed(
    build: ArtifactBuild,
    name: Literal["cpt", "sft"],
    frames: TablesByLanguage,
    texts: TablesByLanguage,
) -> BuildResult:
    from cyrene_assets.corpus.lint.packed_sets import write_packed

    stage: Stage = getattr(build.project.recipe(build.size), name)
    return write_packed(
        name,
        stage,
        frames,
        texts,
        tokenizer=build.input("base_model").path / _TOKENIZER,
        lines=read_table(build.input("parallel_corpus"), SHARED_LINES_FILE),
        everyone=build.project.corpus.chats.everyone,
        out=build.out,
    )


def _packing_params(stage: Stage) -> dict[str, Any]:
    return stage.model_dump(mode="json", include={"sequence_length", "passes", "seed"})


@artifact_asset(
    group_name=GROUP,
    rebuild=AT_ONCE,
    kinds={"polars", "arrow"},
    code_version="5",
    partitions_def=sizes,
    deps=[
        "base_model",
        dg.AssetDep("cpt_documents", partition_mapping=_ALL_LANGUAGES),
        "parallel_corpus",
    ],
    params=lambda project, key: _packing_params(project.recipe(model_size(key)).cpt),
    reads=_READS,
    checks=_CHECKS,
)
def packed_cpt(build: ArtifactBuild) -> BuildResult:
    """The CPT training and validation sets, measured with this size's tokenizer and packed.

    `cached/train` is the complete training sequence in reading order, every pass of the recipe
    included, in the form that ms-swift's `--cached_dataset` reads; `rows.parquet` says which pack
    each row falls into.
    """
    documents = TablesByLanguage(build.inputs_of("cpt_documents"), "documents.parquet")
    texts = documents.map(lambda rows: rows.rename({"document": "name"}))
    return _packed(build, "cpt", documents, texts)


@artifact_asset(
    group_name=GROUP,
    rebuild=AT_ONCE,
    kinds={"polars", "arrow"},
    code_version="6",
    partitions_def=sizes,
    deps=[
        "base_model",
        dg.AssetDep("sft_chat", partition_mapping=_ALL_LANGUAGES),
        "parallel_corpus",
    ],
    params=lambda project, key: _packing_params(project.recipe(model_size(key)).sft),
    reads=_READS,
    checks=_CHECKS,
)
def packed_sft(build: ArtifactBuild) -> BuildResult:
    """The SFT training and validation sets, measured with this size's tokenizer and packed.

    As `packed_cpt`, of the chats. A conversation longer than the sequence length is cut into
    windows that begin with a user turn, after the system prompt.
    """
    from cyrene_assets.corpus.chat_tables import read_chats, spoken_texts

    chats = read_chats(build.inputs_of("sft_chat"))
    texts = chats.map(
        lambda rows: rows.rename({"chat": "name"}).with_columns(text=spoken_texts(rows["messages"]))
    )
    return _packed(build, "sft", chats, texts)
