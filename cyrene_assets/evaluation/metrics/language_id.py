"""Whether an answer is in the language of its prompt.

py3langid (its model ships with it) knows most languages; a language with a code of its own is told
from the corpus's other languages by their own words (the naive Bayes of `corpus.flags`); Simplified
and Traditional Chinese are told by the characters that only one of them has.
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

# Shorter texts ("Ha ha ha!", a name) read the same in many languages. UTF-8 bytes of letters: four
# Han characters say about as much as a dozen Latin letters.
FEWEST_LETTER_BYTES = 12
VOCABULARY_TEXTS = 20_000
CHINESE = ("chs", "cht")


def known_label(language: LanguageTraits) -> str | None:
    """Return py3langid's code of a language, or None where it does not know it."""
    return language.iso if language.iso in _labels() else None


def consistent(
    texts: Sequence[str],
    language: str,
    languages: Mapping[str, LanguageTraits],
    samples: Callable[[str], pl.Series],
) -> npt.NDArray[np.float64]:
    """Say of each text whether it is in ``language``: 1.0, 0.0, or NaN where it is too short.

    Args:
        texts: names are best masked before: they read the same everywhere.
        language: the language of the prompts.
        languages: of the corpus, by code; an answer is taken for one of them, or for English.
        samples: returns training text of a language; called for those that have to be told by it.
    """
    series = pl.Series(list(texts), dtype=pl.String)
    letters = series.str.replace_all(r"[^\p{L}\p{M}]", "").str.len_bytes().to_numpy()
    result = np.where(letters >= FEWEST_LETTER_BYTES, 1.0, np.nan)
    judged = np.flatnonzero(letters >= FEWEST_LETTER_BYTES)
    labels = {key: known_label(known) for key, known in languages.items()}
    label = labels[language]
    if label is not None:
        identifier = _identifier(tuple(sorted({"en", *filter(None, labels.values())})))
        for text in judged.tolist():
            result[text] = float(identifier.classify(texts[text])[0] == label)
        if languages[language].code in CHINESE:
            other = _other_script(texts, languages[language].code)
            result[other & (result == 1)] = 0
    own_codes = [key for key in languages if labels[key] is None]
    rivals = list(languages) if language in own_codes else [language, *own_codes]
    if own_codes and len(rivals) > 1:
        vocabularies = {key: _vocabulary(samples(key)) for key in rivals}
        result[_wrong(series, language, vocabularies) & (result == 1)] = 0
    return result


def _wrong(
    texts: pl.Series, language: str, vocabularies: Mapping[str, Vocabulary]
) -> npt.NDArray[np.bool_]:
    own = vocabularies[language]
    others = [v for key, v in vocabularies.items() if key != language]
    alike = [other for other in others if quality_flags.written_alike(own, other)]
    words = hash_bare_words(texts, characters=own.characters)
    wrong_words = quality_flags.wrong_language(words, len(texts), own, alike, among=False)
    wrong_letters: npt.NDArray[np.bool_] = wrong_script(texts, own.scripts).to_numpy()
    return wrong_words | wrong_letters


def _vocabulary(texts: pl.Series) -> Vocabulary:
    some = texts.gather_every(max(1, len(texts) // VOCABULARY_TEXTS))
    return count_vocabulary(hash_bare_words(some), main_scripts(some))


def _other_script(texts: Sequence[str], code: str) -> npt.NDArray[np.bool_]:
    """Say which texts have more characters of the other Chinese script's own than of this one's."""
    simplified, traditional = variants()
    mine, others = (simplified, traditional) if code == "chs" else (traditional, simplified)
    return np.array(
        [sum(c in others for c in text) > sum(c in mine for c in text) for text in texts], bool
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
