"""The questions of the published trainings, and what the scoreboard answers to them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from cyrene_assets.config.model_roles import NAMES
from cyrene_assets.evaluation.metrics.training_losses import GAP_RED_FLAG
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.comparison import ModelComparison, headline
from cyrene_assets.evaluation.scoreboard.dominance import beaten_by
from cyrene_assets.evaluation.scoreboard.evidence import verdict
from cyrene_assets.evaluation.scoreboard.looping import looping_profiles
from cyrene_assets.evaluation.scoreboard.results import ModelKey
from cyrene_assets.evaluation.scoreboard.table import model_rows
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE
from cyrene_assets.evaluation.scoring.score_registry import SCORES

# Proxies for the seeds' targets: high diversity, low hallucination, minimal repetition.
TARGETS = ("distinct_2", "style", "language", "rep4", "loop_rate")
NO_HALLUCINATION_SCORE = (
    "Nothing here measures hallucination: only a reader can judge whether an answer is true to "
    "the story. Style and language are proxies, because an answer that loses the thread tends to "
    "leave the character's voice or language first; a fluent falsehood passes both"
)
COMPARED = (
    "cloze", "style", "regurgitation_excess", "distinct_2", "rep4", "language", "length_ratio",
    "loss",
)  # fmt: skip
_TOO_FEW_SCENES = "Too few scenes for a verdict"


@dataclass(frozen=True)
class Answer:
    """The answer about some models: which ones, a summary, and details with numbers."""

    about: str
    short: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """A question with its answers, what is ``needed`` for one if there is none, and a caveat."""

    question: str
    answers: tuple[Answer, ...]
    needed: str
    caveat: str = ""


def findings(board: Scoreboard) -> list[Finding]:
    """Answer each question as far as the scoreboard's models allow it."""
    questions: tuple[tuple[str, Callable[[Scoreboard], Iterator[Answer]], str, str], ...] = (
        ("Did continual pretraining help?", _pretraining,
         "a base model and a trained one of the same size", ""),
        ("Does the larger model beat the smaller one?", _sizes,
         "two sizes, trained with the same recipe on the same corpus",
         "Loss compares models with one tokenizer only"),
        ("Which sampling profile?", _profiles,
         "a trained model with several profiles, and enough text to compare them",
         NO_HALLUCINATION_SCORE),
        ("From the base or from the instruct model?", _starts,
         "two recipes of one size, one that starts from each", ""),
        ("Is a checkpoint overfitted although its loss is fine?", _overfitted,
         "a trained model with losses and answers; `cyrene evaluate` adds earlier checkpoints", ""),
        ("What did quantization cost?", _quantization,
         "the merged and the quantized model of one training", ""),
    )  # fmt: skip
    return [
        Finding(question, tuple(answer(board)), needed, caveat)
        for question, answer, needed, caveat in questions
    ]


def _answer(
    about: str,
    comparisons: list[ModelComparison],
    leads: tuple[str, str, str] = ("Yes", "No", "In part"),
) -> Iterator[Answer]:
    if comparisons:
        details = tuple(comparison.describe() for comparison in comparisons)
        yield Answer(about, verdict(comparisons, leads), details)


def _pretraining(board: Scoreboard) -> Iterator[Answer]:
    pretrained = board.find_models(model="cpt")
    runs = {(key.corpus, key.size, key.recipe) for key in pretrained}
    finetuned = [key for key in board.served() if (key.corpus, key.size, key.recipe) not in runs]
    for key in (*pretrained, *finetuned):
        base = board.base_of(key)
        if base is not None:
            about = f"{board.names[key]} against {board.names[base]}"
            if key in finetuned:
                about += " (with fine-tuning on top: name cpt among the models to tell them apart)"
            yield from _answer(about, board.compare(key, base, ("cloze", "loss", "formal_loss")))


def _sizes(board: Scoreboard) -> Iterator[Answer]:
    served = board.served()
    for larger in served:
        for smaller in served:
            same_run = larger._replace(size=None, digest=None) == smaller._replace(
                size=None, digest=None
            )
            if same_run and _billions(larger) > _billions(smaller):
                about = f"{board.names[larger]} against {board.names[smaller]}"
                yield from _answer(about, board.compare(larger, smaller, COMPARED))


def _billions(key: ModelKey) -> float:
    digits = (key.size or "").rstrip("B")
    return float(digits) if digits.replace(".", "", 1).isdigit() else 0.0


def _profiles(board: Scoreboard) -> Iterator[Answer]:
    for key in board.served():
        rows = model_rows(board.means, key).filter(pl.col("profile") != NO_PROFILE)
        names = rows["profile"].unique(maintain_order=True).to_list()
        values = {p: {score: board.value(key, score, p) for score in TARGETS} for p in names}
        shared = [score for score in TARGETS if all(values[p][score] for p in names)]
        if len(names) < 2 or not {"distinct_2", "rep4"} <= set(shared):
            continue
        looping = looping_profiles(board, key, names)
        usable = [name for name in names if name not in looping]

        def compare(
            first: str, second: str, key: ModelKey = key, scores: Sequence[str] = tuple(shared)
        ) -> list[ModelComparison]:
            return board.compare(key, key, scores, (first, second))

        dominated_by = beaten_by(usable, compare)
        best = [name for name in usable if not dominated_by[name]]
        beaten = [f"{name} (by {', '.join(by)})" for name, by in dominated_by.items() if by]
        short = f"Choose among {', '.join(best)}" if len(best) > 1 else f"Take {', '.join(best)}"
        if not usable:
            short = "None of them"
        if beaten:
            short += f"; beaten in all of the targets together: {', '.join(beaten)}"
        if looping:
            loops = (f"{name} ({reason})" for name, reason in looping.items())
            short += f"; ruled out, because answers repeat themselves: {', '.join(loops)}"
        parts = (
            f"{name}: "
            + ", ".join(
                f"{SCORES[score].title} {SCORES[score].format(value.value)}"
                for score in shared
                if (value := values[name][score]) is not None
            )
            for name in names
        )
        yield Answer(board.names[key], short, tuple(parts))


def _starts(board: Scoreboard) -> Iterator[Answer]:
    served = board.served()
    for instruct in (key for key in served if board.starts_from(key) == "instruct"):
        for base in (key for key in served if board.starts_from(key) == "base"):
            if base[:3] == instruct[:3]:
                about = (
                    f"{board.names[base]} (from the base) against {board.names[instruct]} "
                    "(from the instruct model)"
                )
                leads = ("From the base", "From the instruct model", "Each in part")
                yield from _answer(about, board.compare(base, instruct, COMPARED), leads)


def _overfitted(board: Scoreboard) -> Iterator[Answer]:
    finished = board.finished()
    for key in finished:
        gap, excess = (board.value(key, name) for name in ("gap", "regurgitation_excess"))
        if gap is None or excess is None:
            continue
        loss_is_fine = gap.value <= GAP_RED_FLAG
        shown = SCORES["regurgitation_excess"].format
        if excess.low is None or excess.high is None:
            short, interval = _TOO_FEW_SCENES, ""
        else:
            interval = f" [{shown(excess.low)}, {shown(excess.high)}]"
            if excess.low > 0 and excess.value >= SCORES["regurgitation_excess"].smallest:
                short = (
                    "It recites although its loss is fine"
                    if loss_is_fine
                    else "It recites, and its loss shows it"
                )
            else:
                short = "No sign of it" if loss_is_fine else "By its loss yes, by its answers no"
        loss = f"the gap is {gap.value:.1%}{'' if loss_is_fine else ', a red flag'}"
        recited = f"{shown(excess.value)}{interval} of its text recited beyond the real lines"
        yield Answer(board.names[key], f"{short}: {recited}, {loss}", ())
    for last in (key for key in finished if key.model in NAMES):
        same_run = board.find_models(corpus=last.corpus, size=last.size, recipe=last.recipe)
        earlier = [key for key in same_run if key.model not in NAMES]
        for key in sorted(earlier, key=_by_number):
            comparisons = board.compare(last, key, ("loss", "regurgitation_excess"))
            if len(comparisons) == 2:
                about = f"{board.names[last]} against {board.names[key]}"
                verdict = _since(*(comparison.verdict for comparison in comparisons))
                yield Answer(about, verdict, tuple(one.describe() for one in comparisons))


def _since(loss: str, recited: str) -> str:
    if "unknown" in (loss, recited):
        return _TOO_FEW_SCENES
    if recited == "worse":
        return (
            "It recites more, and its loss shows it" if loss == "worse"
            else "It recites more, and its loss does not show it"
        )  # fmt: skip
    return "It recites less" if recited == "better" else "It does not recite significantly more"


def _by_number(key: ModelKey) -> list[tuple[int, str]]:
    """Sort step-90 before step-100."""
    return [
        (int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", key.model or "")
    ]


def _quantization(board: Scoreboard) -> Iterator[Answer]:
    for merged in board.find_models(model="merged"):
        same = {"corpus": merged.corpus, "size": merged.size, "recipe": merged.recipe}
        for quantized in board.find_models(model="fp8", **same):
            comparisons = board.compare(quantized, merged, COMPARED)
            parts = [comparison.describe() for comparison in comparisons]
            for name in ("greedy_agreement", "mean_kl"):
                value = board.value(quantized, name)
                if value is not None:
                    score = SCORES[name]
                    parts.insert(0, f"{score.title} {score.format(value.value)}: {score.caveat}")
            if not parts:
                continue
            worse = [comparison for comparison in comparisons if comparison.verdict == "worse"]
            if worse:
                short = headline(worse).split(": ", 1)[1].capitalize()
            elif not comparisons:
                short = "Only its fidelity on the real lines is known"
            elif all(comparison.verdict == "unknown" for comparison in comparisons):
                short = _TOO_FEW_SCENES
            else:
                short = "Nothing significant"
            yield Answer(
                f"{board.names[quantized]} against {board.names[merged]}", short, tuple(parts)
            )
