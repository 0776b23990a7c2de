"""What the build would make of a parallel corpus up to packing, and what it would refuse.

The very functions of the build run here, renderings, proofs, checks and the cutting of long chats.
Where the base model's tokenizer is there, tokens are counted; else they are estimated, and a chat
is sure to fit where its UTF-8 bytes do, since a byte is a token at the most.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cyrene_assets.corpus.chat_options import Chats
from cyrene_assets.corpus.chat_tables import messages_json, spoken_texts
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.lint.dry_run_summary import DryRunSummary, LanguageSummary
from cyrene_assets.corpus.lint.fitting import SPLITS, Fit, fit, units_too_long
from cyrene_assets.corpus.lint.refusals import (
    SHOWN,
    blocking_failures,
    empty_sides,
    large_groups,
    long_lines,
    place_of,
    too_long,
)
from cyrene_assets.corpus.packing.chat_windows import TextCounter
from cyrene_assets.corpus.packing.token_counting import BYTES_PER_TOKEN
from cyrene_assets.corpus.preparation.leakage import (
    REMEDY,
    LeakageReport,
    find_dataset_leakage,
    find_split_leakage,
)
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus
from cyrene_assets.corpus.rendering.line_selection import (
    IN_CHATS,
    TOO_LONG,
    count_character_lines,
    count_left_out,
)
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.corpus.sources.types import Problem

_SCENES = {
    "scene": pl.String,
    "kind": pl.String,
    "split": pl.String,
    "file": pl.String,
    "line": pl.Int32,
}


@dataclass(frozen=True)
class DryRun:
    """The summary of a corpus, what the build would refuse, and what to look at."""

    summary: DryRunSummary
    refusals: list[Problem]
    warnings: list[Problem]


def dry_run(
    parallel: ParallelCorpus,
    corpus: Corpus,
    sequence_length: int,
    counter: TextCounter,
    scratch: Path,
) -> DryRun:
    """Do what the build would, one language in memory at a time; tables go to ``scratch``."""
    of_markup = parallel.unknown.refusals(corpus.unknown_markup)
    refusals: list[Problem] = []
    languages = {}
    long, left_out = [], []
    fitting = dict.fromkeys(SPLITS, 0)
    scenes = pl.DataFrame(schema=_SCENES)
    chatting: set[str] = set()
    for language, units in parallel.each():
        documents, chats = (make(units, corpus, language) for make in (cpt_documents, sft_chats))
        left_out.append(count_left_out(units))
        refusals += blocking_failures(language, documents, chats, left_out[-1], parallel.unknown)
        found = fit(chats, counter, sequence_length)
        languages[language] = _summary(units, documents, chats, corpus.chats, found)
        long.append(units_too_long(units, found.lost, counter))
        for split in SPLITS:
            fitting[split] += found.chats[split]
        scenes = pl.concat([scenes, units.select(scenes.columns)]).unique(
            ["scene", "kind", "split"], keep="first", maintain_order=True
        )
        chatting.update(chats["scene"])
        spoken = spoken_texts(chats["messages"])
        for stage, table in (
            ("cpt", documents.select("scene", "split", "text", name="document")),
            ("sft", chats.select("scene", "split", spoken.alias("text"), name="chat")),
        ):
            table.write_parquet(scratch / f"{stage}-{language}.parquet", compression="lz4")
    sides = {stage: _sides(scratch, stage, parallel.languages) for stage in ("cpt", "sft")}
    held_out = len(scenes.filter(split="validation")) / max(len(scenes), 1)
    proofs = list(_proofs(parallel, scratch))
    recurring = proofs[0].describe_recurring()
    unknown = [code for code, known in corpus.traits.items() if not known.is_known]
    summary = DryRunSummary(
        languages,
        len(scenes),
        held_out,
        recurring,
        corpus.chats.everyone,
        parallel.twins,
        unknown,
    )
    scenes = scenes.with_columns(chats=pl.col("scene").is_in(list(chatting)))
    refusals += empty_sides(sides, scenes, parallel, corpus, summary.lines, pl.concat(left_out))
    if of_markup:
        # What markup nobody named leaves out is told by one line.
        refusals = of_markup + [
            one for one in refusals if not one.remedy.startswith(of_markup[0].remedy)
        ]
    without = [split for split in SPLITS if sides["sft"][split] and not fitting[split]]
    if without:
        refusals.append(too_long(without, sequence_length, counter, corpus))
    for proof in proofs:
        places = proof.leaks.head(SHOWN)["held_out"]
        refusals += [
            Problem(*place_of(scenes, scene=place), leak, REMEDY)
            for place, leak in zip(places, proof.messages(), strict=False)
        ]
    warnings = [
        *large_groups(parallel, len(scenes)),
        *long_lines(pl.concat(long), sequence_length, counter),
    ]
    return DryRun(summary, refusals, warnings)


def _summary(
    units: pl.DataFrame, documents: pl.DataFrame, chats: pl.DataFrame, chosen: Chats, found: Fit
) -> LanguageSummary:
    own = units.filter(role="character")["speaker"].unique()
    lines = count_character_lines(units, chosen)
    if lost := int(found.lost.filter(pl.col("speaker").is_in(own.implode()))["number"].sum()):
        lines |= {IN_CHATS: lines[IN_CHATS] - lost, TOO_LONG: lost}

    def tokens(texts: pl.Series) -> int:
        return round(int(texts.str.len_bytes().sum()) / BYTES_PER_TOKEN)

    return LanguageSummary(
        documents=len(documents),
        document_tokens=tokens(documents["text"]),
        chats=len(chats),
        chat_tokens=tokens(messages_json(chats["messages"])),
        held_out=len(chats.filter(split="validation")) / max(len(chats), 1),
        lines=lines,
        answers=found.lines - found.left_out,
        answers_left_out=found.left_out,
    )


def _sides(scratch: Path, stage: str, languages: tuple[str, ...]) -> dict[str, int]:
    """Count the documents or chats to train on and to validate with."""
    found = [
        pl.read_parquet(scratch / f"{stage}-{key}.parquet", columns=["split"]) for key in languages
    ]
    counts = dict(pl.concat(found)["split"].value_counts().rows())
    return {split: counts.get(split, 0) for split in SPLITS}


def _proofs(parallel: ParallelCorpus, scratch: Path) -> Iterator[LeakageReport]:
    yield find_split_leakage(
        parallel.languages,
        parallel.units,
        parallel.duplicates,
        parallel.stock,
    )
    for stage in ("cpt", "sft"):
        yield find_dataset_leakage(_Tables(scratch, stage, parallel.languages), parallel.stock)


class _Tables(Mapping[str, pl.DataFrame]):
    """The documents or chats of each language, read when they are looked up."""

    def __init__(self, folder: Path, stage: str, languages: tuple[str, ...]) -> None:
        self._folder, self._stage, self._languages = folder, stage, languages

    def __getitem__(self, language: str) -> pl.DataFrame:
        return pl.read_parquet(self._folder / f"{self._stage}-{language}.parquet")

    def __iter__(self) -> Iterator[str]:
        return iter(self._languages)

    def __len__(self) -> int:
        return len(self._languages)
