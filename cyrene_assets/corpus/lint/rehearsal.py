"""What the build would make of a parallel corpus up to packing, and what it would refuse.

The very functions of the build run here, renderings, proofs, checks and the cutting of long chats.
Where the base model's tokenizer is there, tokens are counted; else they are estimated, and a chat
is sure to fit where its UTF-8 bytes do, since a byte is a token at the most.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cyrene_assets.corpus.chat_options import Chats
from cyrene_assets.corpus.chat_tables import messages_json, spoken_texts
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.lint.fitting import SPLITS, Fit, fit, lost_units
from cyrene_assets.corpus.lint.refusals import (
    SHOWN,
    glued,
    long_lines,
    one_sided,
    refused,
    too_long,
)
from cyrene_assets.corpus.packing.chat_windows import TextCounter
from cyrene_assets.corpus.packing.token_counting import BYTES_PER_TOKEN
from cyrene_assets.corpus.preparation.leakage import (
    REMEDY,
    SPLIT_COLUMNS,
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
from cyrene_assets.utils.counting import counted


@dataclass(frozen=True)
class LanguageSummary:
    """What comes of a language: ``tokens`` are estimated, ``held_out`` is a share of the chats.

    ``lines`` are the character's: how many are in chats, and how many are not, by why. ``answers``
    are the lines of all assistants that packing has, ``answers_left_out`` those too long for it.
    """

    documents: int
    document_tokens: int
    chats: int
    chat_tokens: int
    held_out: float
    lines: Mapping[str, int]
    answers: int
    answers_left_out: int


@dataclass(frozen=True)
class Summary:
    """What comes of a corpus; ``held_out`` is a share of the scenes and documents.

    ``everyone`` says whether every speaker is the assistant in turn, ``twins`` counts the scenes
    and documents that are there in both variants of gendered text, as two.
    """

    languages: Mapping[str, LanguageSummary]
    scenes: int
    held_out: float
    recurring: str
    everyone: bool = False
    twins: int = 0
    unknown_codes: Sequence[str] = ()

    @property
    def chats(self) -> int:
        """The number of chats."""
        return sum(found.chats for found in self.languages.values())

    @property
    def tokens(self) -> int:
        """About how many tokens documents and chats have."""
        found = self.languages.values()
        return sum(language.document_tokens + language.chat_tokens for language in found)

    @property
    def lines(self) -> dict[str, int]:
        """The character's lines in all languages, by what becomes of them."""
        total: dict[str, int] = {}
        for found in self.languages.values():
            for words, number in found.lines.items():
                total[words] = total.get(words, 0) + number
        return total

    def in_words(self) -> list[str]:
        """Return what a person wants to know, a line each."""
        lines = self.lines
        total, there = sum(lines.values()), lines.pop(IN_CHATS, 0)
        why = ", ".join(f"{number:,} {words}" for words, number in lines.items())
        more = [self._of_everyone()] if self.everyone else []
        if self.twins:
            twins = counted(self.twins, "scene or document is", "scenes and documents are")
            more.append(f"{twins} there in both variants of gendered text, as two each")
        scenes = counted(self.scenes, "scene or document is", "scenes and documents are")
        return [
            f"{counted(self.chats, 'chat')} in {counted(len(self.languages), 'language')}, about "
            f"{self.tokens:,} tokens of documents and chats",
            f"{there:,} of the character's {counted(total, 'line')} "
            f"({there / max(total, 1):.1%}) {'is' if there == 1 else 'are'} in chats"
            + (f"; not: {why}" if why else ""),
            *more,
            f"{self.held_out:.1%} of {scenes} held out",
            self.recurring,
            *(
                f"{code} is no code of a language that is known: it is read as one with letters "
                "and spaces (`tag` in corpus.yaml says which it is, `writing` how it is written)"
                for code in self.unknown_codes
            ),
        ]

    def _of_everyone(self) -> str:
        found = self.languages.values()
        lines, lost = (
            sum(one.answers for one in found),
            sum(one.answers_left_out for one in found),
        )
        more = f"; not: {lost:,} {TOO_LONG}" if lost else ""
        return f"{counted(lines, 'line')} of all speakers are answers in chats{more}"


@dataclass(frozen=True)
class Rehearsal:
    """The summary of a corpus, what the build would refuse, and what to look at."""

    summary: Summary
    refusals: list[Problem]
    warnings: list[Problem]


def rehearse(
    parallel: ParallelCorpus,
    corpus: Corpus,
    sequence_length: int,
    counter: TextCounter,
    scratch: Path,
) -> Rehearsal:
    """Do what the build would, one language in memory at a time; tables go to ``scratch``."""
    refusals = parallel.unknown.refusals(corpus.unknown_markup)
    languages = {}
    long, left_out = [], []
    fitting = dict.fromkeys(SPLITS, 0)
    scenes = pl.DataFrame(schema={"scene": pl.String, "kind": pl.String, "split": pl.String})
    for language, units in parallel.each():
        documents, chats = (make(units, corpus, language) for make in (cpt_documents, sft_chats))
        left_out.append(count_left_out(units))
        refusals += refused(language, documents, chats, left_out[-1], parallel.unknown)
        found = fit(chats, counter, sequence_length)
        languages[language] = _summary(units, documents, chats, corpus.chats, found)
        long.append(lost_units(units, found.lost, counter))
        for split in SPLITS:
            fitting[split] += found.chats[split]
        scenes = pl.concat([scenes, units.select(scenes.columns)]).unique(maintain_order=True)
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
    summary = Summary(
        languages,
        len(scenes),
        held_out,
        recurring,
        corpus.chats.everyone,
        parallel.twins,
        unknown,
    )
    refusals += one_sided(sides, scenes, parallel, corpus, summary.lines, pl.concat(left_out))
    for split, number in fitting.items():
        if sides["sft"][split] and not number:
            refusals.append(too_long(split, sequence_length, counter))
    for proof in proofs:
        refusals += [Problem("corpus.yaml", 0, found, REMEDY) for found in proof.messages()[:SHOWN]]
    warnings = [
        *glued(parallel, len(scenes)),
        *long_lines(pl.concat(long), sequence_length, counter),
    ]
    return Rehearsal(summary, refusals, warnings)


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
        lambda language: parallel.units(language, SPLIT_COLUMNS),
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
