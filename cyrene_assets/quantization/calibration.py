"""What a quantized model is calibrated on, prompted with, and compared with its origin by."""

import polars as pl

from cyrene_assets.evaluation.inputs.prompts import select_prompts, stable_hash
from cyrene_assets.utils.chat import Message

# Lines per language that fidelity is measured on: some two thousand tokens.
_LINES = 32


def calibration_chats(chats: pl.DataFrame, conversations: int) -> pl.Series:
    """Choose the messages of ``conversations`` of the character's own chats to train on.

    Languages take turns, each in an order without meaning, until there are enough.

    Args:
        chats: columns ``chat``, ``split``, ``language`` and ``messages``.
        conversations: how many; all where there are fewer.
    """
    return (
        chats.filter(pl.col("split") == "train")
        .with_columns(order=pl.col("chat").map_elements(stable_hash, pl.String))
        .sort("language", "order")
        .with_columns(turn=pl.int_range(pl.len()).over("language"))
        .sort("turn", "language")
        .head(conversations)["messages"]
    )


def select_fidelity_lines(chats: pl.DataFrame, prompts_per_language: int) -> pl.DataFrame:
    """Choose the held-out lines that both models read; the columns are those of the prompts."""
    return select_prompts(chats, min(prompts_per_language, _LINES))


def probe_questions(chats: pl.DataFrame, prompts: pl.DataFrame) -> dict[str, list[Message]]:
    """Return a conversation of each language that ends with something said to the character.

    A held-out one where there is one, else the beginning of a chat to train on; a language without
    any chat is left out.
    """
    held_out, any_chat = (
        dict(
            table.select("language", "messages")
            .unique("language", keep="first", maintain_order=True)
            .rows()
        )
        for table in (prompts, chats)
    )
    openings = {language: messages[:2] for language, messages in any_chat.items()}
    return held_out | {key: openings[key] for key in openings if key not in held_out}
