"""Quality flags: what is odd about one unit, given its translations.

Nothing is known of a language beforehand: what is usual is found in the corpus itself, so that a
language with a code of its own is judged like any other.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.preparation.bare_words import hash_bare_words
from cyrene_assets.corpus.preparation.word_hashes import (
    Flags,
    Vocabulary,
    Words,
    in_parts,
    table_places,
    text_starts,
)

Floats: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.integer[Any]]
Places: TypeAlias = npt.NDArray[np.int64]

# A word that is the same in another language tells nothing; four that are not tell enough.
MIN_WORDS = 4
# A thousand to one in all, and e to one for each word.
MIN_LOG_ODDS = math.log(1000)
# Shorter texts ("Ha ha ha!", a name) are the same in many languages with good reason. UTF-8 bytes
# of letters: four Han characters say about as much as a dozen Latin letters.
MIN_COPY_LETTER_BYTES = 12
# A text whose words are at home nowhere is a spell or a name, or its language says nothing else.
AT_HOME = 0.3
# One that is the same in most languages (of more than a few) is so on purpose, unless all its words
# are everyday ones.
AT_HOME_IN_MOST = 0.8
MOST_LANGUAGES = 0.6
FEW_LANGUAGES = 3
# Gale and Church's measure is roughly normal; game text has wider tails.
MIN_LENGTH_DEVIATIONS = 6.0
MIN_LENGTH_RATIO = 2.0
MIN_EXPECTED_CHARACTERS = 8.0
PLACEHOLDER = r"\{[ -z|~]*\}"


def wrong_language(
    words: Words,
    number: int,
    own: Vocabulary,
    others: Sequence[Vocabulary],
    *,
    among: bool = True,
) -> Flags:
    """Say which of the ``number`` texts are far likelier in another language than in their own.

    Naive Bayes over words. ``others`` are the vocabularies of the languages that are written alike:
    see ``written_alike``. At least half of the words are known there, and fewer in the text's own
    language. ``among`` says that the texts are among those that the vocabularies are of: then a
    text itself counts for neither, nor does what another language says of the same unit, so that
    names that stand in both, and nowhere else, prove nothing.
    """
    wrong = np.zeros(number, dtype=bool)
    if not others or not len(words.text):
        return wrong
    starts = text_starts(words)
    ends = np.append(starts[1:], len(words.text))
    for part in in_parts(starts, len(words.text)):
        first, last = starts[part.start], ends[part.stop - 1]
        place = table_places(replace(words, word=words.word[first:last]))
        begins, lengths = starts[part] - first, ends[part] - starts[part]

        def score(
            vocabulary: Vocabulary, place: Places = place, begins: Places = begins
        ) -> tuple[Floats, Numbers]:
            counts = vocabulary.elsewhere(place, own=among)
            likely = np.add.reduceat(vocabulary.log_probability(counts), begins)
            return likely, np.add.reduceat(counts > 0, begins, dtype=np.int64)

        likely, known = score(own)
        likelier_elsewhere = np.zeros(len(begins), dtype=bool)
        for other in others:
            likely_there, known_there = score(other)
            odds = likely_there - likely
            likelier_elsewhere |= (
                (odds > np.maximum(MIN_LOG_ODDS, lengths))
                & (known_there * 2 >= lengths)
                & (known_there > known)
            )
        found = starts[part][likelier_elsewhere & (lengths >= MIN_WORDS)]
        wrong[words.text[found]] = True
    return wrong


def written_alike(own: Vocabulary, other: Vocabulary) -> bool:
    """Return whether the words of two languages can be compared: one kind of words, one script."""
    return own.characters == other.characters and bool(set(own.scripts) & set(other.scripts))


def sorted_placeholders(raw_texts: pl.Series, aside: str) -> pl.Series:
    """Return the placeholders of each text that stand for something, sorted, in one string.

    ``aside`` is the pattern of those that do not, such as those for typography.
    """
    meant = raw_texts.str.replace_all(aside, "") if aside else raw_texts
    return meant.str.extract_all(PLACEHOLDER).list.sort().list.join("")


def placeholder_mismatch(rows: pl.DataFrame, known: str) -> pl.DataFrame:
    """Return the rows (``language``, ``row``) whose placeholders are not those of the unit.

    ``rows`` has language, row, unit and ``placeholders`` for all rows of the units that have some.
    The unit's are those that most of its languages have; where that is undecided, ``known`` ones (a
    pattern) rather than unknown, and more rather than fewer.
    """
    usual = (
        rows.group_by("unit", "placeholders")
        .agg(pl.len().alias("languages"))
        .sort(
            "unit",
            "languages",
            pl.col("placeholders").str.contains(rf"^(?:{known})*$"),
            pl.col("placeholders").str.len_bytes(),
            "placeholders",
            descending=[False, True, True, True, False],
        )
        .group_by("unit", maintain_order=True)
        .agg(pl.col("placeholders").first().alias("usual"))
    )
    return (
        rows.join(usual, on="unit")
        .filter(pl.col("placeholders") != pl.col("usual"))
        .select("language", "row")
    )


def add_expected_lengths(rows: pl.DataFrame) -> pl.DataFrame:
    """Add what length in characters each row is to be expected to have (``expected``).

    ``rows`` has language, row, unit and ``characters`` (1 or more) of units that several languages
    have. Each language has its own usual length; a unit's is the median of what its languages say.
    """
    if rows.is_empty():
        return rows.with_columns(expected=pl.lit(0.0))
    language, unit = rows["language"].to_numpy(), rows["unit"].to_numpy()
    log = np.log(rows["characters"].cast(pl.Float64).to_numpy())
    usual = _median_of_languages(log - _median_of_units(log, unit, language), language)
    return rows.with_columns(
        expected=pl.Series(np.exp(_median_of_units(log - usual, unit, language) + usual))
    )


def length_ratio(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows (``language``, ``row``) that are far longer or shorter than ``expected``.

    ``rows`` is that of ``add_expected_lengths``. What is far is told by Gale and Church (1993): the
    deviation's square grows with the length; and the length has to be twice or half of what was
    expected at least.
    """
    if rows.is_empty():
        return rows.select("language", "row")
    language = rows["language"].to_numpy()
    characters = rows["characters"].cast(pl.Float64).to_numpy()
    expected = rows["expected"].to_numpy()
    deviation = np.abs(characters - expected) / np.sqrt(expected)
    # The median of the absolute values of a normal variable is 0.6745 standard deviations.
    spread = _median_of_languages(deviation, language) / 0.6745
    ratio = characters / expected
    far = (
        (deviation > MIN_LENGTH_DEVIATIONS * np.maximum(spread, 1.0))
        & (np.maximum(ratio, 1 / ratio) >= MIN_LENGTH_RATIO)
        & (np.maximum(expected, characters) >= MIN_EXPECTED_CHARACTERS)
    )
    return rows.select("language", "row").filter(pl.Series(far))


def _median_of_units(values: Floats, unit: Numbers, language: Numbers) -> Floats:
    """Return for each value the median of what its unit has in all languages, one in each."""
    table = np.full((int(unit.max()) + 1, int(language.max()) + 1), np.nan)
    table[unit, language] = values
    table.sort(axis=1)  # what is missing last
    languages = np.count_nonzero(~np.isnan(table), axis=1)
    every = np.arange(len(table))
    median: Floats = (table[every, (languages - 1) // 2] + table[every, languages // 2]) / 2
    return median[unit]


def _median_of_languages(values: Floats, language: Numbers) -> Floats:
    """Return for each value the median of its language's."""
    medians = np.zeros(int(language.max()) + 1)
    for number in np.unique(language):
        medians[number] = np.median(values[language == number])
    return medians[language]


def find_copies(
    same: pl.DataFrame, texts: dict[int, pl.Series], vocabularies: Sequence[Vocabulary]
) -> pl.DataFrame:
    """Return the rows (``language``, ``row``) that read the same in several languages, judged.

    ``same`` has language (index), row and ``same`` (a key that the copies of one text have in
    common), ``texts`` each language's texts in the order of its rows there. Of the languages in
    which a unit reads the same, the ``original`` is the one in whose other texts its words are
    likeliest. In another it is a copy (``copy``) where they are a thousand times less likely,
    unlike in languages that share words and a script. Where nothing tells them apart, as with a
    spell or a name, a text is meant to read the same.
    """
    tables = []
    for (language,), rows in same.group_by("language", maintain_order=True):
        of_language, vocabulary = texts[int(language)], vocabularies[int(language)]
        words = hash_bare_words(of_language, characters=vocabulary.characters)
        elsewhere = vocabulary.elsewhere(table_places(words))
        likely = vocabulary.log_probability(elsewhere)
        number = np.maximum(np.bincount(words.text, minlength=len(of_language)), 1)
        letters = of_language.str.replace_all(r"[^\p{L}\p{M}]", "").str.len_bytes()
        tables.append(
            rows.with_columns(
                letters=letters,
                # A text may have more words in one language than in another: what counts is each.
                likely=pl.Series(np.bincount(words.text, likely, len(of_language)) / number),
                at_home=pl.Series(
                    np.bincount(words.text, elsewhere > 0, len(of_language)) / number
                ),
                number=pl.Series(number),
            )
        )
    if not tables:
        nothing = same.select("language", "row", original="language").clear()
        return nothing.with_columns(copy=pl.lit(True))
    ranked = pl.concat(tables).sort("same", "likely", "language", descending=[False, True, False])
    first = {
        name: pl.col(column).first().over("same")
        for name, column in (
            ("best", "likely"),
            ("home", "at_home"),
            ("original", "language"),
            ("words", "number"),
        )
    }
    odds = (pl.col("best") - pl.col("likely")) * pl.col("words")
    in_most = (pl.len().over("same") >= MOST_LANGUAGES * len(vocabularies)) & (
        pl.len().over("same") > FEW_LANGUAGES
    )
    return ranked.with_columns(**first, in_most=in_most).select(
        "language",
        "row",
        "original",
        copy=(pl.col("home") >= pl.when("in_most").then(AT_HOME_IN_MOST).otherwise(AT_HOME))
        & (pl.col("letters") >= MIN_COPY_LETTER_BYTES)
        & (odds > MIN_LOG_ODDS)
        & (odds > pl.col("words")),
    )
