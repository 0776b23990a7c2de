"""The texts that a stage will train on, before they are packed: of the store, or of raw files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.run_conditions import language_bytes
from cyrene_assets.project.project import Project

if TYPE_CHECKING:
    import polars as pl

StageName = Literal["cpt", "sft"]

# Raw files that are looked at completely, in bytes: a second or two. One language always is.
LOOKED_AT = 8_000_000
# The asset that has a stage's texts, and the table they are in.
TABLES = {"cpt": ("cpt_documents", "documents.parquet"), "sft": ("sft_chat", "chats.parquet")}


@dataclass(frozen=True)
class Texts:
    """The texts to train on of a language: kind and text; they stand for ``factor`` times as much.

    A language of which nothing was looked at has another's texts.
    """

    language: str
    rows: "pl.DataFrame"
    factor: float = 1.0


def from_store(project: Project, steps: Sequence[Step], stage: StageName) -> Iterator[Texts]:
    """Yield the texts of each language's current documents or chats."""
    import polars as pl

    from cyrene_assets.corpus.chat_tables import decode_chats

    for step in steps:
        record = step.record
        assert record is not None
        folder = project.store.locate(record.key, record.digest).path
        table = pl.read_parquet(folder / TABLES[stage][1])
        table = decode_chats(table) if stage == "sft" else table
        yield Texts(step.key.partition or "", _to_train_on(table, stage))


def _to_train_on(table: "pl.DataFrame", stage: StageName) -> "pl.DataFrame":
    import polars as pl

    from cyrene_assets.corpus.chat_tables import chatml_texts

    train = table.filter(pl.col("split") == "train")
    if stage == "cpt":
        return train.select("kind", "text")
    texts = chatml_texts(train["messages"])
    return pl.DataFrame({"text": texts}).select(pl.lit("dialog").alias("kind"), "text")


def rehearsed(project: Project, scratch: Path) -> dict[StageName, list[Texts]]:
    """Make documents and chats of some languages' raw files, the smallest first.

    Raises:
        UserError: the corpus cannot be used.
    """
    import polars as pl

    from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus
    from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
    from cyrene_assets.corpus.sources.registry import read_listed

    sizes = language_bytes(project)
    chosen: list[str] = []
    for language in sorted(sizes, key=sizes.__getitem__):
        if not chosen or sum(sizes[one] for one in (*chosen, language)) <= LOOKED_AT:
            chosen.append(language)
    every = project.corpus
    original = every.original if every.original in chosen else None
    languages = {code: every.languages[code] for code in every.languages if code in chosen}
    corpus = every.model_copy(update={"languages": languages, "original": original})

    def rows(language: str) -> pl.DataFrame:
        return read_listed(project.corpus_folder, corpus, language)[0]

    (scratch / "parallel").mkdir()
    parallel = build_parallel_corpus(rows, corpus, scratch / "parallel")
    cpt, sft = {}, {}
    for language, units in parallel.each():
        cpt[language] = _to_train_on(cpt_documents(units, corpus, language), "cpt")
        sft[language] = _to_train_on(sft_chats(units, corpus, language), "sft")
    return {"cpt": _with_others(cpt, sizes), "sft": _with_others(sft, sizes)}


def _with_others(looked: Mapping[str, "pl.DataFrame"], sizes: Mapping[str, int]) -> list[Texts]:
    """Add the languages not looked at: the largest's texts, by the size of their files."""
    largest = max(looked, key=sizes.__getitem__)
    known = [Texts(language, rows) for language, rows in looked.items()]
    return known + [
        Texts(language, looked[largest], bytes_ / max(sizes[largest], 1))
        for language, bytes_ in sizes.items()
        if language not in looked
    ]
