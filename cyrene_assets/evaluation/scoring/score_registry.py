"""Every score: what it is called, which way is better, and what to beware of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cyrene_assets.evaluation.metrics import assistant_leakage

Better = Literal["low", "high", "real", "half", "none"]


@dataclass(frozen=True)
class Score:
    """A score as the reports show it.

    ``better`` says which way is better: low, high, near the real lines (``real``), near one half
    (``half``), or neither. ``answer`` names the column of a single answer's value, where single
    answers have one. ``profiles`` is False for what does not depend on sampling. ``averaged`` says
    that the score is the mean of the column of its name, a value of each answer; ``measure`` gives
    that column where the texts of the answers are enough (NaN for an answer that has no value).
    """

    name: str
    title: str
    better: Better
    unit: Literal["share", "number", "nats"]
    what: str
    beware: str
    answer: str | None = None
    profiles: bool = True
    averaged: bool = False
    measure: Callable[[Sequence[str]], npt.NDArray[np.float64]] | None = None

    def shown(self, value: float) -> str:
        """Return a value for a person: per cent, or three digits after the point."""
        if self.unit == "share":
            percent = round(100 * value, 1) + 0.0
            return f"{percent:.1f}%" if abs(percent) < 100 else f"{percent:.0f}%"
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"

    def apart(self, value: float) -> str:
        """Return a difference for a person, signed: in percentage points, or as it is."""
        return f"{100 * value + 0.0:+.1f}" if self.unit == "share" else f"{value + 0.0:+.3f}"


SCORES: tuple[Score, ...] = (
    Score("loss", "Loss", "low", "nats", "Nats per token on held-out documents",
          "A low loss is not a good chat", profiles=False),
    Score("gap", "Gap", "low", "share", "(validation - training) / validation loss, by the model "
          "itself", "Above 10% the model has begun to learn its texts by heart", profiles=False),
    Score("perplexity", "Perplexity", "low", "number", "e to the power of the loss",
          "Compares models with one tokenizer only", profiles=False),
    Score("formal_loss", "Formal loss", "low", "nats", "Nats per token on a formal text that no "
          "story would tell", "Above the base model's: what was forgotten", profiles=False),
    Score("cloze", "Lore cloze", "high", "share", "How often the right name is likelier than "
          "another one in a held-out sentence, each name's own likelihood subtracted",
          "Half is chance; the base model knows some names too, and where words agree with a name "
          "grammar tells it: compare it with the base", profiles=False),
    Score("extraction", "Extraction", "low", "share", "Training texts that the model continues "
          "word for word, from 50 tokens for 50 more, less the held-out ones",
          "Prefixes are beginnings, chosen by scene", profiles=False),
    Score("regurgitation", "Regurgitation", "real", "share", "Characters inside a verbatim match "
          "with the training text", "Stock phrases count too: see the excess",
          answer="regurgitation"),
    Score("regurgitation_excess", "Excess regurgitation", "low", "share", "Regurgitation less "
          "that of the real held-out lines", "Rises before the validation loss does"),
    Score("longest_match", "Longest match", "real", "number", "Longest verbatim match, in "
          "characters, mean over answers", "Long answers find longer ones",
          answer="longest_match", averaged=True),
    Score("style", "Style", "high", "number", "AUC: her against other speakers' held-out lines, by "
          "a classifier of character n-grams, names masked",
          "A copied line scores perfectly: read it with regurgitation", answer="style"),
    Score("generated", "Real or generated", "half", "number", "AUC: how well answers can be told "
          "from the real lines; 0.5 is ideal", "A copied line scores perfectly here too",
          answer="generated"),
    Score("rep4", "rep-4", "real", "share", "Repeated 4-grams within an answer",
          "A presence penalty hides it: look at profiles without one too", answer="rep4",
          averaged=True),
    Score("loop_rate", "Loops", "low", "share", "Answers that repeat a phrase over and over",
          "A presence penalty hides it: look at profiles without one too", averaged=True),
    Score("limit_rate", "Cut", "low", "share", "Answers that ran into the length limit",
          "Long answers are not loops"),
    Score("echo", "Echo", "real", "share", "Pairs of words that stood in the turns just before",
          "Real lines take words up as well", answer="echo", averaged=True),
    Score("distinct_1", "distinct-1", "real", "number", "Different words, expectation-adjusted",
          "At a fixed length; characters where no blanks part words"),
    Score("distinct_2", "distinct-2", "real", "number", "Different pairs, expectation-adjusted",
          "At a fixed length; characters where no blanks part words"),
    Score("mattr", "MATTR", "real", "share", "Different words in a window of 50",
          "At a fixed length; characters where no blanks part words"),
    Score("gzip_ratio", "gzip ratio", "real", "number", "How far the answers compress",
          "At a fixed length; UTF-8 bytes"),
    Score("self_bleu", "Self-BLEU", "real", "share", "How alike the answers are to each other",
          "At a fixed length"),
    Score("language", "Language", "high", "share", "Answers in the language of the prompt",
          "Names are masked, short lines left out", answer="language", averaged=True),
    Score("think_leaks", "Think tags", "low", "share", "Answers that show a think tag", "",
          averaged=True, measure=assistant_leakage.think_leaks),
    Score("assistant", "Assistant phrases", "low", "share", "Answers with a stock phrase of "
          "assistants", "A list of phrases per language", averaged=True),
    Score("length_ratio", "Length", "real", "number", "Mean length relative to the real lines",
          "Characters where no blanks part words", answer="length"),
    Score("empty", "Empty", "low", "share", "Answers without any text", ""),
    Score("greedy_agreement", "Greedy agreement", "high", "share", "Tokens of held-out lines at "
          "which the quantized and the merged model find the same token likeliest",
          "Both read the real line: answers drift apart sooner", profiles=False),
    Score("mean_kl", "KL from merged", "low", "nats", "Divergence of the quantized model from the "
          "merged one, per token of held-out lines", "Over the likeliest tokens of both, the rest "
          "as one: a lower bound", profiles=False),
    Score("dialog_perplexity", "Dialog perplexity", "low", "number", "Perplexity of the "
          "character's held-out lines, her chat before them",
          "Compares models with one tokenizer only", profiles=False),
    Score("question_length", "Out of character, length", "none", "number", "Words (characters) in "
          "the answer to a question of mathematics or code", "Crude: compare with the base, no "
          "verdict", profiles=False),
    Score("question_form", "Out of character, form", "none", "number", "Digits, operators and "
          "marks of code or lists, per 100 characters of such an answer",
          "Crude: compare with the base, no verdict", profiles=False),
)  # fmt: skip
BY_NAME = {score.name: score for score in SCORES}
# Scores of a corpus's own kind, whose mean over languages would mix units.
NOT_AVERAGED = frozenset({"longest_match", "question_length"})
