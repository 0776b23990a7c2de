"""What models learn from: the documents of continual pretraining, and the chats of fine-tuning."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.artifact_asset import artifact_asset
from cyrene_assets.artifact_build import Build
from cyrene_assets.artifact_spec import Check, CheckOutcome, Outcome
from cyrene_assets.defs._shared import none_of, picture, table, write_table
from cyrene_assets.partitions import languages

if TYPE_CHECKING:
    import polars as pl

GROUP = "corpus"
_NOTHING_TO_TRAIN_ON = (
    "no document is left to train on: give the language more scenes or documents, or set another "
    "`split.seed` in corpus.yaml (`cyrene corpus check` says more)"
)
_NO_CHATS = (
    "no chat is left to train on: name the character's `speakers` in corpus.yaml as the dialog "
    "does, and have somebody speak before the character (`cyrene corpus check` says more)"
)
NO_CONTROL_TOKENS = Check(
    "no_control_tokens",
    "Nothing in the text is more than text to the tokenizer or the chat template.",
    blocking=True,
)


def _no_control_tokens(names: "pl.Series", texts: "pl.Series") -> CheckOutcome:
    from cyrene_assets.corpus.clean import control_tokens_left

    left = names.filter(control_tokens_left(texts)).to_list()
    return none_of(
        "no_control_tokens",
        left,
        "texts with control tokens",
        remedy="remove them from these texts of the corpus, then build again",
    )


def _by_kind(documents: "pl.DataFrame") -> list[dict[str, Any]]:
    import polars as pl

    return (
        documents.group_by("kind", "split")
        .agg(pl.len().alias("documents"), pl.col("characters").sum())
        .sort("kind", "split")
        .to_dicts()
    )


def _units_of(build: Build) -> "pl.DataFrame":
    from cyrene_assets.corpus.align import read_units
    from cyrene_assets.corpus.lines import COLUMNS

    return read_units(build.input("parallel_corpus").path, build.key, COLUMNS)


def _write_splits(
    rows: "pl.DataFrame", write: "Callable[[pl.DataFrame, Path], None]", folder: Path
) -> int:
    """Write training and validation as JSON Lines; return how many rows there are to train on."""
    train, held_out = (rows.filter(rows["split"] == split) for split in ("train", "validation"))
    write(train, folder / "train.jsonl")
    write(held_out, folder / "validation.jsonl")
    return len(train)


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "jsonl"},
    code_version="2",
    partitions_def=languages,
    deps=["parallel_corpus"],
    params=lambda project, language: project.corpus.document_params(language or ""),
    checks=[
        Check("has_training_documents", "There is something to train on.", blocking=True),
        NO_CONTROL_TOKENS,
    ],
)
def cpt_documents(build: Build) -> Outcome:
    """Continual-pretraining documents of one language, rendered and cleaned.

    `train.jsonl` and `validation.jsonl` are in ms-swift's standard format, `documents.parquet` is
    the same with scene, kind and split. Token limits come later, in `packed_cpt`.
    """
    from cyrene_assets.corpus import render, stats
    from cyrene_assets.corpus.findings import counted

    documents = render.cpt_documents(_units_of(build), build.project.corpus, build.key)
    shown = write_table(documents, build.out, "documents.parquet")
    train = _write_splits(documents, render.write_document_jsonl, build.out)
    return Outcome(
        f"{counted(train, 'document')} to train on, {len(documents) - train:,} held out",
        metadata={
            **shown,
            "characters": int(documents["characters"].sum()),
            "kinds": table(_by_kind(documents)),
            "lengths": picture(
                stats.length_histogram_png(documents["characters"].to_list(), unit="characters")
            ),
            "preview": dg.MetadataValue.md(
                stats.document_preview(documents["text"][0]) if train else "(none)"
            ),
        },
        checks=[
            CheckOutcome(
                "has_training_documents",
                train > 0,
                f"{train} training documents" if train else _NOTHING_TO_TRAIN_ON,
            ),
            _no_control_tokens(documents["document"], documents["text"]),
        ],
    )


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "jsonl"},
    code_version="2",
    partitions_def=languages,
    deps=["parallel_corpus"],
    params=lambda project, language: project.corpus.chat_params(language or ""),
    checks=[
        Check("has_training_chats", "The character is spoken to in the training split."),
        NO_CONTROL_TOKENS,
    ],
)
def sft_chat(build: Build) -> Outcome:
    """Chat conversations with the character in one language.

    `train.jsonl` and `validation.jsonl` are in ms-swift's standard format (system, user,
    assistant); `chats.parquet` is the same with scene, split and turns. The system prompt is the
    corpus's, byte for byte, and the one that serving sends.
    """
    from cyrene_assets.corpus import render, stats
    from cyrene_assets.corpus.findings import counted
    from cyrene_assets.corpus.lines import IN_CHATS, count_character_lines

    units = _units_of(build)
    chats = render.sft_chats(units, build.project.corpus, build.key)
    shown = write_table(chats, build.out, "chats.parquet")
    train = _write_splits(chats, render.write_chat_jsonl, build.out)
    lines = count_character_lines(units, build.project.corpus.chats)
    total, in_chats = sum(lines.values()), lines.get(IN_CHATS, 0)
    return Outcome(
        f"{counted(train, 'chat')} to train on, {len(chats) - train:,} held out; "
        f"{in_chats:,} of the character's {total:,} lines ({in_chats / max(total, 1):.1%}) in them",
        metadata={
            **shown,
            "character_lines": total,
            "lines_in_chats": in_chats,
            "what becomes of the character's lines": table(
                [{"lines": number, "they are": words} for words, number in lines.items()]
            ),
            "turns": int(chats["turns"].sum()),
            "turns of a chat": picture(
                stats.length_histogram_png(chats["turns"].to_list(), what="chats", unit="turns")
            ),
            "system prompt": build.params["system_prompt"],
            "preview": dg.MetadataValue.md(_chat_preview(chats)),
        },
        checks=[
            CheckOutcome(
                "has_training_chats",
                train > 0,
                f"{train} training chats" if train else _NO_CHATS,
            ),
            _no_control_tokens(chats["chat"], chats["messages"]),
        ],
    )


def _chat_preview(chats: "pl.DataFrame") -> str:
    from cyrene_assets.corpus import stats

    if chats.is_empty():
        return "(none)"
    said = json.loads(chats["messages"][0])[1:]
    return stats.document_preview("\n".join(f"{m['role']}: {m['content']}" for m in said))
