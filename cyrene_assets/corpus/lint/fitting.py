"""What of chats fits into the sequences of a recipe: the cutting of packing, before packing.

Where a base model's tokenizer is there it counts; else tokens are estimated from bytes, and what is
said here is as good as that estimate.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from cyrene_assets.corpus.chat_tables import chatml_texts
from cyrene_assets.corpus.packing.chat_windows import TextCounter, chunk_chats, fits_any_tokenizer
from cyrene_assets.corpus.packing.token_counting import BYTES_PER_TOKEN, Counts, TokenCounter
from cyrene_assets.store.artifact_store import Store

SPLITS = ("train", "validation")
# Rendering takes those around a line away.
_AROUND = "()\uff08\uff09 \n"


class EstimatedTokens:
    """Estimates the tokens of texts from their bytes in UTF-8."""

    def __init__(self, bytes_per_token: float = BYTES_PER_TOKEN) -> None:
        self._rate = bytes_per_token

    def count(self, texts: pl.Series) -> Counts:
        """Estimate each text's tokens."""
        sizes = texts.str.len_bytes().to_numpy()
        return np.ceil(sizes / self._rate).astype(np.int64)

    def count_few(self, texts: list[str]) -> list[int]:
        """Estimate each text's tokens."""
        counts: list[int] = self.count(pl.Series(texts, dtype=pl.String)).tolist()
        return counts


def counter_of(store: Store, size: str, bytes_per_token: float) -> TextCounter:
    """Return what counts the tokens of a size: its base model's tokenizer where the store has one.

    Of several base models that of the newest folder counts; of none tokens are estimated.
    """
    folders = [found.path for found in store.artifacts("base_model") if found.key.partition == size]
    files = [path / "tokenizer.json" for path in folders]
    newest = max(filter(Path.is_file, files), key=lambda path: path.stat().st_mtime, default=None)
    return TokenCounter(newest) if newest else EstimatedTokens(bytes_per_token)


@dataclass(frozen=True)
class Fit:
    """What packing keeps of one language's chats.

    ``chats`` counts by split those that are there, windows as one each. ``lines`` are those of the
    assistants, and ``left_out`` those of them that are in no window: ``lost`` has them (chat,
    scene, speaker, text, number).
    """

    chats: dict[str, int]
    lines: int
    lost: pl.DataFrame

    @property
    def left_out(self) -> int:
        """How many lines are in no window."""
        return int(self.lost["number"].sum())


def fit(chats: pl.DataFrame, counter: TextCounter, limit: int) -> Fit:
    """Cut chats (``CHATS``) as packing does, and say what is left of them.

    Without a tokenizer a chat counts as there only where it is sure to fit, whatever the tokenizer.
    """
    # A token is a byte at the least.
    may_be_long = chatml_texts(chats["messages"]).str.len_bytes() > limit
    columns = ("chat", "scene", "speaker", "split", "messages")
    long = chats.select(columns).filter(may_be_long)
    windows = chunk_chats(long, counter, limit)
    there = pl.concat(
        [chats.filter(~may_be_long)["split"], windows["split"]]
        if isinstance(counter, TokenCounter)
        else [chats.filter(fits_any_tokenizer(chats["messages"], limit))["split"]]
    )
    counts = dict(there.value_counts().rows())
    before = _lines(chats.filter(~may_be_long).select(columns))
    said, kept = _lines(long), _lines(windows.with_columns(chat="source").select(columns))
    lost = (
        said.join(kept.select("chat", "text", kept="number"), on=["chat", "text"], how="left")
        .with_columns(pl.col("number") - pl.col("kept").fill_null(0))
        .filter(pl.col("number") > 0)
        .drop("kept")
    )
    lines = int(before["number"].sum()) + int(said["number"].sum())
    return Fit({split: counts.get(split, 0) for split in SPLITS}, lines, lost)


def units_too_long(units: pl.DataFrame, lost: pl.DataFrame, counter: TextCounter) -> pl.DataFrame:
    """Return the units of one language that lines of ``Fit.lost`` stand in.

    Columns are unit, speaker, file, line, and tokens: those of their longest lost line.
    """
    if lost.is_empty():
        return pl.DataFrame(schema=_LOST_UNITS)
    lines = lost.select("scene", "speaker", text=pl.col("text").str.strip_chars(_AROUND)).unique()
    return (
        units.select("unit", "scene", "speaker", "file", "line", pl.col("text").str.split("\n"))
        .explode("text")
        .with_columns(pl.col("text").str.strip_chars(_AROUND))
        .join(lines, on=["scene", "speaker", "text"], how="semi", maintain_order="left")
        .with_columns(pl.col("text").map_batches(counter.count, pl.Int64).alias("tokens"))
        .group_by("unit", maintain_order=True)
        .agg(pl.col("speaker", "file", "line").first(), pl.col("tokens").max())
        .select(*_LOST_UNITS)
        .cast(_LOST_UNITS)  # type: ignore[arg-type]
    )


_LOST_UNITS = {
    "unit": pl.String,
    "speaker": pl.String,
    "file": pl.String,
    "line": pl.Int32,
    "tokens": pl.Int64,
}


def _lines(chats: pl.DataFrame) -> pl.DataFrame:
    """Count the lines that the assistants say: chat, scene, speaker, text, number."""
    of_assistant = pl.element().struct.field("role") == "assistant"
    answers = pl.element().filter(of_assistant).struct.field("content")
    return (
        chats.select(
            "chat",
            "scene",
            "speaker",
            pl.col("messages").list.eval(answers).alias("text"),
        )
        .explode("text")
        .with_columns(pl.col("text").str.split("\n"))
        .explode("text")
        .group_by("chat", "scene", "speaker", "text", maintain_order=True)
        .agg(number=pl.len().cast(pl.Int64))
    )
