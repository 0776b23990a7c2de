"""The checks of prompts and answers."""

from cyrene_assets.store.outcome import Check

PROMPTS_CHECK = Check(
    "every_language_has_prompts", "Every language has a held-out chat to prompt with."
)
ANSWERS_CHECK = Check("models_answer", "The FP8 model gave at least one answer that is not empty.")
