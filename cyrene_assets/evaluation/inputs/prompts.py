"""Evaluation prompts: beginnings of held-out conversations, with the character's real next line.

The choice depends on scene ids and turns alone, so every model and, if scenes are translated, every
language is prompted at the same places of the story.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from cyrene_assets.corpus.chat_tables import MESSAGES
from cyrene_assets.utils.chat import Message
from cyrene_assets.utils.files import write_jsonl

SCHEMA = pl.Schema(
    {
        "prompt": pl.String(),
        "language": pl.String(),
        "scene": pl.String(),
        "messages": MESSAGES,
        "reference": pl.String(),
    }
)


def select_prompts(chats: pl.DataFrame, prompts_per_language: int) -> pl.DataFrame:
    """Choose at most ``prompts_per_language`` prompts per language from the held-out chats.

    Every turn of the character in a chat of the validation split is a candidate: the prompt is
    the conversation up to and including the user turn before it, the reference is the real turn.
    They are taken from the scenes in turn, in the order of a hash.

    Args:
        chats: columns ``chat``, ``scene``, ``split``, ``language`` and ``messages``
            (system, user, assistant, user, ...). Other columns are ignored.
        prompts_per_language: an upper limit.

    Returns:
        `SCHEMA`, ``prompt`` as ``<language>/<chat>/<turn>`` (turns of the character counted from
        1), sorted by language and within it in the order of
        choice.
    """
    held_out = chats.filter(pl.col("split") == "validation")
    candidates = [row for chat in held_out.iter_rows(named=True) for row in _candidates(chat)]
    if not candidates:
        return SCHEMA.to_frame()
    return (
        pl.DataFrame(candidates, orient="row", schema_overrides={"messages": MESSAGES})
        .sort("language", "scene", "turn_order", "prompt")
        .with_columns(round=pl.int_range(pl.len()).over("language", "scene"))
        .sort("language", "round", "scene_order", "scene")
        .group_by("language", maintain_order=True)
        .head(prompts_per_language)
        .select(SCHEMA.names())
    )


_SYSTEM_PROMPT = pl.col("messages").list.first().struct.field("content")


def of_character(chats: pl.DataFrame, system_prompts: Mapping[str, str]) -> pl.DataFrame:
    """Return the chats in which the character is the assistant: those with its system prompt.

    Args:
        chats: columns ``language`` and ``messages``. Others are kept.
        system_prompts: the character's, by language.
    """
    prompt = pl.col("language").replace_strict(
        dict(system_prompts), default=None, return_dtype=pl.String
    )
    return chats.filter(prompt == _SYSTEM_PROMPT)


def has_other_assistants(chats: pl.DataFrame) -> bool:
    """Return whether a language's chats have more than one system prompt: `chats: everyone`."""
    return (
        not chats.group_by("language")
        .agg(several=_SYSTEM_PROMPT.n_unique() > 1)
        .filter("several")
        .is_empty()
    )


def missing_languages(prompts: pl.DataFrame, languages: Iterable[str]) -> list[str]:
    """Return those of ``languages`` that have no prompt: they have no held-out conversation."""
    prompted = set(prompts["language"].to_list())
    return [language for language in languages if language not in prompted]


def write_prompts(prompts: pl.DataFrame, path: Path) -> None:
    """Write prompts as JSON Lines, ``messages`` as a list of ``{"role", "content"}``."""
    write_jsonl(path, prompts.iter_rows(named=True))


def _candidates(chat: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    messages: list[Message] = chat["messages"]
    turn = 0
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        turn += 1
        before = messages[index - 1] if index else None
        from_user = before is not None and before["role"] == "user" and before["content"].strip()
        if from_user and message["content"].strip():
            yield {
                "prompt": f"{chat['language']}/{chat['chat']}/{turn}",
                "language": chat["language"],
                "scene": chat["scene"],
                "messages": messages[:index],
                "reference": message["content"],
                "scene_order": stable_hash(chat["scene"]),
                "turn_order": stable_hash(chat["scene"], chat["chat"], str(turn)),
            }


def stable_hash(*parts: str) -> str:
    """Return a hash to sort by, the same in every run and language."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
