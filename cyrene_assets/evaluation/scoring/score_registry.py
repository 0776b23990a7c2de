"""Every score in one row: its name, which way is better, what it is, and how it is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cyrene_assets.evaluation.metrics import assistant_phrases, repetition
from cyrene_assets.evaluation.scoring.answer_texts import AnswerTexts, Floats

Better = Literal["low", "high", "real", "half", "none"]


@dataclass(frozen=True)
class Score:
    """A score as the reports show it.

    ``better`` says which way is better: low, high, near the real lines (``real``), near one half
    (``half``), or neither. ``measure`` returns a value of each answer (NaN where it has none), or
    raises `NotMeasurable`; the values are the column of the score's name, and with ``averaged`` the
    score is their mean, with an interval over scenes. ``no_value`` is the note where no answer has
    one. ``example_column`` is the column that the best and worst answers are chosen by.
    ``per_profile`` is False for what does not depend on sampling, ``language_mean`` for what is
    measured in units of a language, whose mean over languages would mix units. ``smallest`` is the
    smallest difference worth naming, in the score's unit: what is less would not be noticed in a
    chat, however certain it is, and models within it are level.
    """

    name: str
    title: str
    better: Better
    unit: Literal["share", "number", "nats"]
    description: str
    caveat: str
    measure: Callable[[AnswerTexts], Floats] | None = None
    averaged: bool = False
    no_value: str = "nothing to measure"
    example_column: str | None = None
    per_profile: bool = True
    language_mean: bool = True
    # One answer, character or word in a hundred; 0.01 nats are 1% of perplexity.
    smallest: float = 0.01

    @property
    def title_within(self) -> str:
        """The title within a sentence: an acronym stays as it is."""
        return self.title if self.title.isupper() else self.title[0].lower() + self.title[1:]

    def format(self, value: float) -> str:
        """Return a value as text: per cent, or three digits after the point."""
        if self.unit == "share":
            percent = round(100 * value, 1) + 0.0
            return f"{percent:.1f}%" if abs(percent) < 100 else f"{percent:.0f}%"
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"

    def format_difference(self, value: float) -> str:
        """Return a difference as text, signed: in percentage points, or as it is."""
        return f"{100 * value + 0.0:+.1f}" if self.unit == "share" else f"{value + 0.0:+.3f}"

    def format_smallest(self) -> str:
        """Return the smallest difference worth naming as text, with its unit."""
        size = self.format_difference(self.smallest)[1:]
        return f"{size} points" if self.unit == "share" else size


# Where ``smallest`` is not one in a hundred: one name or pair of lines in fifty (cloze and AUC vary
# more from sentence to sentence), 1% of a perplexity near 10, one character of the longest match,
# 5% of a length, a tenth of the usual 0.01 nats for a divergence that begins at 0.
_ROWS = (
    Score("loss", "Loss", "low", "nats", "Nats per token on held-out documents",
          "A low loss is not a good chat", per_profile=False),
    Score("gap", "Gap", "low", "share", "(validation - training) / validation loss, by the model "
          "itself", "Above 10% the model has begun to learn its texts by heart", per_profile=False),
    Score("perplexity", "Perplexity", "low", "number", "e to the power of the loss",
          "Compares models with one tokenizer only", per_profile=False, smallest=0.1),
    Score("formal_loss", "Formal loss", "low", "nats", "Nats per token on a formal text, unlike "
          "any story", "Above the base model's, something was forgotten", per_profile=False),
    Score("cloze", "Lore cloze", "high", "share", "How often the right name is more likely than "
          "another one in a held-out sentence, each name's own likelihood subtracted",
          "Half is chance; the base model knows some names too, and where words agree with a name "
          "grammar gives it away: compare with the base", per_profile=False, smallest=0.02),
    Score("extraction", "Extraction", "low", "share", "Training texts that the model continues "
          "word for word, from 50 tokens for 50 more, less the held-out ones",
          "Prefixes are beginnings, chosen by scene", per_profile=False),
    Score("regurgitation", "Regurgitation", "real", "share", "Characters inside a verbatim match "
          "with the training text", "Stock phrases count too: see the excess",
          example_column="regurgitation", measure=AnswerTexts.regurgitation),
    Score("regurgitation_excess", "Excess regurgitation", "low", "share", "Regurgitation less "
          "that of the real held-out lines", "It rises before the validation loss"),
    Score("longest_match", "Longest match", "real", "number", "Longest verbatim match, in "
          "characters, mean over answers", "Long answers find longer ones",
          example_column="longest_match", averaged=True, language_mean=False, smallest=1.0,
          measure=AnswerTexts.longest_match),
    Score("style", "Style", "high", "number", "AUC: the character's against other speakers' "
          "held-out lines, by a classifier of character n-grams, names masked",
          "A copied line scores perfectly: read it with regurgitation", example_column="style",
          measure=AnswerTexts.style, smallest=0.02),
    Score("generated", "Real or generated", "half", "number", "AUC: how well a classifier tells "
          "answers from the real lines; 0.5 is ideal", "A copied line scores perfectly here too",
          example_column="generated", smallest=0.02),
    Score("rep4", "rep-4", "real", "share", "Repeated 4-grams within an answer",
          "A presence penalty hides it: look at profiles without one too", example_column="rep4",
          averaged=True, no_value="no answer has four words (characters)",
          measure=lambda answers: repetition.rep4(answers.tokens)),
    Score("loop_rate", "Loops", "low", "share", "Answers that repeat a phrase over and over",
          "A presence penalty hides it: look at profiles without one too", averaged=True,
          measure=lambda answers: repetition.loops(answers.tokens)),
    Score("limit_rate", "Cut", "low", "share", "Answers that ran into the length limit",
          "Long answers are not loops"),
    Score("echo", "Echo", "real", "share", "Pairs of words that stood in the turns just before",
          "Real lines repeat words, too", example_column="echo", averaged=True,
          measure=lambda answers: repetition.echo(answers.with_turns, answers.turn_indices)),
    Score("distinct_1", "distinct-1", "real", "number", "Different words, expectation-adjusted",
          "At a fixed length; characters in languages without spaces"),
    Score("distinct_2", "distinct-2", "real", "number", "Different pairs, expectation-adjusted",
          "At a fixed length; characters in languages without spaces"),
    Score("mattr", "MATTR", "real", "share", "Different words in a window of 50",
          "At a fixed length; characters in languages without spaces"),
    Score("gzip_ratio", "gzip ratio", "real", "number", "How far the answers compress",
          "At a fixed length; UTF-8 bytes"),
    Score("self_bleu", "Self-BLEU", "real", "share", "How alike the answers are to each other",
          "At a fixed length"),
    Score("language", "Language", "high", "share", "Answers in the language of the prompt",
          "Names are masked, short lines left out", example_column="language", averaged=True,
          no_value="every answer is too short", measure=AnswerTexts.in_language),
    Score("think_leaks", "Think tags", "low", "share", "Answers that show a think tag", "",
          averaged=True, measure=lambda answers: assistant_phrases.has_think_tag(answers.texts)),
    Score("assistant", "Assistant phrases", "low", "share", "Answers with a stock phrase of "
          "assistants", "A list of phrases per language", averaged=True,
          measure=AnswerTexts.has_assistant_phrase),
    Score("length_ratio", "Length", "real", "number", "Mean length relative to the real lines",
          "Characters in languages without spaces", example_column="length", smallest=0.05),
    Score("empty", "Empty", "low", "share", "Answers without any text", "", averaged=True,
          measure=lambda answers: (~answers.has_text).astype(float)),
    Score("greedy_agreement", "Greedy agreement", "high", "share", "Tokens of held-out lines at "
          "which the quantized and the merged model find the same token most likely",
          "Both read the real line; answers differ sooner", per_profile=False),
    Score("mean_kl", "KL from merged", "low", "nats", "Divergence of the quantized model from the "
          "merged one, per token of held-out lines", "Over the most likely tokens of both, the "
          "rest as one: a lower bound", per_profile=False, smallest=0.001),
    Score("dialog_perplexity", "Dialog perplexity", "low", "number", "Perplexity of the "
          "character's held-out lines, with the chat before them",
          "Compares models with one tokenizer only", per_profile=False, smallest=0.1),
    Score("question_length", "Out of character, length", "none", "number", "Words (characters) in "
          "the answer to a question of mathematics or code", "Crude: compare with the base, no "
          "verdict", per_profile=False, language_mean=False),
    Score("question_form", "Out of character, form", "none", "number", "Digits, operators and "
          "marks of code or lists, per 100 characters of such an answer",
          "Crude: compare with the base, no verdict", per_profile=False),
)  # fmt: skip
# By name, in the order of the tables.
SCORES: dict[str, Score] = {score.name: score for score in _ROWS}
