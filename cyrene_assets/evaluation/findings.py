"""The seeds' findings as questions, and what the scoreboard answers when the models are there."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from cyrene_assets.evaluation import pareto
from cyrene_assets.evaluation.answers import REAL_LINES
from cyrene_assets.evaluation.board import labels, models, of_model
from cyrene_assets.evaluation.catalog import BY_NAME
from cyrene_assets.evaluation.metrics import GAP_RED_FLAG
from cyrene_assets.evaluation.scores import MEAN, MODELS

Key = tuple[str | None, ...]

# The seeds' targets: high diversity, low hallucination, minimal repetition. Nothing here measures
# hallucination itself; an answer that leaves her style or language is what comes nearest.
TARGETS = {"distinct_2": 1, "style": 1, "language": 1, "rep4": -1, "loop_rate": -1}
_COMPARED = ("cloze", "style", "regurgitation_excess", "distinct_2", "rep4", "language", "loss")


@dataclass(frozen=True)
class Answer:
    """What is said about some models: about which, and part by part what."""

    about: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """A question, the answers there are, and what is needed where there are none."""

    question: str
    answers: tuple[Answer, ...]
    needed: str


@dataclass(frozen=True)
class Value:
    """A score's mean over languages."""

    value: float
    low: float | None
    high: float | None

    def shown(self) -> str:
        """Return it with its interval."""
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def findings(table: pl.DataFrame) -> list[Finding]:
    """Answer the seeds' questions from a board; no answer is better than a guessed one."""
    means = table.filter(pl.col("language") == MEAN)
    board = _Board(means)
    questions: tuple[tuple[str, Callable[[_Board], Iterator[Answer]], str], ...] = (
        ("Did continual pretraining help?", _pretraining,
         "a base model and a trained one of the same size"),
        ("Does the larger model beat the smaller one?", _sizes,
         "two sizes, trained with the same recipe on the same corpus"),
        ("Which sampling profile?", _profiles,
         "a trained model asked under several profiles, and enough text to compare them"),
        ("From the base or from the instruct model?", _starts,
         "two recipes of one size, one that starts from each"),
        ("Is a checkpoint overfitted although its loss is fine?", _overfitted,
         "a trained model with losses and answers; `cyrene evaluate` adds earlier checkpoints"),
    )  # fmt: skip
    return [Finding(asked, tuple(answer(board)), needed) for asked, answer, needed in questions]


class _Board:
    """The means of a board, asked by model."""

    def __init__(self, means: pl.DataFrame) -> None:
        self.means = means
        self.models = models(means)
        self.names = labels(means)

    def value(self, key: Key, score: str, profile: str | None = None) -> Value | None:
        rows = of_model(self.means, key).filter(score=score).drop_nulls("value")
        chosen = pl.col("served") if profile is None else pl.col("profile") == profile
        found = rows.filter(chosen)
        if found.is_empty():
            return None
        row = found.row(0, named=True)
        return Value(row["value"], row["low"], row["high"])

    def keys(self, **conditions: str | None) -> list[Key]:
        """Return the models that meet the conditions."""
        found = self.models
        for name, value in conditions.items():
            found = found.filter(pl.col(name).eq_missing(pl.lit(value, pl.String)))
        return [tuple(row[:5]) for row in found.rows()]

    def finished(self) -> list[Key]:
        """Return the last model of each corpus, size and recipe: what would be served."""
        found: dict[Key, Key] = {}
        for key in self.keys():
            if key[2] != "base":
                place = (key[0], key[1], key[3], key[4] if key[2] not in MODELS else None)
                last = found.get(place)
                if last is None or _stage(key) > _stage(last):
                    found[place] = key
        return list(found.values())


def verdict(first: Value, second: Value, direction: int) -> str:
    """Say whether the first is better than the second: intervals decide, where there are any.

    The difference's half-width is the root of the sum of squares of both: as if the two erred
    apart. They answered the same prompts, so this is the cautious side.
    """
    ahead = direction * (first.value - second.value)
    widths = [
        (v.high - v.low) / 2 for v in (first, second) if v.low is not None and v.high is not None
    ]
    if len(widths) < 2:
        return "better, by how much cannot be told" if ahead > 0 else "not better"
    if abs(ahead) <= math.hypot(*widths):
        return "no difference that can be told"
    return "better" if ahead > 0 else "worse"


def _stage(key: Key) -> int:
    return MODELS.index(key[2]) if key[2] in MODELS else len(MODELS)


def _compared(board: _Board, first: Key, second: Key, scores: Sequence[str]) -> tuple[str, ...]:
    """Say score by score how the first does beside the second."""
    parts = []
    for score in scores:
        one, other = board.value(first, score), board.value(second, score)
        direction = {"low": -1, "high": 1}.get(BY_NAME[score].better)
        if one is None or other is None:
            continue
        said = f"{BY_NAME[score].title.lower()} {one.shown()} against {other.shown()}"
        parts.append(said + (f": {verdict(one, other, direction)}" if direction else ""))
    return tuple(parts)


def _pretraining(board: _Board) -> Iterator[Answer]:
    for base in board.keys(model="base"):
        pretrained = board.keys(corpus=base[0], size=base[1], model="cpt")
        finished = [key for key in board.finished() if key[:2] == base[:2]]
        for key in pretrained or finished:
            what = (
                ""
                if pretrained
                else " (with fine-tuning on top: name cpt among the models to tell the two apart)"
            )
            told = _compared(board, key, base, ("cloze", "loss", "formal_loss"))
            if told:
                yield Answer(f"{board.names[key]} beside the base{what}", told)


def _sizes(board: _Board) -> Iterator[Answer]:
    finished = board.finished()
    for larger in finished:
        for smaller in finished:
            same = (larger[0], larger[2], larger[3]) == (smaller[0], smaller[2], smaller[3])
            if same and _billions(larger) > _billions(smaller):
                told = _compared(board, larger, smaller, _COMPARED)
                if told:
                    yield Answer(f"{board.names[larger]} beside {board.names[smaller]}", told)


def _billions(key: Key) -> float:
    digits = (key[1] or "").rstrip("B")
    return float(digits) if digits.replace(".", "", 1).isdigit() else 0.0


def _profiles(board: _Board) -> Iterator[Answer]:
    for key in board.finished():
        own = of_model(board.means, key).filter(pl.col("profile") != "-")
        points = {}
        for profile in own["profile"].unique(maintain_order=True):
            found = ((score, board.value(key, score, profile)) for score in TARGETS)
            known = {score: value.value for score, value in found if value is not None}
            if {"distinct_2", "rep4"} <= known.keys():
                points[profile] = known
        shared = {s: d for s, d in TARGETS.items() if all(s in p for p in points.values())}
        if len(points) > 1:
            best = pareto.front(list(points.values()), shared)
            kept = [name for name, good in zip(points, best, strict=True) if good]
            lost = [name for name, good in zip(points, best, strict=True) if not good]
            titles = ", ".join(BY_NAME[score].title for score in shared)
            parts = [f"choose among {', '.join(kept)}"]
            if lost:
                parts.append(f"beaten in all of these by another: {', '.join(lost)}")
            yield Answer(f"{board.names[key]}, by {titles}", tuple(parts))


def _starts(board: _Board) -> Iterator[Answer]:
    starts = {tuple(row[:5]): row[5] for row in board.models.rows()}
    finished = board.finished()
    for instruct in (key for key in finished if starts[key] == "instruct"):
        for base in (key for key in finished if starts[key] == "base"):
            if (base[0], base[1], base[2]) == (instruct[0], instruct[1], instruct[2]):
                told = _compared(board, base, instruct, _COMPARED)
                if told:
                    about = (
                        f"{board.names[base]} (from the base) beside {board.names[instruct]} "
                        "(from the instruct model)"
                    )
                    yield Answer(about, told)


def _overfitted(board: _Board) -> Iterator[Answer]:
    for key in board.finished():
        gap, excess = (board.value(key, name) for name in ("gap", "regurgitation_excess"))
        if gap is None or excess is None:
            continue
        fine = gap.value <= GAP_RED_FLAG
        loss = f"gap {gap.value:+.1%}, {'fine' if fine else 'a red flag'}"
        recited = f"regurgitation {excess.shown()} above that of the real lines"
        if excess.low is None:
            said = "too few scenes to tell"
        elif excess.low > 0:
            said = (
                "yes: its loss looks fine and it recites" if fine else "yes, and its loss shows it"
            )
        else:
            said = "no sign of it" if fine else "its loss says so, its answers do not"
        yield Answer(board.names[key], (said, loss, recited))
    line = [k for k in board.finished() if board.value(k, "loss") and k[2] != REAL_LINES]
    for place in dict.fromkeys((key[0], key[1]) for key in line):
        same = [key for key in line if (key[0], key[1]) == place]
        rows = (
            (key, board.value(key, "loss"), board.value(key, "regurgitation_excess"))
            for key in same
        )
        told = [
            f"{board.names[key]} {before.value:.3f} and {after.value:.3f}"
            for key, before, after in rows
            if before is not None and after is not None
        ]
        if len(told) > 1:
            about = f"Loss, and regurgitation, over the checkpoints of {place[1]}"
            yield Answer(about, tuple(told))
