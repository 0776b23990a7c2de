"""Whether training reads the prompts that serving renders, byte for byte, on real rows."""

from collections.abc import Iterable, Mapping
from typing import Any

ROWS_PER_LANGUAGE = 8


def compare_prompts(template: Any, rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Compare the prompt of each row's last answer as ms-swift encodes it with the served one.

    The served prompt is the tokenizer's own chat template over the messages before that answer,
    thinking off. Returns how many ``rows`` were compared, and how many of them have the
    ``same_tokens`` as well when the served text is tokenized at once.

    Raises:
        RuntimeError: a prompt differs; the message shows where.
    """
    tokenizer = template.tokenizer
    compared = same_tokens = 0
    for row in rows:
        encoded = template.encode(dict(row))
        ids, labels = encoded["input_ids"], encoded["labels"]
        start = len(labels) - next(n for n, label in enumerate(reversed(labels)) if label == -100)
        trained = tokenizer.decode(ids[:start])
        served = tokenizer.apply_chat_template(
            [dict(message) for message in row["messages"][:-1]],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        if trained != served:
            at = next(
                (n for n, (a, b) in enumerate(zip(trained, served, strict=False)) if a != b),
                min(len(trained), len(served)),
            )
            raise RuntimeError(
                "the prompt in training is not the prompt in serving: training has "
                f"{trained[max(0, at - 30) : at + 30]!r} where the chat template renders "
                f"{served[max(0, at - 30) : at + 30]!r}; use the base model's own chat template"
            )
        compared += 1
        same_tokens += tokenizer(served, add_special_tokens=False)["input_ids"] == ids[:start]
    return {"rows": compared, "same_tokens": same_tokens}
