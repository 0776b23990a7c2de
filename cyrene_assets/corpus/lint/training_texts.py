"""The documents and chats of a language: written, and what their pages and checks say."""

from pathlib import Path
from typing import Any

import polars as pl

from cyrene_assets.corpus.chat_tables import CHATS_FILE, encode_chats, spoken_texts
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.lint import plots
from cyrene_assets.corpus.lint.outcomes import table
from cyrene_assets.corpus.preparation.cleaning import has_control_tokens
from cyrene_assets.corpus.rendering import rendering
from cyrene_assets.corpus.rendering.line_selection import IN_CHATS, count_character_lines
from cyrene_assets.store.outcome import BuildResult, CheckOutcome, Markdown, Picture, none_of
from cyrene_assets.store.tables import write_table
from cyrene_assets.utils.counting import counted

_NOTHING_TO_TRAIN_ON = (
    "no document is left to train on: give the language more scenes or documents, or set another "
    "`split.seed` in corpus.yaml (`cyrene corpus check` says more)"
)
_NO_CHATS = (
    "no chat is left to train on: name the character's `speakers` in corpus.yaml as the dialog "
    "does, and have somebody speak before the character (`cyrene corpus check` says more)"
)


def write_documents(units: pl.DataFrame, corpus: Corpus, language: str, out: Path) -> BuildResult:
    """Render the documents of a language into ``out``; return what is said of them."""
    documents = rendering.cpt_documents(units, corpus, language)
    shown = write_table(documents, out, "documents.parquet")
    train = len(documents.filter(split="train"))
    return BuildResult(
        f"{counted(train, 'document')} to train on, {len(documents) - train:,} held out",
        metadata={
            **shown,
            "characters": int(documents["characters"].sum()),
            "kinds": table(_by_kind(documents)),
            "lengths": Picture(
                plots.length_histogram_png(documents["characters"].to_list(), unit="characters")
            ),
            "preview": Markdown(
                plots.document_preview(documents["text"][0]) if train else "(none)"
            ),
        },
        checks=[
            CheckOutcome(
                "has_training_documents",
                train > 0,
                counted(train, "training document") if train else _NOTHING_TO_TRAIN_ON,
            ),
            _no_control_tokens(documents["document"], documents["text"]),
        ],
    )


def write_chats(units: pl.DataFrame, corpus: Corpus, language: str, out: Path) -> BuildResult:
    """Render the chats of a language into ``out``; return what is said of them."""
    chats = rendering.sft_chats(units, corpus, language)
    shown = write_table(encode_chats(chats), out, CHATS_FILE)
    train = len(chats.filter(split="train"))
    lines = count_character_lines(units, corpus.chats)
    total, in_chats = sum(lines.values()), lines.get(IN_CHATS, 0)
    return BuildResult(
        f"{counted(train, 'chat')} to train on, {len(chats) - train:,} held out; "
        f"{in_chats:,} of the character's {counted(total, 'line')} "
        f"({in_chats / max(total, 1):.1%}) in them",
        metadata={
            **shown,
            "character_lines": total,
            "lines_in_chats": in_chats,
            "what becomes of the character's lines": table(
                [{"lines": number, "they are": words} for words, number in lines.items()]
            ),
            "turns": int(chats["turns"].sum()),
            "turns of a chat": Picture(
                plots.length_histogram_png(chats["turns"].to_list(), what="chats", unit="turns")
            ),
            "system prompt": corpus.language(language).system_prompt,
            "preview": Markdown(_chat_preview(chats)),
        },
        checks=[
            CheckOutcome(
                "has_training_chats",
                train > 0,
                counted(train, "training chat") if train else _NO_CHATS,
            ),
            _no_control_tokens(chats["chat"], spoken_texts(chats["messages"], system_prompt=True)),
        ],
    )


def _no_control_tokens(names: pl.Series, texts: pl.Series) -> CheckOutcome:
    left = names.filter(has_control_tokens(texts)).to_list()
    return none_of(
        "no_control_tokens",
        left,
        "text with control tokens",
        "texts with control tokens",
        remedy="remove them from these texts of the corpus, then build again",
    )


def _by_kind(documents: pl.DataFrame) -> list[dict[str, Any]]:
    return (
        documents.group_by("kind", "split")
        .agg(pl.len().alias("documents"), pl.col("characters").sum())
        .sort("kind", "split")
        .to_dicts()
    )


def _chat_preview(chats: pl.DataFrame) -> str:
    if chats.is_empty():
        return "(none)"
    turns = chats["messages"][0].to_list()[1:]
    return plots.document_preview("\n".join(f"{m['role']}: {m['content']}" for m in turns))
