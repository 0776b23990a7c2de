"""The answers of one language as metrics read them: tokens, matches and masked texts, each once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics import language_id, memorization, ngrams, style
from cyrene_assets.evaluation.metrics.assistant_phrases import has_assistant_phrase
from cyrene_assets.evaluation.metrics.reference import Reference

Floats = npt.NDArray[np.float64]


class NotMeasurable(Exception):  # noqa: N818 - it is a result: a note in place of values
    """Why no answer of a language has a value of some score."""


@dataclass(frozen=True)
class AnswerTexts:
    """All answers in one language, the real lines among them.

    ``texts`` are the answers, ``turns`` the turns just before each (at most two), ``languages``
    those of the corpus by code, and ``samples`` returns training text of a language.
    """

    texts: Sequence[str]
    turns: Sequence[Sequence[str]]
    reference: Reference
    languages: Mapping[str, LanguageTraits]
    samples: Callable[[str], pl.Series]

    @cached_property
    def has_text(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is more than white space."""
        return np.array([bool(text.strip()) for text in self.texts], bool)

    @cached_property
    def _distinct_turns(self) -> list[str]:
        return list(dict.fromkeys(turn for turns in self.turns for turn in turns))

    @cached_property
    def with_turns(self) -> ngrams.TokenizedTexts:
        """The tokens of the answers, and after them of the distinct turns before them."""
        return ngrams.encode([*self.texts, *self._distinct_turns], self.reference.traits)

    @cached_property
    def turn_indices(self) -> list[list[int]]:
        """The indices in `with_turns` of the turns just before each answer."""
        index = {turn: len(self.texts) + i for i, turn in enumerate(self._distinct_turns)}
        return [[index[turn] for turn in turns] for turns in self.turns]

    @cached_property
    def tokens(self) -> ngrams.TokenizedTexts:
        """The tokens of the answers."""
        return self.with_turns.take(np.arange(len(self.texts)))

    @cached_property
    def matches(self) -> memorization.Matches:
        """The passages of each answer that the training text has word for word."""
        reference = self.reference
        return memorization.find_matches(reference.training, self.texts, reference.min_match_length)

    @cached_property
    def masked(self) -> list[str]:
        """The answers without names."""
        return style.mask_names(self.texts, self.reference.names)

    @cached_property
    def _style(self) -> tuple[Floats, Floats]:
        """The style classifier's log-odds of the answers, and of other speakers' held-out lines."""
        reference = self.reference
        try:
            classifier = style.StyleClassifier(
                style.mask_names(style.sample_lines(reference.character_lines), reference.names),
                style.mask_names(style.sample_lines(reference.other_lines), reference.names),
                reference.traits,
            )
        except ValueError as error:
            raise NotMeasurable(str(error)) from error
        held_out = style.mask_names(reference.held_out_other_lines, reference.names)
        return classifier.score(self.masked), classifier.score(held_out)

    @cached_property
    def others_style(self) -> Floats:
        """The style classifier's log-odds of other speakers' held-out lines; empty without one."""
        try:
            return self._style[1]
        except NotMeasurable:
            return np.zeros(0)

    def where_text(self, values: npt.ArrayLike) -> Floats:
        """Return the values, NaN for answers without text."""
        return np.where(self.has_text, values, np.nan)

    def lengths(self) -> Floats:
        """Return the tokens of each answer."""
        return self.where_text(self.tokens.lengths)

    @cached_property
    def characters(self) -> npt.NDArray[np.int64]:
        """The characters of each answer, 0 for white space alone."""
        return np.where(self.has_text, self.matches.characters, 0)

    def regurgitation(self) -> Floats:
        """Return the share of each answer's characters in a match with the training text."""
        self._require_training()
        share = self.matches.covered / np.maximum(self.characters, 1)
        return np.where(self.characters > 0, share, np.nan)

    def longest_match(self) -> Floats:
        """Return the characters of each answer's longest match with the training text."""
        self._require_training()
        return self.where_text(self.matches.longest)

    def in_language(self) -> Floats:
        """Return whether each answer is in the language of its prompt."""
        return language_id.in_language(
            self.masked, self.reference.language, self.languages, self.samples
        )

    def has_assistant_phrase(self) -> Floats:
        """Return whether each answer has a stock phrase of assistants."""
        values = has_assistant_phrase(self.texts, self.reference.traits)
        if values is None:
            raise NotMeasurable(f"no list of assistant phrases for {self.reference.language}")
        return values

    def style(self) -> Floats:
        """Return the style classifier's log-odds of each answer being the character's."""
        return self.where_text(self._style[0])

    def _require_training(self) -> None:
        if not any(self.reference.training):
            raise NotMeasurable("there is no training text")
