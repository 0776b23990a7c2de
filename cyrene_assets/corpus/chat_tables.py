"""Chats in tables: lists of structs in memory, JSON in files.

A column ``messages`` has the messages of a chat in order, the system prompt first. Files have it as
JSON, byte for byte as ``json.dumps(..., ensure_ascii=False)`` writes it; ``decode_chats`` follows
reading them, and ``encode_chats`` comes before writing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import polars as pl

from cyrene_assets.corpus.text import WHITESPACE
from cyrene_assets.store.artifact_store import Artifact
from cyrene_assets.store.tables import TablesByLanguage
from cyrene_assets.utils.chat import Message

MESSAGES: pl.DataType = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
# Chats as `rendering.sft_chats` makes them; the file has ``messages`` as JSON.
CHATS = pl.Schema(
    {
        "chat": pl.String(),
        "scene": pl.String(),
        "speaker": pl.String(),
        "split": pl.String(),
        "turns": pl.Int32(),
        "messages": MESSAGES,
    }
)
CHATS_FILE = "chats.parquet"
ROWS_WRITTEN_AT_ONCE = 4096
_ROLE, _CONTENT = (pl.element().struct.field(name) for name in ("role", "content"))


def decode_chats(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a table that was read from a file, with structs in ``messages`` in place of JSON."""
    return rows.with_columns(pl.col("messages").str.json_decode(MESSAGES))


def encode_chats(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a table as files have it, with JSON in ``messages``."""
    return rows.with_columns(messages_json(rows["messages"]))


def read_chats(artifacts: Mapping[str, Artifact]) -> TablesByLanguage:
    """Return the chats (``CHATS``) of each language's ``sft_chat``, read when they are used."""
    return TablesByLanguage(artifacts, CHATS_FILE).map(decode_chats)


def messages_series(chats: Sequence[Sequence[Message]]) -> pl.Series:
    """Return chats as a column of a table."""
    return pl.Series("messages", chats, dtype=MESSAGES)


def messages_json(messages: pl.Series) -> pl.Series:
    """Return each chat's messages as JSON."""
    content = pl.struct(_CONTENT.alias("")).struct.json_encode()
    content = content.str.strip_prefix('{"":').str.strip_suffix("}")
    parts = pl.lit('{"role": "'), _ROLE, pl.lit('", "content": '), content, pl.lit("}")
    of_chat = messages.list.eval(pl.concat_str(*parts)).list.join(", ")
    return pl.select(pl.concat_str(pl.lit("["), of_chat, pl.lit("]")).alias(messages.name))[
        messages.name
    ]


def write_messages_jsonl(messages: pl.Series, path: Path) -> None:
    """Write chats as lines of ms-swift's standard format."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        append_messages_jsonl(messages, file)


def append_messages_jsonl(messages: pl.Series, file: TextIO) -> None:
    """Write chats to an open file, which does not change line feeds, as more lines of that format.

    Cost: some thousand rows are in memory as JSON at a time.
    """
    line = pl.concat_str(pl.lit('{"messages": '), "messages", pl.lit("}\n"))
    for start in range(0, len(messages), ROWS_WRITTEN_AT_ONCE):
        part = messages_json(messages.slice(start, ROWS_WRITTEN_AT_ONCE)).to_frame("messages")
        file.write(part.select(line.str.join("")).item())


def chatml_texts(messages: pl.Series) -> pl.Series:
    r"""Return the text that each chat is trained on.

    That is ``<|im_start|>role\ncontent<|im_end|>\n`` per message, as ms-swift's `qwen3_5` template
    has it with the arguments of `cyrene_assets.training.swift_args.StageCommand`, and as the
    served one (`cyrene_assets.serving.chat_template.trained_template`) has it: what stands before
    an answer is its prompt. Contents lose outer white space, and an empty system prompt is left
    out.
    """
    content = _CONTENT.str.strip_chars(WHITESPACE)
    parts = pl.lit("<|im_start|>"), _ROLE, pl.lit("\n"), content, pl.lit("<|im_end|>\n")
    left_out = (_ROLE == "system") & (content == "")
    text = pl.when(left_out).then(pl.lit("")).otherwise(pl.concat_str(*parts))
    return messages.list.eval(text).list.join("")


def chatml_text(messages: Sequence[Message]) -> str:
    """Return the text that one chat is trained on, see ``chatml_texts``."""
    text: str = chatml_texts(messages_series([messages])).item()
    return text


def spoken_texts(messages: pl.Series, *, system_prompt: bool = False) -> pl.Series:
    """Return what is said in each chat, a message after the other, without the system prompt."""
    return messages.list.slice(0 if system_prompt else 1).list.eval(_CONTENT).list.join("\n")


def last_contents(messages: pl.Series) -> pl.Series:
    """Return what is said last in each chat."""
    return messages.list.last().struct.field("content")
