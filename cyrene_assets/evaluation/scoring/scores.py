"""Scores of all models in one language, and those of the real held-out lines.

A row per model, sampling profile and score, with its interval over scenes; what cannot be told has
no value, and a note that says why. No composite score.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.config import model_roles
from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics import diversity, style
from cyrene_assets.evaluation.metrics.reference import Reference
from cyrene_assets.evaluation.scoring.per_answer import REAL_LINES, Answers
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.evaluation.statistics import bootstrap
from cyrene_assets.evaluation.statistics.bootstrap import Estimate, unknown

MODELS = model_roles.NAMES
# What tells two models of the scoreboard apart; and in place of a language, which cannot have this
# code, in its rows of means.
MODEL = ("corpus", "size", "model", "recipe", "digest")
MEAN = "(mean)"

SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "profile": pl.String,
        "language": pl.String,
        "score": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "count": pl.Int64,
        "note": pl.String,
    }
)
SCENES_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "profile": pl.String,
        "language": pl.String,
        "score": pl.String,
        "scene": pl.String,
        "top": pl.Float64,
        "bottom": pl.Float64,
    }
)
# Scores that are the mean of a value of single answers, by the name of its column.


@dataclass(frozen=True)
class Scores:
    """Scores (`SCHEMA`), and what each scene gives to those that are sums (`SCENES_SCHEMA`)."""

    table: pl.DataFrame
    scenes: pl.DataFrame

    @classmethod
    def together(cls, parts: "Sequence[Scores]") -> "Scores":
        """Return the rows of all parts."""
        return cls(
            pl.concat([SCHEMA.to_frame(), *(part.table for part in parts)]),
            pl.concat([SCENES_SCHEMA.to_frame(), *(part.scenes for part in parts)]),
        )


def score_answers(answers: Answers, reference: Reference) -> Scores:
    """Score every model and profile of one language, the real lines first.

    Args:
        answers: of `answers.judge`.
        reference: of the language.

    Returns:
        A language without answers gives no rows.
    """
    table = answers.table.with_row_index("row").with_columns(
        number=pl.col("scene").rank("dense").cast(pl.Int64)
    )
    if table.is_empty():
        return Scores.together([])
    names = table["scene"].unique().sort().to_list()
    real = table.filter(pl.col("model") == REAL_LINES)
    length = diversity.fixed_length(answers.units.take(real["row"].to_numpy().astype(np.int64)))
    texts = _Features(answers, reference.traits)
    parts = []
    # The order of the models, then that of the profiles, is the order of the generations' rows.
    for (model, profile), group in table.group_by("model", "profile", maintain_order=True):
        estimates = dict(_of_answers(group, real, answers.notes))
        estimates["style"] = _style(group, answers, reference)
        estimates["generated"] = texts.real_or_generated(group, real)
        estimates |= _diversity(group, answers, length)
        found = in_rows(str(model), str(profile), reference.language, estimates.items())
        # Scenes were numbered from 1, in the order of their names.
        scene = pl.col("scene").cast(pl.Int64).replace_strict(dict(enumerate(names, 1)))
        parts.append(replace(found, scenes=found.scenes.with_columns(scene)))
    return Scores.together(parts)


def in_rows(
    model: str, profile: str, language: str, estimates: Iterable[tuple[str, Estimate]]
) -> Scores:
    """Return the estimates of one model and profile as rows."""
    estimates = list(estimates)
    about = {"model": model, "profile": profile, "language": language}
    rows = [
        {
            **about,
            "score": name,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "count": found.count,
            "note": found.note,
        }
        for name, found in estimates
    ]
    frames = [
        pl.DataFrame(
            {"scene": found.sums.scenes, "top": found.sums.tops, "bottom": found.sums.bottoms}
        ).select(
            *[pl.lit(value).alias(column) for column, value in about.items()],
            pl.lit(name).alias("score"),
            pl.col("scene").cast(pl.String),
            "top",
            "bottom",
        )
        for name, found in estimates
        if found.sums is not None
    ]
    return Scores(pl.DataFrame(rows, schema=SCHEMA), pl.concat([SCENES_SCHEMA.to_frame(), *frames]))


def without_answers(silent: Iterable[tuple[str, str]], language: str, note: str) -> Scores:
    """Name every score of answers as untold, of models that have none in a language.

    Args:
        silent: the models and profiles.
        language: in which they answered nothing.
        note: why.
    """
    of_answers = [(score.name, unknown(note)) for score in SCORES if score.profiles]
    return Scores.together(
        [in_rows(model, profile, language, of_answers) for model, profile in silent]
    )


def _of_answers(
    group: pl.DataFrame, real: pl.DataFrame, notes: Mapping[str, str]
) -> Iterator[tuple[str, Estimate]]:
    scenes = group["number"].to_numpy()
    covered = [
        frame.select("covered", "characters", "number").to_numpy().T for frame in (group, real)
    ]
    if "regurgitation" in notes:
        yield "regurgitation", unknown(notes["regurgitation"])
        yield "regurgitation_excess", unknown(notes["regurgitation"])
    else:
        yield "regurgitation", bootstrap.bounded(bootstrap.ratio(*covered[0]))
        if group["model"][0] != REAL_LINES:
            excess = bootstrap.ratio_difference(tuple(covered[0]), tuple(covered[1]))
            yield "regurgitation_excess", excess
    for score in SCORES:
        name = score.name
        if not score.averaged:
            continue
        if name in notes:
            found = unknown(notes[name])
        elif score.unit == "share":
            found = bootstrap.share(group[name].to_numpy(), scenes)
        else:
            found = bootstrap.mean(group[name].to_numpy(), scenes)
        if found.value is None and name not in notes:
            found = unknown(_why(group, name))
        yield name, found
    empty = (group["text"].str.strip_chars() == "").to_numpy()
    yield "empty", bootstrap.share(empty.astype(float), scenes)
    yield "length_ratio", _length_ratio(group, real)
    if group["finish_reason"].null_count() < len(group):
        cut = (group["finish_reason"] == "length").fill_null(False).to_numpy()
        yield "limit_rate", bootstrap.share(cut.astype(float), scenes)


def _why(group: pl.DataFrame, name: str) -> str:
    if not group["characters"].sum():
        return "every answer is empty"
    return {
        "rep4": "no answer has four words (characters)",
        "language": "every answer is too short",
    }.get(name, "nothing to measure")


def _length_ratio(group: pl.DataFrame, real: pl.DataFrame) -> Estimate:
    usual = real["length"].fill_nan(None).mean()
    found = bootstrap.mean(group["length"].to_numpy(), group["number"].to_numpy())
    if not isinstance(usual, float) or not usual or found.value is None:
        return unknown(
            "every answer is empty" if usual else "the real lines are empty", found.count
        )
    ends = [None if end is None else end / usual for end in (found.low, found.high)]
    sums = found.sums and replace(found.sums, tops=found.sums.tops / usual)
    return Estimate(found.value / usual, ends[0], ends[1], found.count, found.note, sums)


def _style(group: pl.DataFrame, answers: Answers, reference: Reference) -> Estimate:
    if "style" in answers.notes:
        return unknown(answers.notes["style"])
    said = group.filter(pl.col("style").is_not_nan())
    if said.is_empty():
        return unknown("every answer is empty")
    return bootstrap.auc(
        said["style"].to_numpy(),
        said["number"].to_numpy(),
        answers.others_style,
        np.asarray(reference.held_out_scenes),
    )


def _diversity(group: pl.DataFrame, answers: Answers, length: int) -> dict[str, Estimate]:
    seeds = [
        (part["row"].to_numpy().astype(np.int64), part["number"].to_numpy())
        for part in group.partition_by("seed", maintain_order=True)
    ]
    return {
        name: diversity.estimate(measure, answers.units, seeds, length)
        for name, measure in diversity.MEASURES.items()
    }


class _Features:
    """The classifier's features of the first seed's answers, and what it makes of each answer."""

    def __init__(self, answers: Answers, language: LanguageTraits) -> None:
        self._masked = answers.masked
        self._language = language

    def real_or_generated(self, group: pl.DataFrame, real: pl.DataFrame) -> Estimate:
        """Return how well the answers can be told from the real lines."""
        if group["model"][0] == REAL_LINES:
            return unknown("these are the real lines")
        chosen, lines = first_seed(group), _written(real)
        if min(len(chosen), len(lines)) < style.FEWEST_LINES:
            return unknown(f"fewer than {style.FEWEST_LINES} answers or real lines", len(chosen))
        found, _ = style.real_against_generated(
            self._of(lines), _numbers(lines), self._of(chosen), _numbers(chosen)
        )
        return found

    def _of(self, group: pl.DataFrame):  # type: ignore[no-untyped-def]
        return style.features([self._masked[row] for row in group["row"]], self._language)


def first_seed(group: pl.DataFrame) -> pl.DataFrame:
    """Return the answers with text of the first seed."""
    return _written(group.filter(pl.col("seed") == pl.col("seed").first()))


def _written(group: pl.DataFrame) -> pl.DataFrame:
    return group.filter(pl.col("text").str.strip_chars() != "")


def _numbers(group: pl.DataFrame) -> npt.NDArray[np.int64]:
    return group["number"].to_numpy()
