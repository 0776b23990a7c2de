"""Traces of the assistant in answers: think tags, and stock phrases of assistants by language."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.inputs.word_lists import word_list

_FILE = Path(__file__).parent / "assistant_phrases.yaml"
_THINK = re.compile(r"</?think(ing)?\b", re.IGNORECASE)


def has_think_tag(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return 1.0 for each text with a think tag, 0.0 for others, NaN for empty ones."""
    return _matches(texts, _THINK)


def has_assistant_phrase(
    texts: Sequence[str], language: LanguageTraits
) -> npt.NDArray[np.float64] | None:
    """Return 1.0 for each text with a stock phrase of assistants, as `has_think_tag` does.

    None if there is no list of phrases for the language.
    """
    pattern = _pattern(language.code)
    return None if pattern is None else _matches(texts, pattern)


def _matches(texts: Sequence[str], pattern: re.Pattern[str]) -> npt.NDArray[np.float64]:
    return np.array(
        [float(pattern.search(text) is not None) if text.strip() else np.nan for text in texts],
        np.float64,
    )


@cache
def _pattern(code: str) -> re.Pattern[str] | None:
    phrases = word_list(_FILE).get(code)
    if phrases is None:
        return None
    alternatives = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in phrases)
    return re.compile(alternatives, re.IGNORECASE)
