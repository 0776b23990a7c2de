"""What can be said of each single answer; the real lines stand among them as one more model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.config import model_roles
from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics import (
    assistant_leakage,
    language_id,
    memorization,
    repetition,
    style,
)
from cyrene_assets.evaluation.metrics.ngrams import Units, number
from cyrene_assets.evaluation.metrics.reference import Reference
from cyrene_assets.evaluation.scoring.score_registry import SCORES

REAL_LINES = model_roles.REAL_LINES
NO_PROFILE = "-"
_MODEL_COLUMNS = ("model", "profile", "seed", "prompt", "scene", "text", "finish_reason")


@dataclass(frozen=True)
class Answers:
    """All answers in one language, in the order of ``table``, with their units.

    ``table`` has ``model``, ``profile``, ``seed``, ``prompt``, ``scene``, ``text``,
    ``finish_reason`` and a column for each value of a single answer (NaN where it has none), and
    ``spans``, the memorized passages as ``[start, end]`` in characters. ``masked`` are the texts
    without names, ``others_style`` what the style classifier makes of other speakers' held-out
    lines. ``notes`` say of a score why no answer has it.
    """

    table: pl.DataFrame
    units: Units
    masked: Sequence[str]
    others_style: npt.NDArray[np.float64]
    notes: dict[str, str]


def judge(
    generations: pl.DataFrame,
    prompts: pl.DataFrame,
    reference: Reference,
    languages: Mapping[str, LanguageTraits],
    samples: Callable[[str], pl.Series],
) -> Answers:
    """Look at every answer of one language, and at the real lines the same way.

    Args:
        generations: rows of this language: ``model``, ``profile``, ``seed``, ``prompt``, ``scene``,
            ``text`` (null counts as empty), ``finish_reason`` and ``reference``.
        prompts: ``prompt`` and ``messages`` of those that were sent.
        reference: of the language.
        languages: of the corpus, by code.
        samples: returns training text of a language.
    """
    language = reference.language
    table = with_real_lines(generations)
    texts = table["text"].to_list()
    prompt_turns = _turns(prompts)
    asked = table["prompt"].to_list()
    turns = list(dict.fromkeys(turn for prompt in asked for turn in prompt_turns.get(prompt, ())))
    place = {turn: len(texts) + index for index, turn in enumerate(turns)}
    together = number([*texts, *turns], reference.traits)
    units = together.take(np.arange(len(texts)))
    matches = memorization.find_matches(reference.training, texts, reference.least)
    masked = style.mask_names(texts, reference.names)
    said = [bool(text.strip()) for text in texts]
    lengths = np.where(said, units.lengths, np.nan)
    characters = np.where(said, matches.characters, 0)
    columns: dict[str, npt.NDArray[np.float64]] = {
        "length": lengths,
        "regurgitation": _share(matches.covered, characters),
        "longest_match": np.where(said, matches.longest, np.nan),
        "rep4": repetition.rep4(units),
        "loop_rate": repetition.loops(units),
        "echo": repetition.echo(
            together, [[place[t] for t in prompt_turns.get(prompt, ())] for prompt in asked]
        ),
        "language": language_id.consistent(masked, language, languages, samples),
        **{score.name: score.measure(texts) for score in SCORES if score.measure is not None},
    }
    notes: dict[str, str] = {}
    if not any(reference.training):
        notes |= dict.fromkeys(("regurgitation", "longest_match"), "there is no training text")
    phrases = assistant_leakage.assistant_phrases(texts, reference.traits)
    if phrases is None:
        notes["assistant"] = f"no list of assistant phrases for {language}"
    else:
        columns["assistant"] = phrases
    others_style = np.zeros(0)
    try:
        classifier = style.StyleClassifier(
            style.mask_names(style.some(reference.hers), reference.names),
            style.mask_names(style.some(reference.others), reference.names),
            reference.traits,
        )
    except ValueError as error:
        notes["style"] = str(error)
    else:
        columns["style"] = np.where(said, classifier.score(masked), np.nan)
        held_out = style.mask_names(reference.held_out_others, reference.names)
        others_style = classifier.score(held_out)
        if not len(others_style):
            notes["style"] = "no held-out line of another speaker"
    return Answers(
        table.with_columns(
            *[pl.Series(name, values) for name, values in columns.items()],
            pl.Series("covered", matches.covered),
            pl.Series("characters", characters),
            pl.Series(
                "spans",
                [[list(span) for span in spans] for spans in matches.spans],
                dtype=pl.List(pl.List(pl.Int64)),
            ),
        ),
        units,
        masked,
        others_style,
        notes,
    )


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
        *[name for name in _MODEL_COLUMNS if name != "text"],
        pl.col("text").fill_null(""),
    )


def _turns(prompts: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return what was said before each answer: the user's turn, and the character's before it."""
    found = {}
    for prompt, messages in prompts.select("prompt", "messages").iter_rows():
        turns = [m["content"] for m in messages if m["role"] != "system"]
        found[prompt] = tuple(turns[-2:])
    return found


def _share(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
