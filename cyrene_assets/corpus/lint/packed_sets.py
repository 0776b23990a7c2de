"""The packed sets of a stage: written, and what their pages and checks say."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import polars as pl

from cyrene_assets.config.training_stage import Stage
from cyrene_assets.corpus.lint import plots
from cyrene_assets.corpus.lint.outcomes import no_leak, table
from cyrene_assets.corpus.packing.packed_dataset import (
    PackedDataset,
    find_scenes_on_both_sides,
    pack_corpus,
)
from cyrene_assets.corpus.preparation.leakage import REMEDY, find_dataset_leakage
from cyrene_assets.store.outcome import BuildResult, CheckOutcome, Picture, none_of
from cyrene_assets.utils.counting import counted


def write_packed(
    stage_name: Literal["cpt", "sft"],
    stage: Stage,
    frames: Mapping[str, pl.DataFrame],
    texts: Mapping[str, pl.DataFrame],
    *,
    tokenizer: Path,
    lines: pl.DataFrame,
    everyone: bool,
    out: Path,
) -> BuildResult:
    """Write a stage's packed sets into ``out``; return what is said of them.

    Args:
        stage_name: which stage.
        stage: of the recipe.
        frames: the documents or chats of each language.
        texts: the same as texts with their names, for the proof that nothing held out is in them.
        tokenizer: the model's ``tokenizer.json``.
        lines: lines that scenes share.
        everyone: chats are everyone's, and not the character's alone.
        out: the folder.
    """
    packed = pack_corpus(stage_name, frames, tokenizer, stage, out)
    rows = pl.read_parquet(out / "rows.parquet")
    validation = pl.read_parquet(out / "validation_rows.parquet")
    counts = pl.read_parquet(out / "token_counts.parquet").to_dicts()
    leaks = no_leak(find_dataset_leakage(texts, lines.filter("stock")["text"]), lines)
    scenes = find_scenes_on_both_sides(rows, validation)
    left_out = f"; {packed.left_out(everyone=everyone)}" if stage_name == "sft" else ""
    return BuildResult(
        f"{counted(packed.tokens, 'token')} in {counted(packed.rows, 'row')}, "
        f"{counted(packed.packs, 'pack')} {packed.fill:.1%} full, "
        f"{counted(packed.validation_rows, 'validation row')}{left_out}",
        metadata={
            **{name: value for name, value in asdict(packed).items() if name != "fill"},
            "fill": round(packed.fill, 4),
            "dagster/partition_row_count": packed.rows,
            "tokens by language and kind": table(counts),
            "pack fill": Picture(
                plots.pack_fill_png(rows["tokens"], rows["pack"], stage.sequence_length)
            ),
            "row lengths": Picture(
                plots.length_histogram_png(rows["tokens"].to_list(), stage.sequence_length)
            ),
        },
        checks=[
            leaks
            if not scenes
            else none_of(
                "no_leak",
                scenes,
                "scene on both sides",
                "scenes on both sides",
                leaks.metadata,
                remedy=REMEDY,
            ),
            _once(packed),
        ],
        measurements=asdict(packed),
    )


def _once(packed: PackedDataset) -> CheckOutcome:
    copies = packed.copies_together
    together = copies + packed.translations_together
    rows = counted(copies, "row shares", "rows share")
    themselves = "itself" if copies == 1 else "themselves"
    return CheckOutcome(
        "packs_hold_a_unit_once",
        together == 0,
        f"{rows} a pack with a copy of {themselves}, "
        f"{packed.translations_together:,} with a translation",
    )
