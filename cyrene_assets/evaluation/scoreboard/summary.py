"""The first screen of the scoreboard: which model to take, and whether the training worked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cyrene_assets.evaluation.metrics.training_losses import GAP_RED_FLAG
from cyrene_assets.evaluation.scoreboard import pareto
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.comparison import ModelComparison, Value, Verdict
from cyrene_assets.evaluation.scoreboard.evidence import verdict
from cyrene_assets.evaluation.scoreboard.looping import looping_profiles
from cyrene_assets.evaluation.scoreboard.results import ModelKey
from cyrene_assets.evaluation.scoreboard.standing import Standing, standings
from cyrene_assets.evaluation.scoring.run_tables import STAGES
from cyrene_assets.evaluation.scoring.score_registry import SCORES

SUMMARY_SCORES = ("cloze", "style", "regurgitation_excess", "rep4", "language", "loss")
# A base model cannot recite what it has not seen: that score is compared with the real lines.
COMPARED_WITH_BASE = tuple(name for name in SUMMARY_SCORES if name != "regurgitation_excess")
# A warning is due when this share fewer answers than real lines are in the prompt's language. Some
# real lines are misidentified, too.
LANGUAGE_RED_FLAG = 0.03


@dataclass(frozen=True)
class Cell:
    """A value, how it compares with that of the base model, and without which languages it is."""

    text: str
    verdict: Verdict | None = None
    words: str = ""
    of: str = ""


@dataclass(frozen=True)
class Row:
    """A finished model, or what it is compared with; ``kind`` is "trained", "base" or "real"."""

    name: str
    kind: str
    best: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Summary:
    """The model to take, each model compared with its base, warnings, and the numbers.

    ``versus_base`` has a model's name and the sentence about it.
    """

    take: str
    versus_base: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    rows: tuple[Row, ...]


def summarize(board: Scoreboard) -> Summary:
    """Summarize a scoreboard: the models to serve, the base models and the real lines."""
    served = board.served()
    chosen = pareto.candidates(board, served)
    standing = standings(board, chosen)
    best = [key for key, stands in standing.items() if stands == "unbeaten"]
    versus_base = {key: _compare_with_base(board, key) for key in served}
    external = [key for key in board.finished() if key not in served]
    dominated_by = {
        candidate.key: [key for key in candidate.dominated_by if key in external]
        for candidate in pareto.candidates(board, [*served, *external])
    }
    warnings = (_warning(board, key, dominated_by.get(key, ())) for key in served)
    return Summary(
        _recommendation(board, served, chosen, standing),
        tuple((board.names[key], verdict(versus_base[key])) for key in served if versus_base[key]),
        tuple(filter(None, warnings)),
        tuple(_rows(board, served, best, versus_base)),
    )


def _recommendation(
    board: Scoreboard,
    served: Sequence[ModelKey],
    chosen: Sequence[pareto.Candidate],
    standing: Mapping[ModelKey, Standing],
) -> str:
    if not served:
        return "No trained model has been evaluated yet."
    if len(served) == 1:
        return f"There is one trained model, {board.names[served[0]]}. Have a chat with it."
    if not chosen:
        return "No model has all of lore, style and regurgitation: see the tables for the rest."
    best = [board.names[candidate.key] for candidate in chosen if candidate.best]
    if all(standing[candidate.key] in ("alone", "unknown") for candidate in chosen):
        return (
            f"It cannot be told yet which of {', '.join(best)} is better: they share too few "
            "held-out scenes. Have a chat with each."
        )
    recommended = (
        f"{best[0]}: no other model is significantly better"
        if len(best) == 1
        else f"One of {', '.join(best)}: none of these is significantly better"
    )
    beaten = [
        f"{board.names[candidate.key]} is beaten by {board.names[candidate.dominated_by[0]]}"
        for candidate in chosen
        if not candidate.best
    ]
    sentences = [f"{recommended} in lore, style and reciting at once", *beaten]
    return f"{'. '.join(sentences)}. Have a chat."


def _compare_with_base(board: Scoreboard, key: ModelKey) -> list[ModelComparison]:
    base = board.base_of(key)
    return [] if base is None else board.compare(key, base, COMPARED_WITH_BASE)


def _warning(board: Scoreboard, key: ModelKey, dominated_by: Sequence[ModelKey]) -> str:
    excess, gap = (board.value(key, score) for score in ("regurgitation_excess", "gap"))
    language, real = board.beside_real_lines(key, "language")
    notes = []
    score = SCORES["regurgitation_excess"]
    certain = excess is not None and excess.low is not None and excess.low > 0
    if excess is not None and certain and excess.value >= score.smallest:
        more = score.format(excess.value)
        notes.append(f"recites {more} more of its text than the real lines share with training")
    if gap is not None and gap.value > GAP_RED_FLAG:
        notes.append(f"the gap between its losses is {gap.value:.0%}, above {GAP_RED_FLAG:.0%}")
    notes += _not_recovered(board, key)
    if language and real and language.value < real.value - LANGUAGE_RED_FLAG:
        notes.append(
            f"seems to give {1 - language.value:.0%} of its answers in another language than the "
            f"prompt's (the real lines {1 - real.value:.0%})"
        )
    for reason in looping_profiles(board, key, [None]).values():
        notes.append(f"its answers repeat themselves ({reason}): try another sampling profile")
    silent = board.silent_in(key)
    if silent:
        notes.append(f"gave no answer in {', '.join(silent)}, so it is not compared there")
    if dominated_by:
        names = ", ".join(board.names[rival] for rival in dominated_by)
        notes.append(f"beaten by {names}, which `cyrene evaluate` added")
    return f"{board.names[key]}: {'; '.join(notes)}" if notes else ""


def _not_recovered(board: Scoreboard, key: ModelKey) -> Iterator[str]:
    for stage, losses in board.losses(key).items():
        if losses.rise is not None and not losses.recovered:
            yield (
                f"the validation loss of its {STAGES[stage]} was lowest at step "
                f"{losses.min_eval_step} of {losses.last_eval_step} and ended "
                f"{losses.rise:.1%} above that, a red flag"
            )


def _rows(
    board: Scoreboard,
    served: Sequence[ModelKey],
    best: Sequence[ModelKey],
    versus_base: Mapping[ModelKey, Sequence[ModelComparison]],
) -> Iterator[Row]:
    shown: set[ModelKey | str | None] = set()
    for key in served:
        if key.corpus not in shown:
            shown.add(key.corpus)
            values = [board.real_value(key, score) for score in SUMMARY_SCORES]
            yield Row("real lines", "real", False, tuple(map(_cell, SUMMARY_SCORES, values)))
        base = board.base_of(key)
        if base is not None and base not in shown:
            shown.add(base)
            values = [board.value(base, score) for score in SUMMARY_SCORES]
            yield Row(board.names[base], "base", False, tuple(map(_cell, SUMMARY_SCORES, values)))
        comparisons = {comparison.score.name: comparison for comparison in versus_base[key]}
        cells = []
        for score in SUMMARY_SCORES:
            cell, comparison = _cell(score, board.value(key, score)), comparisons.get(score)
            if comparison is not None:
                cell = replace(cell, verdict=comparison.verdict, words=comparison.describe())
                lacks = comparison.only_second
                cell = replace(cell, of=f"without {', '.join(lacks)}" if lacks else "")
            cells.append(cell)
        yield Row(board.names[key], "trained", key in best, tuple(cells))


def _cell(score: str, value: Value | None) -> Cell:
    return Cell("-" if value is None else SCORES[score].format(value.value))
