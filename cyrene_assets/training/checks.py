"""The checks of the training assets: what they are called, and when they pass."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cyrene_assets.store.outcome import Check, CheckOutcome

if TYPE_CHECKING:
    from cyrene_assets.evaluation.metrics.training_losses import LossSummary

LOSS_CHECKS = (
    Check("losses_are_finite", "No loss was NaN or infinite.", blocking=True),
    Check("validation_loss_fell", "The validation loss fell by at least this size's minimum."),
    Check(
        "validation_loss_recovered",
        "The validation loss is near its minimum, or was in the last third of the run.",
    ),
    Check("gap_under_10_percent", "(validation - training) / validation loss is at most 10%."),
)
LEARNED_CHECK = Check(
    "training_changed_the_weights",
    "What was trained is not what it started from: some adapter matrix is no longer zero, some "
    "tensor of the checkpoint differs from the base's.",
    blocking=True,
)
TENSOR_CHECKS = (
    Check(
        "tensors_match_base",
        "Names, shapes and dtypes of all tensors are the base model's.",
        blocking=True,
    ),
    Check(
        "untrained_tensors_are_the_bases",
        "The vision tower and multi-token prediction (mtp.*) are the base's bit for bit.",
        blocking=True,
    ),
)
PARITY_CHECK = Check(
    "packed_documents_stay_apart",
    "On the GPU at hand a document in a pack has the logits and gradients that it has alone.",
    blocking=True,
)
PROMPT_CHECK = Check(
    "prompts_match_serving",
    "Every answer of a sample of complete chats follows, in training, the prompt that serving "
    "renders for that turn, byte for byte, with thinking off and on.",
    blocking=True,
)
STOP_CHECK = Check(
    "generation_stops",
    "Generation ends where the chat's or the text's end token is forced.",
    blocking=True,
)


def shown(value: float | None) -> str:
    """Return a number for a person."""
    return "unknown" if value is None else f"{value:.3f}"


def loss_outcomes(summary: "LossSummary", expected_fall: float) -> list[CheckOutcome]:
    """Judge the losses up to the checkpoint that was kept."""
    from cyrene_assets.evaluation.metrics.training_losses import GAP_RED_FLAG, RISE_RED_FLAG

    first, last = shown(summary.first_eval_loss), shown(summary.last_eval_loss)
    fall, rise, gap = summary.fall, summary.rise, summary.gap
    return [
        CheckOutcome(
            "losses_are_finite",
            summary.not_finite == 0,
            f"{summary.not_finite} losses were NaN or infinite",
        ),
        CheckOutcome(
            "validation_loss_fell",
            fall is not None and fall > 0 and fall >= expected_fall,
            f"from {first} to {last}, by {_percent(fall)}; expected: at least {expected_fall:.0%}",
        ),
        CheckOutcome(
            "validation_loss_recovered",
            summary.recovered,
            f"{last} is {_percent(rise)} above the lowest, {shown(summary.min_eval_loss)} at step "
            f"{summary.min_eval_step}, {_percent(summary.since_lowest)} of the run ago; expected: "
            f"at most {RISE_RED_FLAG:.0%}, and for less than a third of the run",
        ),
        CheckOutcome(
            "gap_under_10_percent",
            gap is not None and gap <= GAP_RED_FLAG,
            f"training {shown(summary.train_loss)}, validation {last}: the gap is {_percent(gap)}",
        ),
    ]


def learned_outcome(result: dict[str, Any]) -> CheckOutcome:
    """Judge how many of the trained tensors differ from what the training started from."""
    changed, trained = result["changed_tensors"], result["trained_tensors"]
    found = f"{changed} of {trained} trained tensors differ from where the training started"
    if changed == 0:
        found += (
            f", after {result['steps']} optimizer steps: nothing was learned; raise "
            "`learning_rate` or `passes` in the recipe, or lower `batch_size`"
        )
    return CheckOutcome(LEARNED_CHECK.name, changed > 0, found)


def tensor_outcomes(result: dict[str, Any]) -> list[CheckOutcome]:
    """Judge what a program's comparison of a checkpoint with the base found."""
    differences, altered = result["differences"], result["altered"]
    return [
        CheckOutcome("tensors_match_base", not differences, _found(result["tensors"], differences)),
        CheckOutcome(
            "untrained_tensors_are_the_bases",
            not altered and result["untouched"] > 0,
            f"{_found(result['untouched'], altered)}; "
            f"{result['mtp'] or 'none, as in the base,'} of mtp.*",
        ),
    ]


def prompt_outcome(result: dict[str, Any]) -> CheckOutcome:
    """Judge the comparison of prompts; ms-swift ends before training where one differs."""
    found = result["prompts"]
    if found is None:
        return CheckOutcome(PROMPT_CHECK.name, False, "no prompt was compared")
    same, answers = found["same"], found["answers"]
    held_out = f"{found['held_out_same']} of {found['held_out_answers']}"
    return CheckOutcome(
        PROMPT_CHECK.name,
        0 < answers == same and found["held_out_same"] == found["held_out_answers"],
        f"{same} of {answers} trained answers follow the served prompt, and {held_out} held-out "
        f"ones; {found['same_tokens']} of {found['chats']} chats token for token",
        metadata={
            "trained answers": answers,
            "after the served prompt": same,
            "chats compared": found["chats"],
            "chats in the training set": found["of_chats"],
            "held-out answers after the served prompt": held_out,
        },
    )


def stop_outcome(result: dict[str, Any]) -> CheckOutcome:
    """Judge what was generated up to each end token."""
    found = result["stops"]
    wrong = [name for name, stopped in found.items() if not stopped]
    return CheckOutcome(
        STOP_CHECK.name,
        not wrong,
        f"stops at {', '.join(found)}" if not wrong else f"does not stop at {', '.join(wrong)}",
    )


def _found(count: int, wrong: Sequence[str]) -> str:
    if not wrong:
        return f"{count} tensors, as the base has them"
    return f"{len(wrong)} of {count} tensors differ: {'; '.join(wrong[:3])}"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"
