r"""Rendering: documents for continual pretraining, and chats with the character for SFT.

Left out of both are dialog lines that are empty, that have an unknown placeholder, or that repeat
an earlier scene; of documents, the lines or the title that have an unknown placeholder.
Untranslated copies stay: a copy is a flaw of the translation, not of the scene it stands in.
"""

import re

import polars as pl

from cyrene_assets.corpus.chat_tables import CHATS
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.rendering.line_selection import conversation_lines, document_lines

CONTEXT_LINES = 10
DOCUMENTS = pl.Schema(
    {
        "document": pl.String,
        "scene": pl.String,
        "kind": pl.String,
        "split": pl.String,
        "text": pl.String,
        "characters": pl.Int32,
    }
)
# Parentheses within parentheses are counted to this depth.
NESTING = 8


def cpt_documents(units: pl.DataFrame, corpus: Corpus, language: str) -> pl.DataFrame:
    """Render one language's units into documents (``DOCUMENTS``), in the order of the units.

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
        .select(DOCUMENTS.names())
        .cast(DOCUMENTS)
    )


def sft_chats(units: pl.DataFrame, corpus: Corpus, language: str) -> pl.DataFrame:
    """Render one language's units into chats (``CHATS``), one per scene and assistant.

    That is each name of the character; with ``chats: everyone`` each speaker in turn, under a
    system prompt of their own. Each of the assistant's voice lines (rows of other kinds that have a
    speaker) is a chat of its own, with what stands before it.

    ``messages`` are the system prompt byte for byte, then user and assistant in turn; ``turns``
    counts the pairs. The assistant's consecutive lines are one turn, a line each; the lines in
    between (the last 10) the user turn. A line of anybody but the player and the character is in
    parentheses there (the language's), narration too, after losing its own. Where the character has
    several names in a scene, a line under another of them belongs to the user turn.

    A chat starts at the first user turn and ends with the assistant's last line; a scene in which
    nobody speaks before the assistant does gives none. For scenes in which only the character's own
    names speak see ``Chats``.

    Raises:
        UserError: the corpus lists no such language.
    """
    people = corpus.language(language)
    opening, closing = tuple(people.traits(language).parentheses)
    role = pl.col("role")
    text = _without_parentheses(pl.col("text"), opening, closing)
    by_character = (role == "character") & pl.col("is_character")
    in_parentheses = ~pl.col("by_assistant") & (role != "player") & ~by_character
    turns = (
        conversation_lines(units, corpus.chats)
        .with_columns(
            pl.when(in_parentheses).then(opening + text + closing).otherwise(text).alias("text"),
            turn=pl.struct("number", "by_assistant").rle_id(),
        )
        .filter(
            pl.col("by_assistant") | (pl.int_range(pl.len(), 0, -1).over("turn") <= CONTEXT_LINES)
        )
        .group_by("turn", maintain_order=True)
        .agg(
            pl.col("number", "chat", "scene", "name", "is_character", "split").first(),
            pl.when(pl.col("by_assistant").first())
            .then(pl.lit("assistant"))
            .otherwise(pl.lit("user"))
            .alias("role"),
            pl.col("text").str.join("\n").alias("content"),
        )
    )
    names = turns.filter(~pl.col("is_character"))["name"].unique().to_list()
    prompts = {name: corpus.chats.prompt_of(name, language) for name in names}
    system_prompt = (
        pl.when("is_character")
        .then(pl.lit(people.system_prompt))
        .otherwise(pl.col("speaker").replace_strict(prompts, default=None, return_dtype=pl.String))
    )
    system = pl.struct(role=pl.lit("system"), content=system_prompt)
    return (
        turns.group_by("number", maintain_order=True)
        .agg(
            pl.concat_str(pl.col("chat").first(), pl.lit("/"), pl.col("name").first()),
            pl.col("scene", "split").first(),
            pl.col("name").first().alias("speaker"),
            pl.col("is_character").first(),
            (pl.len() // 2).alias("turns"),
            pl.struct("role", "content").alias("messages"),
        )
        .with_columns(messages=pl.concat_list(system, "messages"))
        .select(CHATS.names())
        .cast(CHATS)
    )


def document_messages() -> pl.Expr:
    """Return ms-swift's messages of a pretraining document, from its ``text``."""
    message = pl.struct(role=pl.lit("assistant"), content="text")
    return pl.concat_list(message).alias("messages")


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
