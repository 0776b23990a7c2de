"""The report on one language: scores of every model, scene sums, and answers to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cyrene_assets.config.model_roles import NAMES
from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics.reference import ReadUnits, read_reference
from cyrene_assets.evaluation.scoring import example_selection
from cyrene_assets.evaluation.scoring.model_scores import score_models
from cyrene_assets.evaluation.scoring.per_answer import measure_answers
from cyrene_assets.evaluation.scoring.run_tables import Run, write_compressed
from cyrene_assets.evaluation.scoring.scores import (
    EXAMPLES,
    SCENES,
    Scores,
    score_answers,
    unanswered_scores,
)


@dataclass(frozen=True)
class LanguageReport:
    """Scores in one language (`scores.SCHEMA`), and answers (`example_selection.SCHEMA`).

    ``scenes`` are the scene sums of the scores (`scores.SCENES_SCHEMA`).
    """

    scores: pl.DataFrame
    scenes: pl.DataFrame
    examples: pl.DataFrame

    @classmethod
    def concat(cls, reports: "Sequence[LanguageReport]") -> "LanguageReport":
        """Return the rows of several languages."""
        tables = ([vars(report)[name] for report in reports] for name in cls.__annotations__)
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
        run: prompts, answers and likelihoods.
        read: returns the units of `parallel_corpus` in a language.
        languages: of the corpus, by code.
        language: the one to score; it may have no prompt.
        served_profile: the profile whose answers are shown.
    """
    generations = run.generations.filter(pl.col("language") == language)
    models = run.generations["model"].unique(maintain_order=True).to_list()
    model_scores = score_models(run.tables, models, language, languages[language])
    how = ["model", "profile"]
    prompted = run.generations.select(how).unique(maintain_order=True)
    silent = prompted.join(generations, on=how, how="anti", maintain_order="left").rows()
    if generations.is_empty():
        note = "no conversation with the character is held out in this language"
        scores = Scores.concat([unanswered_scores(silent, language, note), model_scores])
        return LanguageReport(scores.table, scores.scenes, example_selection.SCHEMA.to_frame())
    reference = read_reference(read, languages, language)
    prompts = run.prompts.filter(pl.col("language") == language)
    answers = measure_answers(
        generations, prompts, reference, languages, lambda key: read(key)["text"]
    )
    note = "no answer to any of the prompts in this language"
    scores = Scores.concat(
        [score_answers(answers, reference), unanswered_scores(silent, language, note), model_scores]
    )
    shown = max(models, key=lambda name: NAMES.index(name) if name in NAMES else len(NAMES))
    examples = example_selection.select_examples(answers, prompts, shown, served_profile, reference)
    return LanguageReport(scores.table, scores.scenes, examples)
