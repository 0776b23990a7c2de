"""Scores that do not depend on sampling: losses, lore, extraction, questions out of character."""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.inputs.loss_texts import FORMAL, TRAINING, VALIDATION
from cyrene_assets.evaluation.metrics.cloze import score_pairs
from cyrene_assets.evaluation.metrics.ngrams import encode
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE
from cyrene_assets.evaluation.scoring.run_tables import ModelTables
from cyrene_assets.evaluation.scoring.scores import Scores, score_rows
from cyrene_assets.evaluation.statistics import bootstrap
from cyrene_assets.evaluation.statistics.bootstrap import (
    Estimate,
    from_replicates,
    no_estimate,
    ratio,
    ratio_replicates,
    zero_event_bound,
)

# Digits, operators, brackets, and the marks of code, tables and lists at the start of a line.
_FORM = re.compile(r"[0-9=+*/<>{}\[\]()`#_^|\\]|^\s*[-•]\s", re.MULTILINE)
_LIKELIHOODS = ("true", "swapped", "name", "other")
_NO_DOCUMENT = "no held-out document"


def score_models(
    tables: ModelTables, models: list[str], language: str, traits: LanguageTraits
) -> Scores:
    """Score every model in one language, with profile "-"."""
    parts = []
    for model in models:
        rows = tables.of(language, model)
        estimates = [
            *_losses(rows.losses),
            ("cloze", _cloze(rows.cloze)),
            ("extraction", _extraction(rows.extraction)),
            *_questions(rows.questions, traits),
        ]
        parts.append(score_rows(model, NO_PROFILE, language, estimates))
    return Scores.concat(parts)


def _losses(losses: pl.DataFrame) -> Iterator[tuple[str, Estimate]]:
    not_finite = _count_not_finite(losses, "nll")
    if not_finite:
        for name in ("loss", "gap", "perplexity", "formal_loss"):
            yield (
                name,
                no_estimate(f"{not_finite} of {len(losses)} texts have no finite likelihood"),
            )
        return
    sums = {
        split: losses.filter(split=split).select("nll", "tokens", "scene").to_dict()
        for split in (VALIDATION, TRAINING, FORMAL)
    }
    held_out, trained, formal = (
        ratio(*(column.to_numpy() for column in part.values())) for part in sums.values()
    )
    replicates, trained_replicates = (
        ratio_replicates(*(column.to_numpy() for column in sums[split].values()))
        for split in (VALIDATION, TRAINING)
    )
    yield "loss", held_out if held_out.value is not None else no_estimate(_NO_DOCUMENT)
    if held_out.value and trained.value is not None:
        gap_replicates = None
        if replicates is not None and trained_replicates is not None:
            gap_replicates = 1 - trained_replicates[::-1] / replicates
        gap = 1 - trained.value / held_out.value
        yield "gap", from_replicates(gap, gap_replicates, held_out.count, _fewer(held_out, trained))
    else:
        yield "gap", no_estimate(f"{_NO_DOCUMENT}, or no trained one of its kind")
    if held_out.value is None:
        yield "perplexity", no_estimate(_NO_DOCUMENT)
    else:
        # It rises with the loss, and so do the ends of its interval.
        low, high = (_perplexity(end) for end in (held_out.low, held_out.high))
        perplexity = _perplexity(held_out.value)
        yield "perplexity", Estimate(perplexity, low, high, held_out.count, held_out.note)
    if formal.value is None:
        yield "formal_loss", no_estimate("no formal text in this language")
    else:
        yield "formal_loss", Estimate(formal.value, count=formal.count, note="one text")


def _cloze(rows: pl.DataFrame) -> Estimate:
    if rows.is_empty():
        return no_estimate("no held-out sentence names anybody whom the training text names too")
    not_finite = _count_not_finite(rows, *_LIKELIHOODS)
    if not_finite:
        return no_estimate(f"{not_finite} of {len(rows)} sentences have no finite likelihood")
    correct = score_pairs(*(rows[name].to_numpy() for name in _LIKELIHOODS))
    return bootstrap.proportion(correct, rows["scene"].to_numpy())


def _count_not_finite(rows: pl.DataFrame, *likelihoods: str) -> int:
    """Return how many rows lack a finite likelihood: some models compute NaN."""
    finite = (pl.col(name).is_finite().fill_null(False) for name in likelihoods)
    return len(rows.filter(~pl.all_horizontal(finite)))


def _extraction(rows: pl.DataFrame) -> Estimate:
    extracted = rows.with_columns(extracted=(pl.col("matched") >= pl.col("asked")).cast(pl.Float64))
    parts = [
        (part["extracted"].to_numpy(), np.ones(len(part)), part["scene"].to_numpy())
        for part in (extracted.filter(split=split) for split in (TRAINING, VALIDATION))
    ]
    if not len(parts[0][0]):
        return no_estimate("no training text is long enough")
    if not len(parts[1][0]):
        return no_estimate("no held-out text is long enough to compare with")
    trained, held_out = (ratio(*part) for part in parts)
    assert trained.value is not None
    assert held_out.value is not None
    trained_replicates, held_out_replicates = (ratio_replicates(*part) for part in parts)
    replicates = None
    if trained_replicates is not None and held_out_replicates is not None:
        replicates = trained_replicates - held_out_replicates[::-1]
    value = trained.value - held_out.value
    estimate = from_replicates(value, replicates, trained.count, _fewer(trained, held_out))
    if replicates is None or trained.value or held_out.value:
        return estimate
    # Nothing was extracted, which does not prove that nothing ever is.
    high, low = (
        zero_event_bound(part.sums.scenes.size)
        for part in (trained, held_out)
        if part.sums is not None
    )
    return replace(estimate, low=-low, high=high)


def _perplexity(loss: float | None) -> float | None:
    return None if loss is None else float(np.exp(loss))


def _fewer(first: Estimate, second: Estimate) -> npt.ArrayLike:
    """Return the weights of the scenes of the one that tells less."""
    assert first.sums is not None
    assert second.sums is not None
    return bootstrap.fewer(first.sums.denominators, second.sums.denominators)


def _questions(rows: pl.DataFrame, traits: LanguageTraits) -> Iterator[tuple[str, Estimate]]:
    texts = [text or "" for text in rows["text"].to_list()]
    if not texts:
        for name in ("question_length", "question_form"):
            yield name, no_estimate("no questions in this language")
        return
    questions = rows["question"].to_numpy()
    yield "question_length", bootstrap.mean(encode(texts, traits).lengths, questions)
    marks = [100 * sum(len(m) for m in _FORM.findall(text)) for text in texts]
    form = ratio(marks, [len(text) for text in texts], questions)
    yield "question_form", form if form.value is not None else no_estimate("every answer is empty")
