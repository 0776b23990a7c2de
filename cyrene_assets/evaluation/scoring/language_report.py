"""One run of the models: what they said and found likely, and the scores of it in one language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import polars as pl

from cyrene_assets.corpus.chat_tables import decode_chats, encode_chats, last_contents
from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics.reference import ReadUnits, read_reference
from cyrene_assets.evaluation.scoring import example_selection as examples
from cyrene_assets.evaluation.scoring import per_answer as answering
from cyrene_assets.evaluation.scoring.model_scores import ModelTables, score_models
from cyrene_assets.evaluation.scoring.scores import MODELS, Scores, score_answers, without_answers

PROMPTS, GENERATIONS, LOSSES = "prompts.parquet", "generations.parquet", "losses.parquet"
CLOZE, EXTRACTION, QUESTIONS = "cloze.parquet", "extraction.parquet", "questions.parquet"
CURVES, SCENES, EXAMPLES = "curves.parquet", "scenes.parquet", "examples.parquet"


Columns: TypeAlias = Mapping[str, type[pl.DataType]]


@dataclass(frozen=True)
class Run:
    """What one start of the models gave, all languages together."""

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


@dataclass(frozen=True)
class LanguageReport:
    """Scores in one language (`scores.SCHEMA`), and answers to look at (`examples.SCHEMA`).

    ``scenes`` is what each scene gives to the scores that are sums (`scores.SCENES_SCHEMA`).
    """

    scores: pl.DataFrame
    scenes: pl.DataFrame
    examples: pl.DataFrame

    @classmethod
    def together(cls, reports: "Sequence[LanguageReport]") -> "LanguageReport":
        """Return the rows of several languages."""
        tables = ([vars(one)[name] for one in reports] for name in cls.__annotations__)
        return cls(*map(pl.concat, tables))

    def write(self, folder: Path) -> None:
        """Write all but the scores, which an asset shows as it writes them."""
        write_compressed(self.scenes, folder / SCENES)
        write_compressed(self.examples, folder / EXAMPLES)


def report_language(
    run: Run,
    read: ReadUnits,
    languages: Mapping[str, LanguageTraits],
    language: str,
    served_profile: str,
) -> LanguageReport:
    """Score one language of a run.

    Args:
        run: what the models said.
        read: returns the units of `parallel_corpus` in a language.
        languages: of the corpus, by code.
        language: the one to score; it may have no prompt.
        served_profile: the profile whose answers are shown.
    """
    generations = run.generations.filter(pl.col("language") == language)
    models = run.generations["model"].unique(maintain_order=True).to_list()
    beside = score_models(run.tables, models, language, languages[language])
    how = ["model", "profile"]
    asked = run.generations.select(how).unique(maintain_order=True)
    silent = asked.join(generations, on=how, how="anti", maintain_order="left").rows()
    if generations.is_empty():
        note = "no conversation with the character is held out in this language"
        scores = Scores.together([without_answers(silent, language, note), beside])
        return LanguageReport(scores.table, scores.scenes, examples.SCHEMA.to_frame())
    reference = read_reference(read, languages, language)
    prompts = run.prompts.filter(pl.col("language") == language)
    judged = answering.judge(
        generations, prompts, reference, languages, lambda key: read(key)["text"]
    )
    note = "no answer to any of the prompts in this language"
    scores = Scores.together(
        [score_answers(judged, reference), without_answers(silent, language, note), beside]
    )
    headline = max(models, key=lambda name: MODELS.index(name) if name in MODELS else len(MODELS))
    chosen = examples.choose(judged, prompts, headline, served_profile, reference)
    return LanguageReport(scores.table, scores.scenes, chosen)


def collect(folder: Path, prompts: pl.DataFrame, texts: pl.DataFrame, pairs: pl.DataFrame) -> Run:
    """Turn the generating program's JSON Lines in ``folder`` into tables, and remove them.

    Args:
        folder: where the program wrote, and where the tables go.
        prompts: of `prompts.select_prompts`.
        texts: of `text_losses`: ``text_id``, ``language``, ``split`` and ``scene``.
        pairs: of `cloze.select_pairs`.
    """
    about = texts.select("text_id", "language", "split", "scene")
    answers = _taken(folder, "generations", _ANSWERS)
    losses = _taken(folder, "losses", {"text_id": pl.String, "tokens": pl.Int64, "nll": pl.Float64})
    cloze = _taken(folder, "cloze", _CLOZE)
    going_on = _taken(
        folder, "extraction", {"text_id": pl.String, "asked": pl.Int64, "matched": pl.Int64}
    )
    questions = _taken(folder, "questions", _QUESTIONS)
    sentences = pairs.select(
        "cloze", "language", "scene", "text", true_name="name", other_name="other"
    )
    frames = {
        PROMPTS: encode_chats(prompts),
        GENERATIONS: answers.join(_users(prompts), on="prompt", how="left", maintain_order="left"),
        LOSSES: losses.join(about, on="text_id", how="left", maintain_order="left"),
        CLOZE: cloze.join(sentences, on="cloze", how="left", maintain_order="left"),
        EXTRACTION: going_on.join(about, on="text_id", how="left", maintain_order="left"),
        QUESTIONS: questions,
    }
    for name, frame in frames.items():
        write_compressed(frame, folder / name)
    return Run.read(folder)


def write_compressed(frame: pl.DataFrame, path: Path) -> None:
    """Write a table whose bytes depend on its rows alone."""
    frame.write_parquet(path, compression="zstd", statistics=False)


def _users(prompts: pl.DataFrame) -> pl.DataFrame:
    """Return what the user said last, for a person who looks at the table."""
    return prompts.select("prompt", user=last_contents(prompts["messages"]))


_ANSWERS: Columns = {
    "language": pl.String,
    "profile": pl.String,
    "seed": pl.Int64,
    "prompt": pl.String,
    "scene": pl.String,
    "text": pl.String,
    "tokens": pl.Int64,
    "finish_reason": pl.String,
    "reference": pl.String,
}
_CLOZE: Columns = {
    "cloze": pl.String,
    "true": pl.Float64,
    "swapped": pl.Float64,
    "name": pl.Float64,
    "other": pl.Float64,
}
_QUESTIONS: Columns = {
    "question": pl.String,
    "language": pl.String,
    "text": pl.String,
    "tokens": pl.Int64,
    "finish_reason": pl.String,
}


def _taken(folder: Path, name: str, columns: "Columns") -> pl.DataFrame:
    """Read and remove JSON Lines of the program; what was not requested gives an empty table."""
    schema = pl.Schema([("model", pl.String), *columns.items()])
    file = folder / f"{name}.jsonl"
    if not file.exists():
        return schema.to_frame()
    found = pl.read_ndjson(file, schema=schema) if file.stat().st_size else schema.to_frame()
    file.unlink()
    return found
