r"""Rendering: documents for continual pretraining, and chats with the character for SFT.

Left out of both are dialog lines that are empty, that have an unknown placeholder, or that repeat
an earlier scene; of documents, the lines or the title that have an unknown placeholder.
Untranslated copies stay: a copy is a flaw of the translation, not of the scene it stands in.

What is written is JSON as ``json.dumps(..., ensure_ascii=False)`` makes it, byte for byte.
"""

import re
from pathlib import Path

import polars as pl

from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.rendering.line_selection import conversation_lines, document_lines

CONTEXT_LINES = 10
DOCUMENT_SCHEMA = pl.Schema(
    {
        "document": pl.String,
        "scene": pl.String,
        "kind": pl.String,
        "split": pl.String,
        "text": pl.String,
        "characters": pl.Int32,
    }
)
CHAT_SCHEMA = pl.Schema(
    {
        "chat": pl.String,
        "scene": pl.String,
        "speaker": pl.String,
        "split": pl.String,
        "turns": pl.Int32,
        "messages": pl.String,
    }
)
# Parentheses within parentheses are counted to this depth.
NESTING = 8
ROWS_WRITTEN_AT_ONCE = 4096


def cpt_documents(units: pl.DataFrame, corpus: Corpus, language: str) -> pl.DataFrame:
    """Render one language's units into documents (``DOCUMENT_SCHEMA``), in the order of the units.

    A scene, or the voice lines of somebody, becomes a document of lines ``name: text`` (with the
    language's colon), narration without a name; another document becomes its title and its
    lines. ``characters`` counts the text's.

    Raises:
        UserError: the corpus lists no such language.
    """
    written = corpus.language(language).traits(language)
    return (
        document_lines(units, written.colon)
        .group_by("scene", maintain_order=True)
        .agg(pl.col("row", "kind", "split").first(), pl.col("text").str.join("\n"))
        .sort("row")
        .with_columns(
            pl.col("scene").alias("document"), pl.col("text").str.len_chars().alias("characters")
        )
        .select(DOCUMENT_SCHEMA.names())
        .cast(DOCUMENT_SCHEMA)
    )


def sft_chats(units: pl.DataFrame, corpus: Corpus, language: str) -> pl.DataFrame:
    """Render one language's units into chats (``CHAT_SCHEMA``), one per scene and assistant.

    That is each name of the character; with ``chats: everyone`` each speaker in turn, under a
    system prompt of their own. Each of the assistant's voice lines (rows of other kinds that have a
    speaker) is a chat of its own, with what stands before it.

    ``messages`` is a JSON list: the system prompt byte for byte, then user and assistant in turn;
    ``turns`` counts the pairs. Her consecutive lines are an assistant turn, a line each; the lines
    in between (the last 10) the user turn. A line of anybody but the player and her is in
    parentheses there (the language's), narration too, after losing its own. Where she has several
    names in a scene, a line under another of them belongs to the user turn.

    A chat starts at the first user turn and ends with her last line; a scene in which nobody speaks
    before she does gives none. For scenes in which only her own names speak see ``Chats``.

    Raises:
        UserError: the corpus lists no such language.
    """
    people = corpus.language(language)
    opening, closing = tuple(people.traits(language).parentheses)
    role = pl.col("role")
    text = _without_parentheses(pl.col("text"), opening, closing)
    herself = (role == "character") & pl.col("own")
    in_parentheses = ~pl.col("hers") & (role != "player") & ~herself
    turns = (
        conversation_lines(units, corpus.chats)
        .with_columns(
            pl.when(in_parentheses).then(opening + text + closing).otherwise(text).alias("text"),
            turn=pl.struct("number", "hers").rle_id(),
        )
        .filter(pl.col("hers") | (pl.int_range(pl.len(), 0, -1).over("turn") <= CONTEXT_LINES))
        .group_by("turn", maintain_order=True)
        .agg(
            pl.col("number", "chat", "scene", "name", "own", "split", "hers").first(),
            pl.col("text").str.join("\n"),
        )
    )
    user_or_her = pl.when("hers").then(pl.lit("assistant")).otherwise(pl.lit("user"))
    names = turns.filter(~pl.col("own"))["name"].unique().to_list()
    prompts = {name: corpus.chats.prompt_of(name, language) for name in names}
    system = (
        pl.when("own")
        .then(pl.lit(people.system_prompt))
        .otherwise(pl.col("speaker").replace_strict(prompts, default=None, return_dtype=pl.String))
    )
    head = pl.lit("["), _message(pl.lit("system"), system), pl.lit(", ")
    return (
        turns.with_columns(messages=_message(user_or_her, pl.col("text")))
        .group_by("number", maintain_order=True)
        .agg(
            pl.concat_str(pl.col("chat").first(), pl.lit("/"), pl.col("name").first()),
            pl.col("scene", "split").first(),
            pl.col("name").first().alias("speaker"),
            pl.col("own").first(),
            (pl.len() // 2).alias("turns"),
            pl.col("messages").str.join(", "),
        )
        .with_columns(messages=pl.concat_str(*head, "messages", pl.lit("]")))
        .select(CHAT_SCHEMA.names())
        .cast(CHAT_SCHEMA)
    )


def document_messages() -> pl.Expr:
    """Return ms-swift's messages of a pretraining document, as JSON, from its ``text``."""
    message = _message(pl.lit("assistant"), pl.col("text"))
    return pl.concat_str(pl.lit("["), message, pl.lit("]")).alias("messages")


def write_document_jsonl(documents: pl.DataFrame, path: Path) -> None:
    """Write the ``text`` of each row as a line of ms-swift's standard CPT format."""
    _write_jsonl(documents.select("text"), document_messages(), path)


def write_chat_jsonl(chats: pl.DataFrame, path: Path) -> None:
    """Write the ``messages`` (JSON) of each row as a line of ms-swift's standard format."""
    write_messages_jsonl(chats["messages"], path)


def write_messages_jsonl(messages: pl.Series, path: Path) -> None:
    """Write lists of messages, each already JSON, as JSON Lines."""
    _write_jsonl(messages.to_frame("messages"), pl.col("messages"), path)


def _write_jsonl(rows: pl.DataFrame, messages: pl.Expr, path: Path) -> None:
    line = pl.concat_str(pl.lit('{"messages": '), messages, pl.lit("}\n"))
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for part in rows.iter_slices(ROWS_WRITTEN_AT_ONCE):
            file.write(part.select(line.str.join("")).item())


def _message(role: pl.Expr, text: pl.Expr) -> pl.Expr:
    return pl.concat_str(
        pl.lit('{"role": "'), role, pl.lit('", "content": '), _json_string(text), pl.lit("}")
    )


def _json_string(text: pl.Expr) -> pl.Expr:
    encoded = pl.struct(text.alias("")).struct.json_encode()
    return encoded.str.strip_prefix('{"":').str.strip_suffix("}")


def _without_parentheses(text: pl.Expr, opening: str, closing: str) -> pl.Expr:
    """Return texts without the parentheses around all of the text, if there are.

    Those around all of it close only at the end; around nothing they stay. A text with parentheses
    ``NESTING`` deep within them keeps all.
    """
    start, end = re.escape(opening), re.escape(closing)
    others = f"[^{start}{end}]"
    inside = f"{others}*"
    for _ in range(NESTING):
        inside = f"(?:{others}|{start}{inside}{end})*"
    inner = text.str.extract(f"^{start}({inside}){end}$").str.strip_chars()
    return pl.when(inner != "").then(inner).otherwise(text)
