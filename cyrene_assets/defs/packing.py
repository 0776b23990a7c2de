"""The training sets: measured with a size's tokenizer, repeated, ordered and packed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from cyrene_assets.artifact_asset import artifact_asset
from cyrene_assets.artifact_build import Build
from cyrene_assets.artifact_spec import Check, CheckOutcome, Outcome
from cyrene_assets.defs._shared import (
    TablesByLanguage,
    no_leak,
    none_of,
    picture,
    read_table,
    table,
)
from cyrene_assets.partitions import sizes
from cyrene_assets.recipe import Stage

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.corpus.pack import Packed

GROUP = "training"
_ALL_LANGUAGES = dg.AllPartitionMapping()
_CHECKS = (
    Check("no_leak", "Nothing that is trained on was held out, or nearly is.", blocking=True),
    Check("packs_hold_a_unit_once", "No pack holds copies or translations of one document."),
)


def _packed(
    build: Build,
    stage_name: Literal["cpt", "sft"],
    stage: Stage,
    frames: "Mapping[str, pl.DataFrame]",
    texts: "Mapping[str, pl.DataFrame]",
) -> Outcome:
    import polars as pl

    from cyrene_assets.corpus import stats
    from cyrene_assets.corpus.align import SHARED_LINES
    from cyrene_assets.corpus.leaks import REMEDY, sets_proof
    from cyrene_assets.corpus.pack import pack_corpus, scenes_on_both_sides

    tokenizer = build.input("base_model").path / "tokenizer.json"
    packed = pack_corpus(stage_name, frames, tokenizer, stage, build.out)
    rows = pl.read_parquet(build.out / "rows.parquet")
    validation = pl.read_parquet(build.out / "validation_rows.parquet")
    counts = pl.read_parquet(build.out / "token_counts.parquet").to_dicts()
    lines = read_table(build.input("parallel_corpus"), SHARED_LINES)
    leaks = no_leak(sets_proof(texts, lines.filter("stock")["text"]), lines)
    scenes = scenes_on_both_sides(rows, validation)
    said = packed.left_out(everyone=build.project.corpus.chats.everyone)
    left_out = f"; {said}" if stage_name == "sft" else ""
    return Outcome(
        f"{packed.tokens:,} tokens in {packed.rows:,} rows, {packed.packs:,} packs "
        f"{packed.fill:.1%} full, {packed.validation_rows:,} validation rows{left_out}",
        metadata={
            **{name: value for name, value in packed.as_dict().items() if name != "fill"},
            "fill": round(packed.fill, 4),
            "dagster/partition_row_count": packed.rows,
            "tokens by language and kind": table(counts),
            "pack fill": picture(
                stats.pack_fill_png(rows["tokens"], rows["pack"], stage.sequence_length)
            ),
            "row lengths": picture(
                stats.length_histogram_png(rows["tokens"].to_list(), stage.sequence_length)
            ),
        },
        checks=[
            leaks
            if not scenes
            else none_of("no_leak", scenes, "scenes on both sides", leaks.metadata, remedy=REMEDY),
            _once(packed),
        ],
        measurements=packed.as_dict(),
    )


def _once(packed: "Packed") -> CheckOutcome:
    together = packed.copies_together + packed.translations_together
    return CheckOutcome(
        "packs_hold_a_unit_once",
        together == 0,
        f"{packed.copies_together:,} rows share a pack with a copy of themselves, "
        f"{packed.translations_together:,} with a translation",
    )


def _packing_params(stage: Stage) -> dict[str, Any]:
    return stage.model_dump(mode="json", include={"sequence_length", "passes", "seed"})


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "jsonl"},
    code_version="4",
    partitions_def=sizes,
    deps=[
        "base_model",
        dg.AssetDep("cpt_documents", partition_mapping=_ALL_LANGUAGES),
        "parallel_corpus",
    ],
    params=lambda project, size: _packing_params(project.recipe(size or "").cpt),
    checks=_CHECKS,
)
def packed_cpt(build: Build) -> Outcome:
    """The CPT training and validation sets, measured with this size's tokenizer and packed.

    `train.jsonl` is the whole training sequence in reading order, every pass of the recipe
    included; `rows.parquet` says which pack each row falls into; `cached/` is the same in the form
    that ms-swift's `--cached_dataset` reads.
    """
    documents = TablesByLanguage(build.inputs_of("cpt_documents"), "documents.parquet")
    texts = documents.map(lambda rows: rows.rename({"document": "name"}))
    return _packed(build, "cpt", build.project.recipe(build.key).cpt, documents, texts)


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "jsonl"},
    code_version="5",
    partitions_def=sizes,
    deps=[
        "base_model",
        dg.AssetDep("sft_chat", partition_mapping=_ALL_LANGUAGES),
        "parallel_corpus",
    ],
    params=lambda project, size: _packing_params(project.recipe(size or "").sft),
    checks=_CHECKS,
)
def packed_sft(build: Build) -> Outcome:
    """The SFT training and validation sets, measured with this size's tokenizer and packed.

    As `packed_cpt`, of the chats. A conversation longer than the sequence length is cut into
    windows that begin with a user turn, after the system prompt.
    """
    chats = TablesByLanguage(build.inputs_of("sft_chat"), "chats.parquet")
    texts = chats.map(_said)
    return _packed(build, "sft", build.project.recipe(build.key).sft, chats, texts)


def _said(chats: "pl.DataFrame") -> "pl.DataFrame":
    from cyrene_assets.corpus.leaks import chat_texts

    return chats.rename({"chat": "name"}).with_columns(text=chat_texts(chats["messages"]))
