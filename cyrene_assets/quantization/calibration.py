"""What a quantized model is calibrated on, prompted with, and compared with its origin by."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from cyrene_assets.evaluation.inputs.prompts import select_prompts, stable_hash

# Lines per language that fidelity is measured on: some two thousand tokens.
_LINES = 32


def calibration_chats(chats: pl.DataFrame, conversations: int) -> list[str]:
    """Choose ``conversations`` of the character's own chats to train on, as JSON Lines.

    Languages take turns, each in an order without meaning, until there are enough.

    Args:
        chats: columns ``chat``, ``split``, ``language`` and ``messages`` (a JSON string).
        conversations: how many; all where there are fewer.
    """
    chosen = (
        chats.filter(pl.col("split") == "train")
        .with_columns(order=pl.col("chat").map_elements(stable_hash, pl.String))
        .sort("language", "order")
        .with_columns(turn=pl.int_range(pl.len()).over("language"))
        .sort("turn", "language")
        .head(conversations)
    )
    return [f'{{"messages": {messages}}}\n' for messages in chosen["messages"]]


def select_fidelity_lines(chats: pl.DataFrame, prompts_per_language: int) -> pl.DataFrame:
    """Choose the held-out lines that both models read; the columns are those of the prompts."""
    return select_prompts(chats, min(prompts_per_language, _LINES))


def probe_questions(chats: pl.DataFrame, prompts: pl.DataFrame) -> dict[str, list[dict[str, str]]]:
    """Return a conversation of each language that ends with something said to the character.

    A held-out one where there is one, else the beginning of a chat to train on; a language without
    any chat is left out.
    """
    found = {
        row["language"]: json.loads(row["messages"])
        for row in prompts.unique("language", keep="first", maintain_order=True).to_dicts()
    }
    for row in chats.unique("language", keep="first", maintain_order=True).to_dicts():
        found.setdefault(row["language"], json.loads(row["messages"])[:2])
    return found


def write_lines(lines: Sequence[str], path: Path) -> Path:
    """Write lines that end in line breaks; return the file."""
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return path
