"""The corpus engine stage by stage, all languages, in one process.

`python -m benchmarks._engine_stages CORPUS OUT AT_ONCE [TOKENIZER]` prints a JSON object: what each
stage cost, and how much there was of what. AT_ONCE languages are read, and rendered, at a time.
With a tokenizer, all documents and chats are counted too.
"""

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Lock

import polars as pl  # noqa: TID253  (loading it is not what is measured)

from benchmarks._measured import Cost, measured
from cyrene_assets.corpus.chat_tables import encode_chats, write_messages_jsonl
from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.lint.corpus_summary import summarize_corpus
from cyrene_assets.corpus.packing.token_counting import TokenCounter
from cyrene_assets.corpus.preparation.cleaning import clean_units
from cyrene_assets.corpus.preparation.language_profile import left_out_flags
from cyrene_assets.corpus.preparation.leakage import find_split_leakage
from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus, read_units
from cyrene_assets.corpus.preparation.thread_map import map_parallel
from cyrene_assets.corpus.rendering import rendering
from cyrene_assets.corpus.rendering.line_selection import UNIT_COLUMNS
from cyrene_assets.corpus.sources.registry import read_listed


class Engine:
    """Runs the stages over a corpus, each language's tables written and read again."""

    def __init__(self, folder: Path, out: Path, at_once: int) -> None:
        self.folder = folder
        self.out = out
        self.at_once = at_once
        self._lock = Lock()
        self.corpus = load_corpus(folder)
        self.costs: dict[str, Cost] = {}
        self.amounts = dict.fromkeys(("rows", "characters", "documents", "chats", "tokens"), 0)

    def stage(self, name: str, work: Callable[[], None]) -> None:
        """Run a stage and keep what it cost."""
        with measured() as cost:
            work()
        self.costs[name] = cost

    def each(self, work: Callable[[str], None]) -> Callable[[], None]:
        """Return what does the work for every language."""

        def all_languages() -> None:
            with ThreadPoolExecutor(self.at_once) as pool:
                list(pool.map(work, self.corpus.languages))

        return all_languages

    def _count(self, **amounts: int) -> None:
        with self._lock:
            for name, amount in amounts.items():
                self.amounts[name] += amount

    def read(self, language: str) -> None:
        """`raw_dialog`."""
        rows, _ = read_listed(self.folder, self.corpus, language)
        self._count(rows=len(rows), characters=int(rows["text"].str.len_chars().sum()))
        self._write(rows, "raw_dialog", language)

    def align(self) -> None:
        """`parallel_corpus`, with the overview and the proof of the split that go with it."""
        folder = self.out / "parallel_corpus"
        folder.mkdir()
        parallel = build_parallel_corpus(
            lambda key: self._table("raw_dialog", key), self.corpus, folder
        )
        summarize_corpus(parallel)
        proof = find_split_leakage(
            parallel.languages,
            parallel.units,
            parallel.duplicates,
            parallel.stock,
        )
        if found := proof.messages():
            raise SystemExit(f"the split leaks: {found}")

    def documents(self, language: str) -> None:
        """`cpt_documents`."""
        units = read_units(self.out / "parallel_corpus", language, UNIT_COLUMNS)
        documents = rendering.cpt_documents(units, self.corpus, language)
        self._count(documents=len(documents))
        self._write(documents, "cpt_documents", language)

    def chats(self, language: str) -> None:
        """`sft_chat`."""
        units = read_units(self.out / "parallel_corpus", language, UNIT_COLUMNS)
        chats = rendering.sft_chats(units, self.corpus, language)
        self._count(chats=len(chats))
        self._write(encode_chats(chats), "sft_chat", language)

    def count(self, tokenizer_json: Path) -> None:
        """Count the tokens of all documents and chats, as the packed sets do."""
        counter = TokenCounter(tokenizer_json)
        for language in self.corpus.languages:
            for asset, column in (("cpt_documents", "text"), ("sft_chat", "messages")):
                counts = counter.count(self._table(asset, language)[column])
                self.amounts["tokens"] += int(counts.sum())

    def render_alone(self, language: str) -> None:
        """Do what a builder without alignment does: read, clean, render and write."""
        rows, _ = read_listed(self.folder, self.corpus, language)
        player = self.corpus.languages[language].player
        cleaned = clean_units(rows, player, self.corpus.rules())
        units = cleaned.with_columns(split=pl.lit("train"), flags=left_out_flags(cleaned))
        documents = rendering.cpt_documents(units, self.corpus, language)
        documents = documents.with_columns(rendering.document_messages())
        self._write_jsonl(documents, "alone", language)
        chats = rendering.sft_chats(units, self.corpus, language)
        self._write_jsonl(chats, "alone_chats", language)

    def render_all_alone(self) -> None:
        """`render_alone` of all languages, two side by side as `parallel_corpus` has them."""
        map_parallel(self.render_alone, self.corpus.languages)

    def _table(self, asset: str, language: str) -> pl.DataFrame:
        return pl.read_parquet(self.out / asset / f"{language}.parquet")

    def _write(self, table: pl.DataFrame, asset: str, language: str) -> None:
        folder = self.out / asset
        folder.mkdir(exist_ok=True)
        table.write_parquet(folder / f"{language}.parquet", compression="zstd", statistics=False)

    def _write_jsonl(self, table: pl.DataFrame, asset: str, language: str) -> None:
        folder = self.out / asset
        folder.mkdir(exist_ok=True)
        for split in ("train", "validation"):
            rows = table.filter(pl.col("split") == split)
            write_messages_jsonl(rows["messages"], folder / f"{language}-{split}.jsonl")


def main() -> None:
    corpus, out, at_once, *tokenizer = sys.argv[1:]
    engine = Engine(Path(corpus), Path(out), int(at_once))
    engine.stage("raw_dialog", engine.each(engine.read))
    engine.stage("parallel_corpus", engine.align)
    engine.stage("cpt_documents", engine.each(engine.documents))
    engine.stage("sft_chat", engine.each(engine.chats))
    for path in tokenizer:
        engine.stage("counting", partial(engine.count, Path(path)))
    engine.stage("rendering alone", engine.render_all_alone)
    costs = {name: asdict(cost) for name, cost in engine.costs.items()}
    print(json.dumps({"costs": costs, "amounts": engine.amounts}))


if __name__ == "__main__":
    main()
