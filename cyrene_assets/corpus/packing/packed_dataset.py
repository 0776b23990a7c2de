"""A stage's training and validation sets: measured, repeated, ordered, packed and written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from cyrene_assets.config.training_stage import Stage
from cyrene_assets.corpus.chat_tables import write_messages_jsonl
from cyrene_assets.corpus.packing.best_fit import packing_order
from cyrene_assets.corpus.packing.chat_windows import chunk_chats, count_answer_lines
from cyrene_assets.corpus.packing.chunking import chunk_documents
from cyrene_assets.corpus.packing.epoch_order import Ints, copies_per_document, training_order
from cyrene_assets.corpus.packing.hf_dataset import write_cached_dataset
from cyrene_assets.corpus.packing.next_fit import next_fit, packing_efficiency
from cyrene_assets.corpus.packing.tables import TRAINING_ROWS, VALIDATION_ROWS
from cyrene_assets.corpus.packing.token_counting import TokenCounter
from cyrene_assets.corpus.rendering.rendering import document_messages
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import UserError


@dataclass(frozen=True)
class PackedDataset:
    """What was packed: rows and tokens of the training sequence, its packs and how full they are.

    ``cut`` documents and conversations were longer than the sequence length and are there in parts.
    Of conversations ``character_lines`` counts the lines of the assistants (the character, or with
    ``chats: everyone`` every speaker in turn), and ``lines_left_out``
    those of them that are in no file: each is longer than the sequence length by itself. ``fill``
    is the mean share of a pack that holds tokens. ``copies_together`` counts the rows in packs that
    hold the same document, or another piece of it, already, ``translations_together`` those in
    packs that hold the same in another language: 0, but for a corpus of a few packs.
    """

    rows: int
    tokens: int
    packs: int
    fill: float
    copies_together: int
    translations_together: int
    validation_rows: int
    cut: int
    character_lines: int = 0
    lines_left_out: int = 0

    def left_out(self, *, everyone: bool) -> str:
        """Say how many of the assistants' lines are left out, and which share of them.

        With ``everyone`` these are the speakers in turn, else the character.
        """
        whose = "all speakers" if everyone else "the character"
        lines = counted(self.character_lines, "line")
        if not self.lines_left_out:
            return f"all {lines} of {whose}"
        share = self.lines_left_out / self.character_lines
        return (
            f"{self.lines_left_out:,} of {lines} of {whose} "
            f"({share:.2%}) left out: each is over the sequence length by itself"
        )


def pack_corpus(
    stage_name: Literal["cpt", "sft"],
    frames: Mapping[str, pl.DataFrame],
    tokenizer_json: Path,
    stage: Stage,
    out: Path,
) -> PackedDataset:
    """Write a stage's training and validation sets into the folder ``out``.

    ``frames`` are the documents (cpt) or chats (sft) by language; each is read once. Written
    are

    - ``cached/train``: the complete training sequence for ``--cached_dataset``, and
      ``rows.parquet``: its rows (row, document, scene, language, kind, pass, tokens, pack), where
      ``pack`` is what ms-swift's sequential packing makes of them;
    - ``cached/validation``: each document once, unpacked; ``validation_rows.parquet``: its rows
      (document, scene, language, kind, tokens); ``validation/<language>.jsonl``: the same by
      language, of which training reports a loss each (for a language without any it is empty);
    - ``token_counts.parquet`` (language, kind, split, documents, tokens): each document counted
      once, whatever its passes.

    Documents that are too long are cut (``cut``), and so are conversations (``windows``).
    ``tokens`` count what is trained on: see ``END_TOKENS`` and ``chatml_texts``. A pack holds a
    unit once (see ``packing_order``): no copies of it, no translations, and no two pieces of it.

    Raises:
        UserError: nothing to train on or to validate with, or no tokenizer in the file.
    """
    counter = TokenCounter(tokenizer_json)
    parts = [
        _measure(stage_name, frames[code], code, counter, stage.sequence_length)
        for code in sorted(frames)
    ]
    # In one piece: rows repeat, and only then do repeated strings share their memory.
    train = pl.concat([part.train for part in parts], rechunk=True)
    validation = pl.concat([part.validation for part in parts])
    left_out = sum(part.left_out for part in parts)
    copies = copies_per_document(train, stage.passes)
    _require_rows(stage_name, int(copies.sum()), len(validation), left_out, stage)

    numbers, epochs = training_order(copies, stage.passes.default, stage.seed)
    lengths = train["tokens"].cast(pl.Int64).to_numpy()
    units = train["unit"].rank("dense").cast(pl.Int64).to_numpy()
    order = packing_order(lengths[numbers], units[numbers], epochs, stage.sequence_length)
    numbers, epochs = numbers[order], epochs[order]
    packs = next_fit(lengths[numbers], stage.sequence_length)
    _row_table(train, numbers, epochs, packs).write_parquet(out / "rows.parquet")
    write_cached_dataset(train, out / "cached" / "train", numbers)
    _write_validation(validation, sorted(frames), out)
    pl.concat([part.counts for part in parts]).write_parquet(out / "token_counts.parquet")
    languages = train["language"].rank("dense").cast(pl.Int64).to_numpy()
    copies_together, translations_together = _count_together(numbers, packs, units, languages)
    return PackedDataset(
        rows=len(numbers),
        tokens=int(lengths[numbers].sum()),
        packs=int(packs[-1]) + 1,
        fill=packing_efficiency(lengths[numbers], packs, stage.sequence_length),
        copies_together=copies_together,
        translations_together=translations_together,
        validation_rows=len(validation),
        cut=sum(part.cut for part in parts),
        character_lines=sum(part.lines for part in parts),
        lines_left_out=left_out,
    )


def find_scenes_on_both_sides(train: pl.DataFrame, validation: pl.DataFrame) -> list[str]:
    """Return the scenes that stand in training and in validation, in whatever language.

    Given are ``TRAINING_ROWS`` and ``VALIDATION_ROWS``. A document counts by its scene, which its
    pieces, translations and chats share, and by its name too, should that have several scenes.
    """
    both = [
        train.filter(pl.col(name).is_in(validation[name].unique().implode()))["scene"]
        for name in ("scene", "document")
    ]
    return pl.concat(both).unique().sort().to_list()


@dataclass(frozen=True)
class _Measured:
    """What a language has to give, its tokens counted."""

    train: pl.DataFrame
    validation: pl.DataFrame
    counts: pl.DataFrame
    cut: int
    lines: int = 0
    left_out: int = 0


def _measure(
    stage_name: str, frame: pl.DataFrame, language: str, counter: TokenCounter, limit: int
) -> _Measured:
    cut = _chunked_documents if stage_name == "cpt" else _chunked_chats
    pieces = cut(frame, counter, limit).with_columns(pl.lit(language).alias("language"))
    columns = [*VALIDATION_ROWS, "unit", "messages"]
    train, validation = (
        pieces.filter(pl.col("split") == split).select(columns) for split in ("train", "validation")
    )
    counts = (
        pieces.group_by("language", "kind", "split")
        .agg(
            pl.col("source").n_unique().cast(pl.Int32).alias("documents"),
            pl.col("tokens").cast(pl.Int64).sum(),
        )
        .sort("language", "kind", "split")
    )
    parts = pieces.filter(pl.col("document") != pl.col("source"))["source"].n_unique()
    lines, kept = (
        (0, 0)
        if stage_name == "cpt"
        else (int(count_answer_lines(table["messages"]).sum()) for table in (frame, pieces))
    )
    return _Measured(train, validation, counts, parts, lines, lines - kept)


def _chunked_documents(frame: pl.DataFrame, counter: TokenCounter, limit: int) -> pl.DataFrame:
    documents = frame.select("document", "scene", "kind", "split", "text")
    pieces = chunk_documents(documents, counter, limit)
    return pieces.with_columns(pl.col("scene").alias("unit"), document_messages()).drop("text")


def _chunked_chats(frame: pl.DataFrame, counter: TokenCounter, limit: int) -> pl.DataFrame:
    name = pl.concat_str(pl.lit("/"), "speaker")
    windows = chunk_chats(
        frame.select("chat", "scene", "speaker", "split", "messages"), counter, limit
    )
    return windows.select(
        pl.col("chat").alias("document"),
        "scene",
        pl.lit("dialog").alias("kind"),
        "split",
        "source",
        "tokens",
        # Chats are named after the speaker, whose name is another in each language.
        pl.col("source").str.strip_suffix(name).alias("unit"),
        "messages",
    )


def _row_table(train: pl.DataFrame, numbers: Ints, epochs: Ints, packs: Ints) -> pl.DataFrame:
    rows = train.select(VALIDATION_ROWS.names())[numbers].with_row_index("row")
    numbered = rows.with_columns(pl.Series("pass", epochs), pl.Series("pack", packs))
    return numbered.select(TRAINING_ROWS.names()).cast(TRAINING_ROWS)


def _write_validation(validation: pl.DataFrame, languages: list[str], out: Path) -> None:
    validation.select(VALIDATION_ROWS.names()).write_parquet(out / "validation_rows.parquet")
    write_cached_dataset(validation, out / "cached" / "validation")
    (out / "validation").mkdir()
    for language in languages:
        of_language = validation.filter(pl.col("language") == language)
        write_messages_jsonl(of_language["messages"], out / "validation" / f"{language}.jsonl")


def _count_together(numbers: Ints, packs: Ints, units: Ints, languages: Ints) -> tuple[int, int]:
    """Count the rows packed with a copy, and those packed with a translation."""
    unit = packs * (units.max() + 1) + units[numbers]
    in_language = unit * (languages.max() + 1) + languages[numbers]
    document = packs * (numbers.max() + 1) + numbers
    different = [pl.Series(keys).n_unique() for keys in (document, in_language, unit)]
    return len(numbers) - different[0], different[1] - different[2]


def _require_rows(
    stage_name: str, train: int, validation: int, left_out: int, stage: Stage
) -> None:
    what, need = {
        "cpt": ("documents", "two scenes of dialog"),
        "sft": ("conversations", "two scenes in which somebody speaks to the assistant"),
    }[stage_name]
    lines = counted(left_out, "line of the answers was", "lines of the answers were")
    for name, rows in (("train on", train), ("validate with", validation)):
        if not rows:
            raise UserError(
                f"there are no {what} to {name}: the corpus needs {need} at least, unlike each "
                "other (see `speakers` and `player` in corpus.yaml, and `cyrene corpus check`), "
                f"and the recipe one pass over them; {lines} left "
                f"out for being over its `sequence_length` of {stage.sequence_length} tokens: "
                "raise that where these are missing"
            )
