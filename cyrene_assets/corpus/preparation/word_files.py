"""The words of each language, found once and kept in files: 12 bytes a word."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.preparation.bare_words import hash_words_and_stems
from cyrene_assets.corpus.preparation.word_hashes import Hashes, Words

# Of a stem's hash these bits are kept.
STEM_BITS = np.uint64(32)
# Texts whose words are in memory together, where not all need be.
TEXTS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class WordFiles:
    """Words of languages, known by their index, in the files of a folder.

    The files are numbers alone. NumPy's own form has a header of Python's syntax, and CPython 3.11
    fails to parse in several threads at once ("AST constructor recursion depth mismatch").
    """

    folder: Path

    def save(self, language: int, texts: pl.Series) -> Words:
        """Find the bare words of a language's texts, and keep them."""
        words, stems = hash_words_and_stems(texts)
        number = np.bincount(words.text, minlength=len(texts)).astype(np.uint32)
        number.tofile(self._path(language, "number"))
        words.word.tofile(self._path(language, "word"))
        if stems is not None:
            (stems >> STEM_BITS).astype(np.uint32).tofile(self._path(language, "stem"))
        spelling = np.array([words.characters, words.shingle_words], np.int64)
        spelling.tofile(self._path(language, "spelling"))
        return words

    def load(self, language: int) -> Words:
        """Return the bare words of a language."""
        return self._words(language, np.fromfile(self._path(language, "word"), np.uint64))

    def load_telling(self, language: int) -> Words:
        """Return what tells a text's subject: words' stems, or characters and their pairs."""
        stems = self._path(language, "stem")
        if stems.exists():
            return self._words(language, np.fromfile(stems, np.uint32).astype(np.uint64))
        return with_bigrams(self.load(language))

    def telling_parts(self, language: int) -> Iterator[Words]:
        """Yield what ``load_telling`` returns, some thousand texts after the others."""
        numbers, characters, shingle_words = self._numbers(language)
        stems = self._path(language, "stem")
        is_stem = stems.exists()
        if not numbers.any():
            # No file of 0 bytes can be mapped.
            return
        word: npt.NDArray[np.uint32 | np.uint64] = (
            np.memmap(stems, np.uint32, "r")
            if is_stem
            else np.memmap(self._path(language, "word"), np.uint64, "r")
        )
        ends = np.cumsum(numbers, dtype=np.int64)
        for start in range(0, len(numbers), TEXTS_AT_ONCE):
            own = numbers[start : start + TEXTS_AT_ONCE]
            last = ends[start + len(own) - 1]
            text = np.repeat(np.arange(start, start + len(own), dtype=np.uint32), own)
            part = word[last - len(text) : last].astype(np.uint64)
            words = Words(text, part, characters, shingle_words)
            yield words if is_stem else with_bigrams(words)

    def count_telling(self, language: int) -> int:
        """Return how many words ``load_telling`` returns."""
        numbers, _, _ = self._numbers(language)
        number = int(numbers.sum(dtype=np.int64))
        if self._path(language, "stem").exists():
            return number
        return 2 * number - int(np.count_nonzero(numbers))

    def _words(self, language: int, word: Hashes) -> Words:
        number, characters, shingle_words = self._numbers(language)
        text = np.repeat(np.arange(len(number), dtype=np.uint32), number)
        return Words(text, word, characters, shingle_words)

    def _numbers(self, language: int) -> tuple[npt.NDArray[np.uint32], bool, int]:
        """Return how many words each text has, and what ``Words`` says of the language."""
        number: npt.NDArray[np.uint32] = np.fromfile(self._path(language, "number"), np.uint32)
        characters, shingle_words = np.fromfile(self._path(language, "spelling"), np.int64).tolist()
        return number, bool(characters), shingle_words

    def _path(self, language: int, what: str) -> Path:
        return self.folder / f"words-{language}-{what}"


def with_bigrams(words: Words) -> Words:
    """Return each character of texts, and each two that follow each other."""
    together = words.text[1:] == words.text[:-1]
    pairs = (words.word[:-1] * np.uint64(0x9E3779B97F4A7C15) + words.word[1:])[together]
    return Words(
        np.concatenate([words.text, words.text[1:][together]]),
        np.concatenate([words.word, pairs]),
        words.characters,
        words.shingle_words,
    )
