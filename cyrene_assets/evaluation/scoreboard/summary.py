"""The first screen of the scoreboard: which model to take, and whether the training worked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cyrene_assets.evaluation.metrics.metrics import GAP_RED_FLAG
from cyrene_assets.evaluation.scoreboard import pareto
from cyrene_assets.evaluation.scoreboard.comparison import (
    Board,
    Comparison,
    Key,
    Value,
    Verdict,
    headline,
)
from cyrene_assets.evaluation.scoring.score_registry import BY_NAME

SHOWN = ("cloze", "style", "regurgitation_excess", "rep4", "language", "loss")
# No base model recites what it has not seen: that is held against the real lines.
_BESIDE_BASE = tuple(name for name in SHOWN if name != "regurgitation_excess")
# So many fewer answers in the language of the prompt than real lines are worth a word. Of the real
# lines, which all are in it, some are taken for another language's, too.
LANGUAGE_RED_FLAG = 0.03


@dataclass(frozen=True)
class Cell:
    """A value, and how it compares with that of the base model."""

    text: str
    verdict: Verdict | None = None
    words: str = ""


@dataclass(frozen=True)
class Row:
    """A finished model, or what it is held against; ``kind`` is "trained", "base" or "real"."""

    name: str
    kind: str
    best: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Summary:
    """Which model to take, what became of the base model, what to beware of; and the numbers."""

    take: str
    worked: tuple[tuple[str, str], ...]
    beware: tuple[str, ...]
    rows: tuple[Row, ...]


def summary(board: Board) -> Summary:
    """Sum a board up: the models to serve, the base models and the real lines."""
    served = board.served()
    chosen = pareto.candidates(board, served)
    best = [one.key for one in chosen if one.best]
    beside = {key: _beside_base(board, key) for key in served}
    own = [key for key in board.finished() if key not in served]
    ahead = {
        one.key: [key for key in one.beaten_by if key in own]
        for one in pareto.candidates(board, [*served, *own])
    }
    return Summary(
        _take(board, served, chosen),
        tuple((board.names[key], headline(beside[key])) for key in served if beside[key]),
        tuple(line for key in served if (line := _beware(board, key, ahead.get(key, ())))),
        tuple(_rows(board, served, best, beside)),
    )


def _take(board: Board, served: Sequence[Key], chosen: Sequence[pareto.Candidate]) -> str:
    if not served:
        return "No trained model has been evaluated yet."
    if len(served) == 1:
        return f"There is one trained model, {board.names[served[0]]}. Have a chat with it."
    if not chosen:
        return "No model has all of lore, style and regurgitation: the tables show what there is."
    best = [board.names[one.key] for one in chosen if one.best]
    said = (
        f"{best[0]}: no other model can be told to beat it"
        if len(best) == 1
        else f"One of {', '.join(best)}: none of these can be told to beat another"
    )
    lost = [
        f"{board.names[one.key]} is beaten by {board.names[one.beaten_by[0]]}"
        for one in chosen
        if not one.best
    ]
    return f"{'. '.join([f'{said} in lore, style and reciting at once', *lost])}. Have a chat."


def _beside_base(board: Board, key: Key) -> list[Comparison]:
    base = board.base_of(key)
    return [] if base is None else board.compare(key, base, _BESIDE_BASE)


def _beware(board: Board, key: Key, ahead: Sequence[Key]) -> str:
    excess, gap, spoken = (
        board.value(key, score) for score in ("regurgitation_excess", "gap", "language")
    )
    real = board.real(key, "language")
    notes = []
    if excess is not None and excess.low is not None and excess.low > 0:
        more = BY_NAME["regurgitation_excess"].shown(excess.value)
        notes.append(f"recites {more} more of its text than the real lines share with training")
    if gap is not None and gap.value > GAP_RED_FLAG:
        notes.append(f"the gap between its losses is {gap.value:.0%}, above {GAP_RED_FLAG:.0%}")
    if spoken and real and spoken.value < real.value - LANGUAGE_RED_FLAG:
        notes.append(
            f"seems to give {1 - spoken.value:.0%} of its answers in another language than the "
            f"prompt's (the real lines {1 - real.value:.0%})"
        )
    if ahead:
        names = ", ".join(board.names[other] for other in ahead)
        notes.append(f"beaten by {names}, which `cyrene evaluate` added")
    return f"{board.names[key]}: {'; '.join(notes)}" if notes else ""


def _rows(
    board: Board, served: Sequence[Key], best: Sequence[Key], beside: dict[Key, list[Comparison]]
) -> Iterator[Row]:
    shown: set[Key | str | None] = set()
    for key in served:
        if key[0] not in shown:
            shown.add(key[0])
            values = [board.real(key, score) for score in SHOWN]
            yield Row("real lines", "real", False, tuple(map(_cell, SHOWN, values)))
        base = board.base_of(key)
        if base is not None and base not in shown:
            shown.add(base)
            values = [board.value(base, score) for score in SHOWN]
            yield Row(board.names[base], "base", False, tuple(map(_cell, SHOWN, values)))
        against = {one.score.name: one for one in beside[key]}
        cells = []
        for score in SHOWN:
            cell = _cell(score, board.value(key, score))
            one = against.get(score)
            cells.append(cell if one is None else Cell(cell.text, one.verdict, one.words()))
        yield Row(board.names[key], "trained", key in best, tuple(cells))


def _cell(score: str, value: Value | None) -> Cell:
    return Cell("-" if value is None else BY_NAME[score].shown(value.value))
