"""The scripts that a language is written in, and texts that are written in none of them.

Names do not count: a Japanese game may write all of its people's names in Latin letters. What a
language is written in is counted in its own texts; where its code is known, so is its script, and a
corpus with many untranslated lines does not change that.
"""

from collections.abc import Sequence

import polars as pl

from cyrene_assets.corpus.languages import JAPANESE, SCRIPTS
from cyrene_assets.corpus.preparation.word_hashes import sample_characters, sample_texts

# The share of kana in Japanese is about a half; Chinese has some in names and quotations.
MIN_KANA_SHARE = 0.1
# A script is one of the language's when it has this share of its letters and of its texts (those
# of which it has most letters).
MIN_SCRIPT_SHARE = 0.2
MIN_LETTERS = 4


def main_scripts(
    texts: pl.Series, names: Sequence[str] = (), known: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the scripts that a language's texts are written in.

    Args:
        texts: of the language; some thousand from all over are looked at.
        names: may stand in any text and do not count.
        known: those of the language, where it has one writing system or the corpus says them. They
            are the only ones, if one of them is a main script at all.
    """
    some = without_names(sample_texts(texts), names)
    counts = _letters_by_script(sample_characters(some))
    systems: dict[tuple[str, ...], int] = {}
    together = sum(counts[name] for name in JAPANESE)
    japanese = counts["Hiragana"] + counts["Katakana"] >= MIN_KANA_SHARE * max(together, 1)
    for name, count in counts.items():
        system = JAPANESE if japanese and name in JAPANESE else (name,)
        if count:
            systems[system] = systems.get(system, 0) + count
    if not systems:
        return ()
    letters = some.str.count_matches(r"\p{L}")
    with_letters = max(int((letters > 0).sum()), 1)
    total = sum(systems.values())

    def share(system: tuple[str, ...]) -> float:
        in_script = some.str.count_matches("[" + "".join(rf"\p{{{name}}}" for name in system) + "]")
        texts_in_it = int(((in_script * 2 > letters) & (letters > 0)).sum())
        return min(systems[system] / total, texts_in_it / with_letters)

    largest = max(systems, key=lambda system: systems[system])
    main = {system for system in systems if system == largest or share(system) >= MIN_SCRIPT_SHARE}
    if known in main or (known != JAPANESE and {(name,) for name in known} & main):
        return known
    return tuple(name for name in SCRIPTS if any(name in system for system in main))


def _letters_by_script(characters: pl.DataFrame) -> dict[str, int]:
    """Return how many of the counted characters are of each script."""
    counts = dict.fromkeys(SCRIPTS, 0)
    left = characters.filter(~pl.col("character").str.contains(r"[\p{Common}\p{Inherited}]"))
    for name in SCRIPTS:
        if left.is_empty():  # Each pattern costs half a millisecond, whatever it is looked for in.
            break
        in_script = left["character"].str.contains(rf"\p{{{name}}}")
        counts[name], left = int(left["count"].filter(in_script).sum()), left.filter(~in_script)
    return counts


def without_names(texts: pl.Series, names: Sequence[str]) -> pl.Series:
    """Return texts without the names in them."""
    distinct = sorted({name for name in names if name})
    return texts.str.replace_many(distinct, [""] * len(distinct)) if distinct else texts


def wrong_script(texts: pl.Series, scripts: Sequence[str], names: Sequence[str] = ()) -> pl.Series:
    """Say of which texts most letters, four at least, are of none of the language's scripts.

    ``names`` may stand in any text and do not count.
    """
    if not scripts:
        return pl.repeat(False, len(texts), eager=True)
    known = "".join(rf"\p{{{name}}}" for name in (*scripts, "Common", "Inherited"))
    foreign_letter = rf"[\p{{L}}--[{known}]]"
    some = texts.str.contains(foreign_letter).fill_null(False).arg_true()
    without = without_names(texts.gather(some), names)
    letters = without.str.replace_all(r"\P{L}", "")
    of_language = letters.str.replace_all(foreign_letter, "")
    mostly_foreign = pl.Series([True] * len(some), dtype=pl.Boolean)
    # A Han or Kana letter says more than a Latin one; as bytes of UTF-8 they are about equal.
    for size, of_own in (
        (letters.str.len_chars(), of_language.str.len_chars()),
        (letters.str.len_bytes(), of_language.str.len_bytes()),
    ):
        mostly_foreign &= of_own * 2 < size
    foreign = letters.str.len_chars() - of_language.str.len_chars()
    wrong = some.filter((foreign >= MIN_LETTERS) & mostly_foreign)
    return pl.repeat(False, len(texts), eager=True).scatter(wrong, True)
