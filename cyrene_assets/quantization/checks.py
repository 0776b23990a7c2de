"""What a quantized model must be before it counts: the checks, and what they found."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cyrene_assets.store.outcome import Check, CheckOutcome

CHECKS = [
    Check(
        "loads_and_answers", "The model loads in vLLM and answers in every language.", blocking=True
    ),
    Check(
        "intended_modules",
        "Exactly the modules are quantized that the recipe does not leave alone.",
        blocking=True,
    ),
    Check("weight_error", "No module's weights are off by more than the format's bound.", True),
    Check("mtp_from_base", "The `mtp.*` tensors are the base model's, bit for bit.", blocking=True),
    Check(
        "base_files_kept",
        "Tokenizer and configurations are the base model's, but for the quantization entry and "
        "the end tokens, and the chat template is the one that was trained with.",
        blocking=True,
    ),
    Check(
        "safetensors_only",
        "Weights in safetensors, settings in JSON, templates and word lists as text; nothing else.",
        blocking=True,
    ),
    Check("smaller_than_merged", "The checkpoint is smaller than the merged model's."),
]
_SUFFIXES = (".safetensors", ".json", ".jinja", ".txt")


def outcomes(result: Mapping[str, Any], checked: Mapping[str, Any]) -> list[CheckOutcome]:
    """Return what the checks found.

    Args:
        result: of the program that quantizes.
        checked: of the one that looks at the model in vLLM.
    """
    answers: Mapping[str, str] = checked["answers"]
    silent = [language for language, text in answers.items() if not text]
    wanted, found = set(result["intended_modules"]), set(result["quantized_modules"])
    astray = sorted(wanted ^ found)
    errors: Mapping[str, float] = result["errors"]
    # A weight that is no number has an error that is none: it is above every bound.
    off = max(errors, key=lambda module: (math.isnan(errors[module]), errors[module]))
    above = [module for module, error in errors.items() if not error <= result["bound"]]
    foreign = [name for name in result["files"] if not name.endswith(_SUFFIXES)]
    share = result["bytes_after"] / result["bytes_before"]
    return [
        CheckOutcome(
            "loads_and_answers",
            bool(answers) and not silent,
            _named("no answer in", silent) or f"{len(answers)} languages answered",
        ),
        CheckOutcome(
            "intended_modules",
            bool(found) and not astray,
            _named("not as intended:", astray) or f"{len(found)} modules",
        ),
        CheckOutcome(
            "weight_error",
            not above,
            f"at most {errors[off]:.4f} ({off}); {result['scheme']} allows {result['bound']:.4f}"
            + (f"; {len(above)} modules are above it" if above else ""),
        ),
        CheckOutcome(
            "mtp_from_base",
            not result["mtp_altered"],
            _named("not the base's:", result["mtp_altered"])
            or (f"{result['mtp']} tensors" if result["mtp"] else "the base has none"),
        ),
        CheckOutcome(
            "base_files_kept",
            not result["changed_files"],
            _named("changed:", result["changed_files"]) or "as the base has them",
        ),
        CheckOutcome(
            "safetensors_only",
            not foreign,
            _named("does not belong here:", foreign) or f"{len(result['files'])} files",
        ),
        CheckOutcome(
            "smaller_than_merged",
            share < 1,
            f"{share:.0%} of {result['bytes_before'] / 1e6:.1f} MB",
        ),
    ]


def _named(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{what} {', '.join(names[:3])}{more}"
