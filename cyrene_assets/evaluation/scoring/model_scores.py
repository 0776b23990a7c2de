"""Scores that do not depend on sampling: losses, lore, extraction, questions out of character."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.inputs.loss_texts import FORMAL, TRAINING, VALIDATION
from cyrene_assets.evaluation.metrics import cloze
from cyrene_assets.evaluation.metrics.ngrams import number
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE
from cyrene_assets.evaluation.scoring.scores import Scores, in_rows
from cyrene_assets.evaluation.statistics import bootstrap
from cyrene_assets.evaluation.statistics.bootstrap import (
    Estimate,
    never,
    of_draws,
    ratio,
    ratio_draws,
    unknown,
)

# Digits, operators, brackets, and the marks of code, tables and lists at the start of a line.
_FORM = re.compile(r"[0-9=+*/<>{}\[\]()`#_^|\\]|^\s*[-•]\s", re.MULTILINE)


@dataclass(frozen=True)
class ModelTables:
    """What the models were given in addition to the prompts, all languages together.

    ``losses``: ``model``, ``language``, ``split`` ("train", "validation" or "formal"), ``scene``,
    ``tokens`` and ``nll`` (nats over all tokens). ``cloze``: ``model``, ``language``, ``scene``,
    and log-probabilities ``true``, ``swapped``, ``name`` and ``other``. A likelihood that is null
    was not finite. ``extraction``: ``model``, ``language``, ``split``, ``scene``, ``asked`` (tokens
    to continue for) and ``matched`` (how many agree before the first that does not). ``questions``:
    ``model``, ``language``, ``question`` and ``text``.
    """

    losses: pl.DataFrame
    cloze: pl.DataFrame
    extraction: pl.DataFrame
    questions: pl.DataFrame

    def of(self, language: str) -> "ModelTables":
        """Return the rows of one language."""
        return ModelTables(
            *(
                table.filter(pl.col("language") == language)
                for table in (self.losses, self.cloze, self.extraction, self.questions)
            )
        )


def score_models(
    tables: ModelTables, models: list[str], language: str, known: LanguageTraits
) -> Scores:
    """Score every model in one language, with profile "-"."""
    own = tables.of(language)
    parts = []
    for model in models:
        estimates = [
            *_losses(own.losses.filter(pl.col("model") == model)),
            ("cloze", _cloze(own.cloze.filter(pl.col("model") == model))),
            ("extraction", _extraction(own.extraction.filter(pl.col("model") == model))),
            *_questions(own.questions.filter(pl.col("model") == model), known),
        ]
        parts.append(in_rows(model, NO_PROFILE, language, estimates))
    return Scores.together(parts)


def _losses(losses: pl.DataFrame) -> Iterator[tuple[str, Estimate]]:
    broken = _not_finite(losses, "nll")
    if broken:
        for name in ("loss", "gap", "perplexity", "formal_loss"):
            yield name, unknown(f"{broken} of {len(losses)} texts have no finite likelihood")
        return
    parts = {
        split: losses.filter(pl.col("split") == split).select("nll", "tokens", "scene")
        for split in (VALIDATION, TRAINING, FORMAL)
    }
    held_out, trained, formal = (
        ratio(*(part[name].to_numpy() for name in part.columns)) for part in parts.values()
    )
    yield "loss", held_out if held_out.value is not None else unknown("no held-out document")
    drawn = {
        split: ratio_draws(*(part[name].to_numpy() for name in part.columns))
        for split, part in parts.items()
    }
    if held_out.value and trained.value is not None:
        both = drawn[VALIDATION], drawn[TRAINING]
        spread = None if both[0] is None or both[1] is None else 1 - both[1][::-1] / both[0]
        gap = 1 - trained.value / held_out.value
        yield "gap", of_draws(gap, spread, held_out.count)
    else:
        yield "gap", unknown("no held-out document, or no trained one of its kind")
    if held_out.value is None:
        yield "perplexity", unknown("no held-out document")
    else:
        found = drawn[VALIDATION]
        value = float(np.exp(held_out.value))
        yield (
            "perplexity",
            of_draws(value, None if found is None else np.exp(found), held_out.count),
        )
    if formal.value is None:
        yield "formal_loss", unknown("no formal text in this language")
    else:
        yield "formal_loss", Estimate(formal.value, count=formal.count, note="one text")


def _cloze(rows: pl.DataFrame) -> Estimate:
    if rows.is_empty():
        return unknown("no held-out sentence names anybody whom the training text names too")
    likelihoods = ("true", "swapped", "name", "other")
    broken = _not_finite(rows, *likelihoods)
    if broken:
        return unknown(f"{broken} of {len(rows)} sentences have no finite likelihood")
    columns = (rows[name].to_numpy() for name in likelihoods)
    return bootstrap.share(cloze.right(*columns), rows["scene"].to_numpy())


def _not_finite(rows: pl.DataFrame, *likelihoods: str) -> int:
    """Return how many rows lack a finite likelihood: the model computes what is no number."""
    finite = (pl.col(name).is_finite().fill_null(False) for name in likelihoods)
    return len(rows.filter(~pl.all_horizontal(finite)))


def _extraction(rows: pl.DataFrame) -> Estimate:
    whole = rows.with_columns(whole=(pl.col("matched") >= pl.col("asked")).cast(pl.Float64))
    parts = [
        (part["whole"].to_numpy(), np.ones(len(part)), part["scene"].to_numpy())
        for part in (whole.filter(pl.col("split") == split) for split in (TRAINING, VALIDATION))
    ]
    if not len(parts[0][0]):
        return unknown("no training text is long enough")
    if not len(parts[1][0]):
        return unknown("no held-out text is long enough to compare with")
    first, second = (ratio(*part) for part in parts)
    assert first.value is not None
    assert second.value is not None
    drawn = [ratio_draws(*part) for part in parts]
    spread = None if drawn[0] is None or drawn[1] is None else drawn[0] - drawn[1][::-1]
    found = of_draws(first.value - second.value, spread, first.count)
    if spread is None or first.value or second.value:
        return found
    # Nothing was extracted at all, which in so many scenes is no proof that nothing ever is.
    far = [never(part.sums.scenes.size) for part in (first, second) if part.sums is not None]
    return replace(found, low=-far[1], high=far[0])


def _questions(rows: pl.DataFrame, language: LanguageTraits) -> Iterator[tuple[str, Estimate]]:
    texts = [text or "" for text in rows["text"].to_list()]
    if not texts:
        for name in ("question_length", "question_form"):
            yield name, unknown("no questions in this language")
        return
    questions = rows["question"].to_numpy()
    yield "question_length", bootstrap.mean(number(texts, language).lengths, questions)
    marks = [100 * sum(len(m) for m in _FORM.findall(text)) for text in texts]
    found = ratio(marks, [len(text) for text in texts], questions)
    yield "question_form", found if found.value is not None else unknown("every answer is empty")
