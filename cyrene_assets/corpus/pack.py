"""The training sequence: every document as often as the recipe says, in reading order, in packs.

ms-swift packs rows next-fit in the order of the file (``--packing_strategy sequential``) and knows
nothing of copies. So the order is made such that next-fit alone puts no two copies of a document in
one pack; the packs written here are those that training will see.
"""

import json
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from cyrene_assets.corpus.render import document_messages, write_messages_jsonl
from cyrene_assets.corpus.tokens import chat_text, count_tokens, cut_documents
from cyrene_assets.errors import UserError
from cyrene_assets.recipe import Passes, Stage


@dataclass(frozen=True)
class Packed:
    """What was packed: rows and tokens of the training sequence, its packs and how full they are.

    ``cut`` documents were longer than the sequence length, ``dropped`` conversations were and are
    in no file. ``fill`` is the mean share of a pack that holds tokens.
    """

    rows: int
    tokens: int
    packs: int
    fill: float
    validation_rows: int
    cut: int
    dropped: int

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        return asdict(self)


def pack_corpus(
    stage_name: Literal["cpt", "sft"],
    frames: Mapping[str, pl.DataFrame],
    tokenizer_json: Path,
    stage: Stage,
    out: Path,
) -> Packed:
    """Write a stage's training and validation sets into the folder ``out``.

    ``frames`` are the documents (cpt) or chats (sft) by language. Written are ``train.jsonl`` (the
    whole sequence), ``rows.parquet`` (its rows: row, document, language, kind, pass, tokens, pack),
    ``validation.jsonl`` and ``validation/<language>.jsonl`` (each document once; for a language
    without any the file is empty), ``token_counts.parquet`` (language, kind, split, documents,
    tokens; each document counted once, whatever its passes). Documents that are too long are cut,
    conversations dropped. ``tokens`` count what is trained on: see ``tokens.END_TOKENS`` and
    ``tokens.chat_text``.

    Raises:
        UserError: nothing to train on or to validate with, or no tokenizer in the file.
    """
    measure = _documents if stage_name == "cpt" else _chats
    pieces = measure(frames, tokenizer_json, stage.sequence_length)
    fitting = pieces.filter(pl.col("tokens") <= stage.sequence_length)
    train = training_sequence(fitting.filter(pl.col("split") == "train"), stage.passes, stage.seed)
    validation = fitting.filter(pl.col("split") == "validation")
    dropped = len(pieces) - len(fitting)
    _refuse_empty(stage_name, train, validation, f"{dropped} of {len(pieces)}", stage)

    train = train[separate_copies(*_lengths_and_documents(train), stage.sequence_length)]
    lengths, documents = _lengths_and_documents(train)
    packs = pack_sequential(lengths, documents, stage.sequence_length)
    rows = train.with_row_index("row").with_columns(pl.Series("pack", packs, dtype=pl.UInt32))
    write_messages_jsonl(rows["messages"], out / "train.jsonl")
    rows.select(
        pl.col("row", "pack").cast(pl.Int32), "document", "language", "kind", "pass", "tokens"
    ).select("row", "document", "language", "kind", "pass", "tokens", "pack").write_parquet(
        out / "rows.parquet"
    )
    write_messages_jsonl(validation["messages"], out / "validation.jsonl")
    (out / "validation").mkdir()
    for language in sorted(frames):
        of_language = validation.filter(pl.col("language") == language)
        write_messages_jsonl(of_language["messages"], out / "validation" / f"{language}.jsonl")
    _token_counts(fitting).write_parquet(out / "token_counts.parquet")
    return Packed(
        rows=len(train),
        tokens=sum(lengths),
        packs=packs[-1] + 1,
        fill=fill(lengths, packs, stage.sequence_length),
        validation_rows=len(validation),
        cut=pieces.filter(pl.col("document") != pl.col("source"))
        .select("language", "source")
        .n_unique(),
        dropped=dropped,
    )


def training_sequence(rows: pl.DataFrame, passes: Passes, seed: int) -> pl.DataFrame:
    """Repeat and order rows (``language``, ``kind``, ``document``, others) for training.

    The sequence has ``passes.default`` passes, each shuffled by the seed, and column ``pass``
    counts them from 1. A document that is seen as often as that is in each pass once. Further
    copies go to passes evenly spaced, so that all passes grow alike, and so do the copies of a
    document seen less often; copies in one pass stand equal distances apart.
    """
    ordered = rows.sort("language", "document")
    copies = [
        passes.of(language, kind) for language, kind in ordered.select("language", "kind").rows()
    ]
    in_pass = _copies_in_passes(copies, passes.default, seed)
    indices: list[int] = []
    numbers: list[int] = []
    for number in range(passes.default):
        shuffle = random.Random(f"{seed}:{number + 1}")  # noqa: S311 (an order, not a secret)
        places: list[tuple[float, int]] = []
        for index, counts in enumerate(in_pass):
            start = shuffle.random()
            places += [((copy + start) / counts[number], index) for copy in range(counts[number])]
        indices += [index for _, index in sorted(places)]
        numbers += [number + 1] * len(places)
    return ordered[indices].with_columns(pl.Series("pass", numbers, dtype=pl.Int32))


def separate_copies(lengths: Sequence[int], documents: Sequence[str], capacity: int) -> list[int]:
    """Return the order of rows in which next-fit packing puts no two copies into one pack.

    Rows keep their order, but one whose document is already in the open pack waits for the next
    pack. Where nothing else is left (the whole rest repeats the open pack), copies end up side by
    side, and ``pack_sequential`` closes the pack early.
    """
    order: list[int] = []
    stream = deque(range(len(lengths)))
    waiting: list[int] = []
    pack: set[str] = set()
    size = 0
    while stream or waiting:
        row = next((row for row in waiting if documents[row] not in pack), None)
        if row is not None:
            waiting.remove(row)
        elif stream:
            row = stream.popleft()
            if documents[row] in pack:
                waiting.append(row)
                continue
        else:
            row = waiting.pop(0)
            pack, size = set(), 0
        if size + lengths[row] > capacity:
            pack, size = set(), 0
        pack.add(documents[row])
        size += lengths[row]
        order.append(row)
    return order


def pack_sequential(lengths: Sequence[int], documents: Sequence[str], capacity: int) -> list[int]:
    """Return each row's pack, counted from 0: next-fit in the order given.

    A row opens a new pack when it does not fit the open one, or when its document is in it already.
    """
    packs: list[int] = []
    pack, size = 0, 0
    inside: set[str] = set()
    for length, document in zip(lengths, documents, strict=True):
        if inside and (size + length > capacity or document in inside):
            pack, size, inside = pack + 1, 0, set()
        packs.append(pack)
        inside.add(document)
        size += length
    return packs


def fill(lengths: Sequence[int], packs: Sequence[int], capacity: int) -> float:
    """Return the mean share of a pack's capacity that its rows take (0 without packs)."""
    return sum(lengths) / (capacity * len(set(packs))) if packs else 0.0


def _copies_in_passes(copies: Sequence[int], passes: int, seed: int) -> list[list[int]]:
    """Return for each row how many of its copies go to each of the passes."""
    counts = [[number // passes] * passes for number in copies]
    for extra in range(1, passes):
        rows = [row for row, number in enumerate(copies) if number % passes == extra]
        random.Random(f"{seed}:extra:{extra}").shuffle(rows)  # noqa: S311 (an order, not a secret)
        for rank, row in enumerate(rows):
            for copy in range(extra):
                # Start of the row's grid: spread over the rows, so that no pass gets more of them.
                start = (rank + 0.5) / len(rows)
                counts[row][int(passes * (copy + start) / extra)] += 1
    return counts


def _documents(
    frames: Mapping[str, pl.DataFrame], tokenizer_json: Path, sequence_length: int
) -> pl.DataFrame:
    documents = _all(frames).select("document", "language", "kind", "split", "text")
    pieces = cut_documents(documents, tokenizer_json, sequence_length)
    messages = pl.Series("messages", map(document_messages, pieces["text"]), dtype=pl.String)
    return pieces.with_columns(messages).drop("text")


def _chats(
    frames: Mapping[str, pl.DataFrame],
    tokenizer_json: Path,
    sequence_length: int,  # noqa: ARG001 (conversations are not cut)
) -> pl.DataFrame:
    chats = _all(frames).select(
        pl.col("chat").alias("document"),
        "language",
        pl.lit("dialog").alias("kind"),
        "split",
        pl.col("chat").alias("source"),
        "messages",
    )
    tokens = count_tokens([chat_text(messages) for messages in chats["messages"]], tokenizer_json)
    return chats.with_columns(pl.Series("tokens", tokens, dtype=pl.Int32))


def _all(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(
        [frames[code].with_columns(pl.lit(code).alias("language")) for code in sorted(frames)]
    )


def _lengths_and_documents(rows: pl.DataFrame) -> tuple[list[int], list[str]]:
    """Return tokens and identity of each row; translations of a document are not copies of it."""
    identity = [json.dumps(key) for key in rows.select("language", "document").rows()]
    return rows["tokens"].to_list(), identity


def _refuse_empty(
    stage_name: str, train: pl.DataFrame, validation: pl.DataFrame, dropped: str, stage: Stage
) -> None:
    what, need = {
        "cpt": ("documents", "two scenes of dialog"),
        "sft": ("conversations", "two scenes in which somebody speaks to the character"),
    }[stage_name]
    for name, rows in (("train on", train), ("validate with", validation)):
        if rows.is_empty():
            raise UserError(
                f"there are no {what} to {name}: the corpus needs {need} at least (see "
                "`speakers` and `player` in corpus.yaml), and the recipe one pass over them; "
                f"{dropped} were dropped for being over its `sequence_length` of "
                f"{stage.sequence_length} tokens: raise that where these are missing"
            )


def _token_counts(pieces: pl.DataFrame) -> pl.DataFrame:
    return (
        pieces.group_by("language", "kind", "split")
        .agg(
            pl.col("source").n_unique().cast(pl.Int32).alias("documents"),
            pl.col("tokens").cast(pl.Int64).sum(),
        )
        .sort("language", "kind", "split")
    )
