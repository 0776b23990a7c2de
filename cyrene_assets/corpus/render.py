"""Rendering: documents for continual pretraining, and chats with the character for SFT.

Left out of both are dialog lines that are empty, that have an unknown placeholder, or that repeat
an earlier scene; of documents, the lines or the title that have an unknown placeholder.
Untranslated copies stay: a copy is a flaw of the translation, not of the scene it stands in.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import polars as pl

from cyrene_assets.corpus.clean import PLAIN_KINDS, UNKNOWN_PLACEHOLDER
from cyrene_assets.corpus.config import Corpus

FULL_WIDTH_COLON = frozenset({"chs", "cht"})
FULL_WIDTH_PARENTHESES = frozenset({"chs", "cht"})
CONTEXT_LINES = 10
LEFT_OUT = ("duplicate", "unknown_placeholder", "empty")
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

Record = dict[str, Any]
Message = dict[str, str]


def cpt_documents(units: pl.DataFrame, corpus: Corpus, language: str) -> pl.DataFrame:
    """Render one language's units into documents (``DOCUMENT_SCHEMA``), in the order of the units.

    A scene, or the voice lines of somebody, becomes a document of lines ``name: text`` (full-width
    colon in chs, cht and jp), narration without a name; another document becomes its title and its
    lines. ``characters`` counts the text's.

    Raises:
        UserError: the corpus lists no such language.
    """
    corpus.language(language)
    colon = "\uff1a" if language in FULL_WIDTH_COLON else ": "
    documents = []
    for rows in _scenes(units):
        first = rows[0]
        if first["kind"] == "dialog" or first["speaker"]:
            lines = [
                f"{row['speaker']}{colon}{row['text']}" if row["speaker"] else row["text"]
                for row in _kept(rows)
            ]
        else:
            lines = _document_lines(first)
        if lines:
            text = "\n".join(lines)
            scene = first["scene"]
            documents.append((scene, scene, first["kind"], first["split"], text, len(text)))
    return pl.DataFrame(documents, schema=DOCUMENT_SCHEMA, orient="row")


def sft_chats(units: pl.DataFrame, corpus: Corpus, language: str) -> pl.DataFrame:
    """Render one language's units into chats (``CHAT_SCHEMA``): one per scene and name of hers.

    Each of her voice lines (rows of other kinds that have a speaker) is a chat of its own, with
    what stands before it.

    ``messages`` is a JSON list: the corpus's system prompt byte for byte, then user and assistant
    in turn; ``turns`` counts the pairs. Her consecutive lines are an assistant turn, a line each;
    the lines in between (the last 10) the user turn. A line of anybody but the player and her is
    in parentheses there, narration too (full-width ones in chs and cht), after losing its own.
    Where she has several names in a scene, a line under another of them belongs to the user turn.

    A chat starts at the first user turn and ends with her last line; a scene in which nobody speaks
    before she does gives none.

    Raises:
        UserError: the corpus lists no such language.
    """
    system = {"role": "system", "content": corpus.language(language).system_prompt}
    parentheses = ("\uff08", "\uff09") if language in FULL_WIDTH_PARENTHESES else ("(", ")")
    chats = []
    spoken = (pl.col("kind") == "dialog") | pl.col("speaker").is_not_null()
    hers = (pl.col("role") == "character").any().over("scene")
    for rows in _scenes(units.filter(spoken & hers)):
        for chat, kept in _conversations(rows):
            names = dict.fromkeys(row["speaker"] for row in kept if row["role"] == "character")
            for name in names:
                messages = _messages(kept, name, parentheses)
                if messages:
                    first = rows[0]
                    chats.append(
                        (
                            f"{chat}/{name}",
                            first["scene"],
                            name,
                            first["split"],
                            len(messages) // 2,
                            json.dumps([system, *messages], ensure_ascii=False),
                        )
                    )
    return pl.DataFrame(chats, schema=CHAT_SCHEMA, orient="row")


def document_messages(text: str) -> str:
    """Return ms-swift's messages of a pretraining document, as JSON."""
    return json.dumps([{"role": "assistant", "content": text}], ensure_ascii=False)


def write_document_jsonl(documents: pl.DataFrame, path: Path) -> None:
    """Write the ``text`` of each row as a line of ms-swift's standard CPT format."""
    write_messages_jsonl(map(document_messages, documents["text"]), path)


def write_chat_jsonl(chats: pl.DataFrame, path: Path) -> None:
    """Write the ``messages`` (JSON) of each row as a line of ms-swift's standard format."""
    write_messages_jsonl(chats["messages"], path)


def write_messages_jsonl(messages: Iterable[str], path: Path) -> None:
    """Write lists of messages, each already JSON, as JSON Lines."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f'{{"messages": {one}}}\n' for one in messages)


def _scenes(units: pl.DataFrame) -> Iterator[list[Record]]:
    """Yield the rows of each scene, in order; scenes in the order in which they begin."""
    begins = pl.col("begins").min().over("scene")
    rows = units.with_row_index("begins").sort(begins, "order").drop("begins")
    for _, scene in groupby(rows.iter_rows(named=True), key=lambda row: row["scene"]):
        yield list(scene)


def _kept(rows: list[Record]) -> list[Record]:
    return [row for row in rows if not set(LEFT_OUT).intersection(row["flags"])]


def _conversations(rows: list[Record]) -> Iterator[tuple[str, list[Record]]]:
    """Yield id and lines of what makes a chat: a scene, or one voice line and what leads to it."""
    if rows[0]["kind"] == "dialog":
        yield rows[0]["scene"], _kept(rows)
        return
    for title, voice in pairwise(rows):
        if title["role"] == "player" and len(_kept([title, voice])) == 2:
            yield voice["unit"], [title, voice]


def _document_lines(row: Record) -> list[str]:
    if {"duplicate", "empty"}.intersection(row["flags"]):
        return []
    if row["kind"] in PLAIN_KINDS:
        return [row["text"]]
    lines = [row["title"] or "", *row["text"].split("\n")]
    return [line for line in lines if line and not re.search(UNKNOWN_PLACEHOLDER, line)]


def _messages(rows: list[Record], name: str, parentheses: tuple[str, str]) -> list[Message]:
    """Return user and assistant messages in turn, from the first user turn to her last line."""

    def is_hers(row: Record) -> bool:
        return bool(row["role"] == "character" and row["speaker"] == name)

    last = max(i for i, row in enumerate(rows) if is_hers(row))
    if not any(row["role"] in {"player", "other"} for row in rows[:last]):
        return []
    messages: list[Message] = []
    for hers, group in groupby(rows[: last + 1], key=is_hers):
        turn = list(group)
        if hers:
            lines = [_without_parentheses(row["text"], parentheses) for row in turn]
            if messages:
                messages.append({"role": "assistant", "content": "\n".join(lines)})
        else:
            lines = [_said(row, parentheses) for row in turn[-CONTEXT_LINES:]]
            messages.append({"role": "user", "content": "\n".join(lines)})
    return messages


def _said(row: Record, parentheses: tuple[str, str]) -> str:
    text = _without_parentheses(row["text"], parentheses)
    spoken = row["role"] in {"player", "character"}
    return text if spoken else f"{parentheses[0]}{text}{parentheses[1]}"


def _without_parentheses(text: str, parentheses: tuple[str, str]) -> str:
    """Return the text without the parentheses around the whole of it, if there are."""
    opening, closing = parentheses
    if not (text.startswith(opening) and text.endswith(closing)):
        return text
    depth = 0
    for match in re.finditer(f"[{re.escape(opening + closing)}]", text):
        depth += 1 if match[0] == opening else -1
        if depth == 0 and match.end() < len(text):
            return text
    inner = text[1:-1].strip()
    return inner if inner and depth == 0 else text
