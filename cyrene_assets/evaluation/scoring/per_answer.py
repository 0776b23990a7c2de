"""The values of each single answer; the real lines are scored among them as one more model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.config import model_roles
from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics.ngrams import TokenizedTexts
from cyrene_assets.evaluation.metrics.reference import Reference
from cyrene_assets.evaluation.scoring.answer_texts import AnswerTexts, NotMeasurable
from cyrene_assets.evaluation.scoring.score_registry import SCORES

REAL_LINES = model_roles.REAL_LINES
NO_PROFILE = "-"
# Columns of every answer; each score that has a `measure` adds one of its name.
ANSWERS_SCHEMA = pl.Schema(
    [
        ("model", pl.String), ("profile", pl.String), ("seed", pl.Int64), ("prompt", pl.String),
        ("scene", pl.String), ("finish_reason", pl.String), ("text", pl.String),
        ("length", pl.Float64), ("covered", pl.Int64), ("characters", pl.Int64),
        ("spans", pl.List(pl.List(pl.Int64))),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """All answers in one language, in the order of ``table``, with their tokens.

    ``table`` has the columns of `ANSWERS_SCHEMA` and one of each measured score (NaN where an
    answer has no value): ``length`` in tokens, ``covered`` of its ``characters`` in matches with
    the training text, and ``spans``, the matches as ``[start, end]`` in characters. ``masked`` are
    the texts without names, ``others_style`` the style classifier's log-odds of other speakers'
    held-out lines. ``notes`` say of a score why no answer has it.
    """

    table: pl.DataFrame
    tokens: TokenizedTexts
    masked: Sequence[str]
    others_style: npt.NDArray[np.float64]
    notes: dict[str, str]


def measure_answers(
    generations: pl.DataFrame,
    prompts: pl.DataFrame,
    reference: Reference,
    languages: Mapping[str, LanguageTraits],
    samples: Callable[[str], pl.Series],
) -> Answers:
    """Measure every answer of one language, and the real lines in the same way.

    Args:
        generations: rows of this language (`run_tables.GENERATIONS_SCHEMA`); a null text counts as
            empty.
        prompts: the prompts that were sent (`prompts.SCHEMA`).
        reference: of the language.
        languages: of the corpus, by code.
        samples: returns training text of a language.
    """
    table = with_real_lines(generations)
    turns = _turns(prompts)
    answers = AnswerTexts(
        table["text"].to_list(),
        [turns.get(prompt, ()) for prompt in table["prompt"].to_list()],
        reference,
        languages,
        samples,
    )
    notes: dict[str, str] = {}
    columns = []
    for score in SCORES.values():
        if score.measure is not None:
            try:
                columns.append(pl.Series(score.name, score.measure(answers)))
            except NotMeasurable as note:
                notes[score.name] = str(note)
    spans = [[list(span) for span in spans] for spans in answers.matches.spans]
    table = table.with_columns(
        *columns,
        pl.Series("length", answers.lengths()),
        pl.Series("covered", answers.matches.covered),
        pl.Series("characters", answers.characters),
        pl.Series("spans", spans, dtype=ANSWERS_SCHEMA["spans"]),
    )
    return Answers(table, answers.tokens, answers.masked, answers.others_style, notes)


def with_real_lines(generations: pl.DataFrame) -> pl.DataFrame:
    """Return the answers, and before them each prompt's real line as the answer of a model."""
    real = generations.unique("prompt", keep="first", maintain_order=True).with_columns(
        model=pl.lit(REAL_LINES),
        profile=pl.lit(NO_PROFILE),
        seed=pl.lit(0, generations.schema["seed"]),
        text=pl.col("reference"),
        finish_reason=pl.lit(None, pl.String),
    )
    return pl.concat([real, generations]).select(
        "model", "profile", "seed", "prompt", "scene", "finish_reason",
        pl.col("text").fill_null(""),
    )  # fmt: skip


def _turns(prompts: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the turns before each answer: the user's, and the character's before it."""
    turns = {}
    for prompt, messages in prompts.select("prompt", "messages").iter_rows():
        contents = [m["content"] for m in messages if m["role"] != "system"]
        turns[prompt] = tuple(contents[-2:])
    return turns
