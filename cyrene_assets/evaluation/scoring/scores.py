"""Scores of all models in one language, and those of the real held-out lines.

A row per model, sampling profile and score, with its interval over scenes; a score without a value
has a note that says why. No composite score.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics import diversity, style
from cyrene_assets.evaluation.metrics.reference import Reference
from cyrene_assets.evaluation.scoring.per_answer import REAL_LINES, Answers
from cyrene_assets.evaluation.scoring.score_registry import SCORES, Score
from cyrene_assets.evaluation.statistics import bootstrap
from cyrene_assets.evaluation.statistics.bootstrap import Estimate, no_estimate

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# In place of a language, which cannot have this code, in the scoreboard's rows of means.
MEAN = "(mean)"
# A report's further tables.
SCENES, EXAMPLES = "scenes.parquet", "examples.parquet"

SCHEMA = pl.Schema(
    {
        "model": pl.String, "profile": pl.String, "language": pl.String, "score": pl.String,
        "value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "count": pl.Int64,
        "note": pl.String,
    }
)  # fmt: skip
SCENES_SCHEMA = pl.Schema(
    {
        "model": pl.String, "profile": pl.String, "language": pl.String, "score": pl.String,
        "scene": pl.String, "top": pl.Float64, "bottom": pl.Float64,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """Scores (`SCHEMA`), and the scene sums of those that are ratios (`SCENES_SCHEMA`)."""

    table: pl.DataFrame
    scenes: pl.DataFrame

    @classmethod
    def concat(cls, parts: "Sequence[Scores]") -> "Scores":
        """Return the rows of all parts."""
        return cls(
            pl.concat([SCHEMA.to_frame(), *(part.table for part in parts)]),
            pl.concat([SCENES_SCHEMA.to_frame(), *(part.scenes for part in parts)]),
        )


def score_answers(answers: Answers, reference: Reference) -> Scores:
    """Score every model and profile of one language, the real lines first.

    Args:
        answers: of `per_answer.measure_answers`.
        reference: of the language.

    Returns:
        A language without answers gives no rows.
    """
    table = numbered(answers.table)
    if table.is_empty():
        return Scores.concat([])
    scene_names = table["scene"].unique().sort().to_list()
    real = table.filter(pl.col("model") == REAL_LINES)
    length = diversity.common_length(answers.tokens.take(real["row"].to_numpy().astype(np.int64)))
    parts = []
    # The order of the models, then that of the profiles, is the order of the generations' rows.
    for (model, profile), group in table.group_by("model", "profile", maintain_order=True):
        estimates = dict(_of_answers(group, real, answers.notes))
        estimates["style"] = _style(group, answers, reference)
        estimates["generated"] = _real_or_generated(group, real, answers, reference.traits)
        estimates |= _diversity(group, answers, length)
        scores = score_rows(str(model), str(profile), reference.language, estimates.items())
        # Scenes were numbered from 1, in the order of their names.
        scene = pl.col("scene").cast(pl.Int64).replace_strict(dict(enumerate(scene_names, 1)))
        parts.append(replace(scores, scenes=scores.scenes.with_columns(scene)))
    return Scores.concat(parts)


def numbered(answers: pl.DataFrame) -> pl.DataFrame:
    """Add ``row``, the answer's place in the table, and ``number``, its scene's from 1."""
    return answers.with_row_index("row").with_columns(
        number=pl.col("scene").rank("dense").cast(pl.Int64)
    )


def score_rows(
    model: str, profile: str, language: str, estimates: Iterable[tuple[str, Estimate]]
) -> Scores:
    """Return the estimates of one model and profile as rows."""
    rows, frames = [], [SCENES_SCHEMA.to_frame()]
    for name, estimate in estimates:
        row = {"model": model, "profile": profile, "language": language, "score": name}
        values = {key: getattr(estimate, key) for key in ("value", "low", "high", "count", "note")}
        rows.append(row | values)
        if estimate.sums is not None:
            sums = estimate.sums
            columns = {"scene": sums.scenes, "top": sums.numerators, "bottom": sums.denominators}
            frames.append(
                pl.DataFrame(columns)
                .with_columns(pl.lit(value).alias(key) for key, value in row.items())
                .select(pl.col(key).cast(dtype) for key, dtype in SCENES_SCHEMA.items())
            )
    return Scores(pl.DataFrame(rows, schema=SCHEMA), pl.concat(frames))


def unanswered_scores(silent: Iterable[tuple[str, str]], language: str, note: str) -> Scores:
    """Return every score of answers without a value, for models that have none in a language.

    Args:
        silent: the models and profiles.
        language: in which they gave no answer.
        note: why.
    """
    estimates = [(name, no_estimate(note)) for name, score in SCORES.items() if score.per_profile]
    return Scores.concat(
        [score_rows(model, profile, language, estimates) for model, profile in silent]
    )


def _of_answers(
    group: pl.DataFrame, real: pl.DataFrame, notes: Mapping[str, str]
) -> Iterator[tuple[str, Estimate]]:
    if "regurgitation" in notes:
        yield "regurgitation", no_estimate(notes["regurgitation"])
        yield "regurgitation_excess", no_estimate(notes["regurgitation"])
    else:
        sums, real_sums = (
            tuple(frame.select("covered", "characters", "number").to_numpy().T)
            for frame in (group, real)
        )
        yield "regurgitation", bootstrap.with_exact_bound(bootstrap.ratio(*sums))
        if group["model"][0] != REAL_LINES:
            yield "regurgitation_excess", bootstrap.ratio_difference(sums, real_sums)
    for score in SCORES.values():
        if score.averaged:
            yield score.name, _average(group, score, notes)
    yield "length_ratio", _length_ratio(group, real)
    if group["finish_reason"].null_count() < len(group):
        at_limit = (group["finish_reason"] == "length").fill_null(False).to_numpy()
        yield "limit_rate", bootstrap.proportion(at_limit.astype(float), group["number"].to_numpy())


def _average(group: pl.DataFrame, score: Score, notes: Mapping[str, str]) -> Estimate:
    if score.name in notes:
        return no_estimate(notes[score.name])
    mean = bootstrap.proportion if score.unit == "share" else bootstrap.mean
    estimate = mean(group[score.name].to_numpy(), group["number"].to_numpy())
    if estimate.value is None:
        return no_estimate(score.no_value if group["characters"].sum() else "every answer is empty")
    return estimate


def _length_ratio(group: pl.DataFrame, real: pl.DataFrame) -> Estimate:
    real_length = real["length"].fill_nan(None).mean()
    estimate = bootstrap.mean(group["length"].to_numpy(), group["number"].to_numpy())
    if not isinstance(real_length, float) or not real_length or estimate.value is None:
        note = "every answer is empty" if real_length else "the real lines are empty"
        return no_estimate(note, estimate.count)
    low, high = (None if x is None else x / real_length for x in (estimate.low, estimate.high))
    sums = estimate.sums
    if sums is not None:
        sums = replace(sums, numerators=sums.numerators / real_length)
    return replace(estimate, value=estimate.value / real_length, low=low, high=high, sums=sums)


def _style(group: pl.DataFrame, answers: Answers, reference: Reference) -> Estimate:
    if "style" in answers.notes:
        return no_estimate(answers.notes["style"])
    if not len(answers.others_style):
        return no_estimate("no held-out line of another speaker")
    written = group.filter(pl.col("style").is_not_nan())
    if written.is_empty():
        return no_estimate("every answer is empty")
    return bootstrap.auc(
        written["style"].to_numpy(),
        written["number"].to_numpy(),
        answers.others_style,
        np.asarray(reference.held_out_scenes),
    )


def _diversity(group: pl.DataFrame, answers: Answers, length: int) -> dict[str, Estimate]:
    seeds = [
        (part["row"].to_numpy().astype(np.int64), part["number"].to_numpy())
        for part in group.partition_by("seed", maintain_order=True)
    ]
    return {
        name: diversity.estimate(measure, answers.tokens, seeds, length)
        for name, measure in diversity.MEASURES.items()
    }


def _real_or_generated(
    group: pl.DataFrame, real: pl.DataFrame, answers: Answers, language: LanguageTraits
) -> Estimate:
    """Return how well a classifier tells the answers of the first seed from the real lines."""
    if group["model"][0] == REAL_LINES:
        return no_estimate("these are the real lines")
    chosen, lines = first_seed(group), _written(real)
    if min(len(chosen), len(lines)) < style.MIN_LINES:
        return no_estimate(f"fewer than {style.MIN_LINES} answers or real lines", len(chosen))
    return real_against_generated(lines, chosen, answers, language)[0]


def real_against_generated(
    real: pl.DataFrame, generated: pl.DataFrame, answers: Answers, language: LanguageTraits
) -> tuple[Estimate, npt.NDArray[np.float64]]:
    """Return `style.real_against_generated` of rows of `numbered` answers."""

    def features(rows: pl.DataFrame) -> "csr_matrix":
        return style.ngram_features([answers.masked[row] for row in rows["row"]], language)

    return style.real_against_generated(
        features(real), real["number"].to_numpy(), features(generated),
        generated["number"].to_numpy(),
    )  # fmt: skip


def first_seed(group: pl.DataFrame) -> pl.DataFrame:
    """Return the answers with text of the first seed."""
    return _written(group.filter(pl.col("seed") == pl.col("seed").first()))


def _written(group: pl.DataFrame) -> pl.DataFrame:
    return group.filter(pl.col("text").str.strip_chars() != "")
