"""The tables of one run of the models: prompts, answers, likelihoods and continuations."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cyrene_assets.corpus.chat_tables import decode_chats, encode_chats, last_contents
from cyrene_assets.evaluation.metrics.training_losses import SCHEMA as LOSS_LOG

PROMPTS, GENERATIONS, LOSSES = "prompts.parquet", "generations.parquet", "losses.parquet"
CLOZE, EXTRACTION, QUESTIONS = "cloze.parquet", "extraction.parquet", "questions.parquet"
CURVES = "curves.parquet"

# What the generating program writes as JSON Lines.
_ANSWERS = pl.Schema(
    {
        "model": pl.String, "language": pl.String, "profile": pl.String, "seed": pl.Int64,
        "prompt": pl.String, "scene": pl.String, "text": pl.String, "tokens": pl.Int64,
        "finish_reason": pl.String, "reference": pl.String,
    }
)  # fmt: skip
_LOSSES = pl.Schema(
    {"model": pl.String, "text_id": pl.String, "tokens": pl.Int64, "nll": pl.Float64}
)
_CLOZE = pl.Schema(
    {
        "model": pl.String, "cloze": pl.String, "true": pl.Float64, "swapped": pl.Float64,
        "name": pl.Float64, "other": pl.Float64,
    }
)  # fmt: skip
_EXTRACTION = pl.Schema(
    {"model": pl.String, "text_id": pl.String, "asked": pl.Int64, "matched": pl.Int64}
)
QUESTIONS_SCHEMA = pl.Schema(
    {
        "model": pl.String, "question": pl.String, "language": pl.String, "text": pl.String,
        "tokens": pl.Int64, "finish_reason": pl.String,
    }
)  # fmt: skip
_TEXT = pl.Schema({"language": pl.String, "split": pl.String, "scene": pl.String})
# The tables of a run: the same, with what was measured on.
GENERATIONS_SCHEMA = pl.Schema([*_ANSWERS.items(), ("user", pl.String)])
LOSSES_SCHEMA = pl.Schema([*_LOSSES.items(), *_TEXT.items()])
CLOZE_SCHEMA = pl.Schema(
    [
        *_CLOZE.items(), ("language", pl.String), ("scene", pl.String), ("text", pl.String),
        ("true_name", pl.String), ("other_name", pl.String),
    ]
)  # fmt: skip
EXTRACTION_SCHEMA = pl.Schema([*_EXTRACTION.items(), *_TEXT.items()])
# The losses of the trainings that a size's models come from.
# The trainings that a model comes from, in order, and what they are called.
STAGES = {"cpt_checkpoint": "continual pretraining", "lora_adapter": "fine-tuning"}
CURVES_SCHEMA = pl.Schema([*LOSS_LOG.items(), ("stage", pl.String), ("chosen", pl.Int64)])


@dataclass(frozen=True)
class ModelTables:
    """What was measured in addition to the answers, all languages together.

    ``losses`` (`LOSSES_SCHEMA`): ``split`` is "train", "validation" or "formal", ``nll`` is in nats
    over all ``tokens``. ``cloze`` (`CLOZE_SCHEMA`): log-probabilities in nats. A likelihood that is
    null was not finite. ``extraction`` (`EXTRACTION_SCHEMA`): ``asked`` tokens to continue for, and
    how many ``matched`` before the first that differs. ``questions`` (`QUESTIONS_SCHEMA`).
    """

    losses: pl.DataFrame
    cloze: pl.DataFrame
    extraction: pl.DataFrame
    questions: pl.DataFrame

    def of(self, language: str, model: str) -> "ModelTables":
        """Return the rows of one model in one language."""
        return ModelTables(
            *(table.filter(language=language, model=model) for table in vars(self).values())
        )


@dataclass(frozen=True)
class Run:
    """One run of the models, all languages together.

    ``prompts`` (`prompts.SCHEMA`) and ``generations`` (`GENERATIONS_SCHEMA`).
    """

    prompts: pl.DataFrame
    generations: pl.DataFrame
    tables: ModelTables

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Read the tables of a folder that `collect` wrote."""
        tables = (pl.read_parquet(folder / n) for n in (LOSSES, CLOZE, EXTRACTION, QUESTIONS))
        return cls(
            decode_chats(pl.read_parquet(folder / PROMPTS)),
            pl.read_parquet(folder / GENERATIONS),
            ModelTables(*tables),
        )


def collect(folder: Path, prompts: pl.DataFrame, texts: pl.DataFrame, pairs: pl.DataFrame) -> Run:
    """Turn the generating program's JSON Lines in ``folder`` into tables, and remove them.

    Args:
        folder: where the program wrote, and where the tables go.
        prompts: the prompts (`prompts.SCHEMA`).
        texts: the texts whose likelihood was measured (`loss_texts.SCHEMA`).
        pairs: of `cloze.select_pairs`.
    """
    about = texts.select("text_id", *_TEXT)
    sentences = pairs.select(
        "cloze", "language", "scene", "text", true_name="name", other_name="other"
    )
    taken = {
        name: _take(folder / f"{name}.jsonl", schema)
        for name, schema in (
            ("generations", _ANSWERS), ("losses", _LOSSES), ("cloze", _CLOZE),
            ("extraction", _EXTRACTION), ("questions", QUESTIONS_SCHEMA),
        )
    }  # fmt: skip
    joins = (
        (GENERATIONS, "generations", _last_turns(prompts), "prompt"),
        (LOSSES, "losses", about, "text_id"),
        (CLOZE, "cloze", sentences, "cloze"),
        (EXTRACTION, "extraction", about, "text_id"),
    )
    frames = {PROMPTS: encode_chats(prompts), QUESTIONS: taken["questions"]} | {
        file: taken[name].join(other, on=key, how="left", maintain_order="left")
        for file, name, other, key in joins
    }
    for file, frame in frames.items():
        write_compressed(frame, folder / file)
    return Run.read(folder)


def write_compressed(frame: pl.DataFrame, path: Path) -> None:
    """Write a table whose bytes depend on its rows alone."""
    frame.write_parquet(path, compression="zstd", statistics=False)


def _last_turns(prompts: pl.DataFrame) -> pl.DataFrame:
    """Return the user's last turn, for a person who looks at the table."""
    return prompts.select("prompt", user=last_contents(prompts["messages"]))


def _take(file: Path, schema: pl.Schema) -> pl.DataFrame:
    """Read and remove JSON Lines of the program; a file that is missing gives an empty table."""
    if not file.exists():
        return schema.to_frame()
    frame = pl.read_ndjson(file, schema=schema) if file.stat().st_size else schema.to_frame()
    file.unlink()
    return frame
