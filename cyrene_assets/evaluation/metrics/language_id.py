"""Whether an answer is in the language of its prompt.

py3langid (its model ships with it) knows most languages; a language with a code of its own is
distinguished from the corpus's other languages by their words (the naive Bayes of
`corpus.preparation.quality_flags`), Simplified from Traditional Chinese by the characters that only
one of them has.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.corpus.preparation import quality_flags
from cyrene_assets.corpus.preparation.bare_words import count_vocabulary, hash_bare_words
from cyrene_assets.corpus.preparation.chinese import variants
from cyrene_assets.corpus.preparation.word_hashes import Vocabulary
from cyrene_assets.corpus.preparation.writing_systems import main_scripts, wrong_script

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# Shorter texts ("Ha ha ha!", a name) are the same in many languages. UTF-8 bytes of letters: four
# Han characters carry about as much as a dozen Latin letters.
MIN_LETTER_BYTES = 12
VOCABULARY_TEXTS = 20_000
CHINESE = ("chs", "cht")


def langid_label(language: LanguageTraits) -> str | None:
    """Return py3langid's code of a language, or None if it does not know it."""
    return language.iso if language.iso in _labels() else None


def in_language(
    texts: Sequence[str],
    language: str,
    languages: Mapping[str, LanguageTraits],
    samples: Callable[[str], pl.Series],
) -> npt.NDArray[np.float64]:
    """Return whether each text is in ``language``: 1.0, 0.0, or NaN if it is too short.

    Args:
        texts: with names masked, because they are the same in every language.
        language: the language of the prompts.
        languages: of the corpus, by code; the candidates, with English.
        samples: returns training text of a language, where words have to distinguish it.
    """
    series = pl.Series(list(texts), dtype=pl.String)
    letters = series.str.replace_all(r"[^\p{L}\p{M}]", "").str.len_bytes().to_numpy()
    long_enough = letters >= MIN_LETTER_BYTES
    result = np.where(long_enough, 1.0, np.nan)
    labels = {key: langid_label(traits) for key, traits in languages.items()}
    label = labels[language]
    if label is not None:
        identifier = _identifier(tuple(sorted({"en", *filter(None, labels.values())})))
        for text in np.flatnonzero(long_enough).tolist():
            result[text] = float(identifier.classify(texts[text])[0] == label)
        if languages[language].code in CHINESE:
            other_script = _in_other_script(texts, languages[language].code)
            result[other_script & (result == 1)] = 0
    unlabelled = [key for key in languages if labels[key] is None]
    candidates = list(languages) if language in unlabelled else [language, *unlabelled]
    if unlabelled and len(candidates) > 1:
        vocabularies = {key: _vocabulary(samples(key)) for key in candidates}
        result[_wrong(series, language, vocabularies) & (result == 1)] = 0
    return result


def _wrong(
    texts: pl.Series, language: str, vocabularies: Mapping[str, Vocabulary]
) -> npt.NDArray[np.bool_]:
    expected = vocabularies[language]
    others = [v for key, v in vocabularies.items() if key != language]
    similar = [other for other in others if quality_flags.written_alike(expected, other)]
    words = hash_bare_words(texts, characters=expected.characters)
    wrong_words = quality_flags.wrong_language(words, len(texts), expected, similar, among=False)
    wrong_letters: npt.NDArray[np.bool_] = wrong_script(texts, expected.scripts).to_numpy()
    return wrong_words | wrong_letters


def _vocabulary(texts: pl.Series) -> Vocabulary:
    sample = texts.gather_every(max(1, len(texts) // VOCABULARY_TEXTS))
    return count_vocabulary(hash_bare_words(sample), main_scripts(sample))


def _in_other_script(texts: Sequence[str], code: str) -> npt.NDArray[np.bool_]:
    """Return which texts have more characters of the other Chinese script than of this one."""
    simplified, traditional = variants()
    this, other = (simplified, traditional) if code == "chs" else (traditional, simplified)
    return np.array(
        [sum(c in other for c in text) > sum(c in this for c in text) for text in texts], bool
    )


@cache
def _labels() -> frozenset[str]:
    return frozenset(_model().labels)


@cache
def _identifier(labels: tuple[str, ...]) -> "LanguageIdentifier":
    identifier = copy(_model())
    identifier.set_languages(list(labels))
    return identifier


@cache
def _model() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
