"""The seeds' findings as questions, and what the scoreboard answers when the models are there."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from cyrene_assets.evaluation.metrics.metrics import GAP_RED_FLAG
from cyrene_assets.evaluation.scoreboard.board import of_model
from cyrene_assets.evaluation.scoreboard.comparison import Board, Comparison, Key, beats, headline
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE
from cyrene_assets.evaluation.scoring.score_registry import BY_NAME
from cyrene_assets.evaluation.scoring.scores import MODELS

# What stands for the seeds' targets: high diversity, low hallucination, minimal repetition.
TARGETS = ("distinct_2", "style", "language", "rep4", "loop_rate")
STAND_IN = (
    "Nothing here measures hallucination: whether what she says is true to the story takes a "
    "reader. Style and language stand in for it, for an answer that loses the thread tends to "
    "leave her voice or her language first; a fluent falsehood passes both"
)
COMPARED = (
    "cloze", "style", "regurgitation_excess", "distinct_2", "rep4", "language", "length_ratio",
    "loss",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What is said about some models: about which, in short, and part by part with numbers."""

    about: str
    short: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """A question, the answers there are, what is needed where there are none, and a caution."""

    question: str
    answers: tuple[Answer, ...]
    needed: str
    beware: str = ""


def findings(board: Board) -> list[Finding]:
    """Answer the seeds' questions from a board; no answer is better than a guessed one."""
    questions: tuple[tuple[str, Callable[[Board], Iterator[Answer]], str, str], ...] = (
        ("Did continual pretraining help?", _pretraining,
         "a base model and a trained one of the same size", ""),
        ("Does the larger model beat the smaller one?", _sizes,
         "two sizes, trained with the same recipe on the same corpus",
         "Loss compares models with one tokenizer only"),
        ("Which sampling profile?", _profiles,
         "a trained model with several profiles, and enough text to compare them", STAND_IN),
        ("From the base or from the instruct model?", _starts,
         "two recipes of one size, one that starts from each", ""),
        ("Is a checkpoint overfitted although its loss is fine?", _overfitted,
         "a trained model with losses and answers; `cyrene evaluate` adds earlier checkpoints", ""),
        ("What did quantization cost?", _quantization,
         "the merged and the quantized model of one training", ""),
    )  # fmt: skip
    return [
        Finding(asked, tuple(answer(board)), needed, beware)
        for asked, answer, needed, beware in questions
    ]


def _answer(
    about: str, found: list[Comparison], leads: tuple[str, str, str] = ("Yes", "No", "In part")
) -> Iterator[Answer]:
    if found:
        yield Answer(about, headline(found, leads), tuple(one.words() for one in found))


def _pretraining(board: Board) -> Iterator[Answer]:
    pretrained = board.keys_of(model="cpt")
    places = {(key[:2], key[3]) for key in pretrained}
    others = [key for key in board.served() if (key[:2], key[3]) not in places]
    for key in (*pretrained, *others):
        base = board.base_of(key)
        if base is not None:
            about = f"{board.names[key]} against {board.names[base]}"
            if key in others:
                about += " (with fine-tuning on top: name cpt among the models to tell them apart)"
            yield from _answer(about, board.compare(key, base, ("cloze", "loss", "formal_loss")))


def _sizes(board: Board) -> Iterator[Answer]:
    finished = board.served()
    for larger in finished:
        for smaller in finished:
            same = (larger[0], larger[2], larger[3]) == (smaller[0], smaller[2], smaller[3])
            if same and _billions(larger) > _billions(smaller):
                about = f"{board.names[larger]} against {board.names[smaller]}"
                yield from _answer(about, board.compare(larger, smaller, COMPARED))


def _billions(key: Key) -> float:
    digits = (key[1] or "").rstrip("B")
    return float(digits) if digits.replace(".", "", 1).isdigit() else 0.0


def _profiles(board: Board) -> Iterator[Answer]:
    for key in board.served():
        own = of_model(board.means, key).filter(pl.col("profile") != NO_PROFILE)
        names = own["profile"].unique(maintain_order=True).to_list()
        values = {p: {score: board.value(key, score, p) for score in TARGETS} for p in names}
        shared = [score for score in TARGETS if all(values[p][score] for p in names)]
        if len(names) < 2 or not {"distinct_2", "rep4"} <= set(shared):
            continue
        beaten = {
            one: [
                other
                for other in names
                if other != one and beats(board.compare(key, key, shared, (other, one)))
            ]
            for one in names
        }
        kept = [name for name in names if not beaten[name]]
        lost = [f"{name} (by {', '.join(by)})" for name, by in beaten.items() if by]
        short = f"Choose among {', '.join(kept)}" if len(kept) > 1 else f"Take {', '.join(kept)}"
        if lost:
            short += f"; beaten in all of the targets together: {', '.join(lost)}"
        parts = (
            f"{name}: "
            + ", ".join(
                f"{BY_NAME[score].title} {BY_NAME[score].shown(found.value)}"
                for score in shared
                if (found := values[name][score]) is not None
            )
            for name in names
        )
        yield Answer(board.names[key], short, tuple(parts))


def _starts(board: Board) -> Iterator[Answer]:
    served = board.served()
    for instruct in (key for key in served if board.starts_from(key) == "instruct"):
        for base in (key for key in served if board.starts_from(key) == "base"):
            if (base[0], base[1], base[2]) == (instruct[0], instruct[1], instruct[2]):
                about = (
                    f"{board.names[base]} (from the base) against {board.names[instruct]} "
                    "(from the instruct model)"
                )
                leads = ("From the base", "From the instruct model", "Each in part")
                yield from _answer(about, board.compare(base, instruct, COMPARED), leads)


def _overfitted(board: Board) -> Iterator[Answer]:
    finished = board.finished()
    for key in finished:
        gap, excess = (board.value(key, name) for name in ("gap", "regurgitation_excess"))
        if gap is None or excess is None:
            continue
        fine = gap.value <= GAP_RED_FLAG
        shown = BY_NAME["regurgitation_excess"].shown
        if excess.low is None or excess.high is None:
            short, ends = "Too few scenes to tell", ""
        elif excess.low > 0:
            short = (
                "It recites although its loss is fine"
                if fine
                else "It recites, and its loss shows it"
            )
            ends = f" [{shown(excess.low)}, {shown(excess.high)}]"
        else:
            short = "No sign of it" if fine else "Its loss says so, its answers do not"
            ends = f" [{shown(excess.low)}, {shown(excess.high)}]"
        loss = f"the gap is {gap.value:.1%}{'' if fine else ', a red flag'}"
        recited = f"{shown(excess.value)}{ends} of its text recited beyond the real lines"
        yield Answer(board.names[key], f"{short}: {recited}, {loss}", ())
    for last in (key for key in finished if key[2] in MODELS):
        alike = board.keys_of(corpus=last[0], size=last[1], recipe=last[3])
        earlier = [key for key in alike if key[2] not in MODELS]
        for key in sorted(earlier, key=_by_number):
            found = board.compare(last, key, ("loss", "regurgitation_excess"))
            if len(found) == 2:
                about = f"{board.names[last]} against {board.names[key]}"
                parts = tuple(one.words() for one in found)
                yield Answer(about, _since(*(one.verdict for one in found)), parts)


def _since(loss: str, recited: str) -> str:
    if "unknown" in (loss, recited):
        return "Too few scenes to tell"
    if recited == "worse":
        return (
            "It recites more, and its loss shows it" if loss == "worse"
            else "It recites more, and its loss does not show it"
        )  # fmt: skip
    return "It recites less" if recited == "better" else "It recites no more that can be told"


def _by_number(key: Key) -> list[tuple[int, str]]:
    """Sort step-90 before step-100."""
    return [
        (int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", key[2] or "")
    ]


def _quantization(board: Board) -> Iterator[Answer]:
    for merged in board.keys_of(model="merged"):
        same = {"corpus": merged[0], "size": merged[1], "recipe": merged[3]}
        for quantized in board.keys_of(model="fp8", **same):
            found = board.compare(quantized, merged, COMPARED)
            parts = [one.words() for one in found]
            for name in ("greedy_agreement", "mean_kl"):
                value = board.value(quantized, name)
                if value is not None:
                    score = BY_NAME[name]
                    parts.insert(0, f"{score.title} {score.shown(value.value)}: {score.beware}")
            if not parts:
                continue
            lost = [one for one in found if one.verdict == "worse"]
            if lost:
                short = headline(lost).split(": ", 1)[1].capitalize()
            elif not found:
                short = "Only its fidelity on the real lines is known"
            elif all(one.verdict == "unknown" for one in found):
                short = "Too few scenes to tell"
            else:
                short = "Nothing that can be told"
            yield Answer(
                f"{board.names[quantized]} against {board.names[merged]}", short, tuple(parts)
            )
