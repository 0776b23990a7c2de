"""What counts as the same text: the one definition that the split and the checks of it share.

Texts are compared line by line, and a line is compared bare: without the name of who says it
(whatever stands before the first colon, up to 40 characters of it), outer parentheses and outer
white space, which rendering adds and takes away. Two scenes share a text when they have a bare line
in common, in whatever languages, and then they are on one side of the split. Let through are

- *short lines*, of under 20 characters ("Who goes there?"): they recur without giving anything
  away;
- *stock phrases*, of under ten words, in more than five scenes that are otherwise unlike: they
  would glue half a corpus together. Ten words are also the least that the search for
  near-duplicates compares (eight shingles of three words).

What is let through is counted and shown with the split, and so is what connects most scenes.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from cyrene_assets.corpus.preparation.word_hashes import Words
from cyrene_assets.corpus.text import WHITESPACE

# In characters of a bare line.
MIN_LINE_CHARACTERS = 20
# In words; a stock phrase has fewer.
MIN_LINE_WORDS = 10
# Scenes, duplicates and near-duplicates of one counted once; a stock phrase is in more.
MAX_STOCK_SCENES = 5
# Lines that connect scenes: so many are told.
MAX_FREQUENT = 20
MAX_NAME_CHARACTERS = 40
# A name and the colon after it: rendering's, or a page's that quotes what somebody says.
NAME = rf"^[^:\uff1a\n]{{0,{MAX_NAME_CHARACTERS}}}[:\uff1a]"
COLONS = (": ", "\uff1a")
COLON = "[:\uff1a]"
COLONS_ALONE = [":", "\uff1a"]
OUTER = f"{WHITESPACE}()\uff08\uff09"


def bare_lines(texts: pl.DataFrame) -> pl.DataFrame:
    """Return the lines of ``text``, bare and not blank, with the other columns, in any order."""
    text = pl.col("text")
    # Most texts are one line, and most lines have no name.
    several = text.str.contains("\n", literal=True)
    lines = pl.concat(
        [
            texts.filter(~several),
            texts.filter(several).with_columns(text.str.split("\n")).explode("text"),
        ]
    ).with_columns(text.str.strip_chars(OUTER))
    named = text.str.contains_any(COLONS_ALONE)
    without_name = text.str.replace(NAME, "").str.strip_chars(OUTER)
    parts = [lines.filter(~named), lines.filter(named).with_columns(without_name)]
    return pl.concat(parts).filter(text != "")


def unit_lines(units: pl.DataFrame) -> pl.DataFrame:
    """Return the bare lines that come of units (speaker, title, text), however they are rendered.

    These are the lines of texts and titles. Of a text that has a colon the first line is there with
    what stands before the colon as well, since after the speaker's name only that name goes; and a
    name that has a colon itself, or is over 40 characters long, stays with what is said. Columns
    are those of the units but speaker and title.
    """
    name, text = pl.col("speaker"), pl.col("text")
    odd_name = (name.str.len_chars() > MAX_NAME_CHARACTERS) | name.str.contains(COLON)
    odd = units.filter(odd_name)
    forms = [
        units,
        units.filter(pl.col("title") != "").with_columns(text="title"),
        units.filter(text.str.contains_any(COLONS_ALONE)).with_columns(
            text=pl.concat_str(pl.lit(":"), text)
        ),
        *(odd.with_columns(text=pl.concat_str(name, pl.lit(colon), text)) for colon in COLONS),
    ]
    return bare_lines(pl.concat([form.drop("speaker", "title") for form in forms]))


def without_short_lines(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the bare lines that are not short."""
    return lines.filter(pl.col("text").str.len_chars() >= MIN_LINE_CHARACTERS)


def hash_lines(lines: pl.DataFrame, words: Words) -> pl.DataFrame:
    """Return each scene's bare lines once, as numbers: scene, text (u64, a hash), words (u32).

    How a language counts as words is known from its ``words``.
    """
    text = pl.col("text")
    of_text = (
        text.str.len_chars() * 3 // words.shingle_words
        if words.characters
        else text.str.count_matches(" ", literal=True) + 1
    )
    numbers = lines.select("scene", text.hash(), of_text.cast(pl.UInt32).alias("words"))
    return numbers.unique(["scene", "text"], keep="first", maintain_order=True)


@dataclass(frozen=True)
class SharedLines:
    """What scenes have in common: pairs that connect all scenes with a line in common, by number.

    ``lines`` has the stock phrases among these lines, which connect nothing (``stock``), and of the
    others the most frequent: text (u64), scene (one of those that it is in), scenes (how many),
    words and stock.
    """

    pairs: list[tuple[int, int]]
    lines: pl.DataFrame


def find_shared_lines(lines: pl.DataFrame, alike: pl.Series) -> SharedLines:
    """Look for lines (``hash_lines``, of all languages) that several scenes have in common.

    ``alike`` has a number for each scene, equal for duplicates and near-duplicates.
    """
    ordered = lines.sort("text", "scene")
    text = ordered["text"].to_numpy()
    repeated = np.zeros(len(text) + 1, dtype=bool)
    repeated[1:-1] = text[1:] == text[:-1]
    several = ordered.filter(pl.Series(repeated[1:] | repeated[:-1]))
    scenes = (
        several.with_columns(alike=pl.lit(alike).gather("scene"))
        .group_by("text", maintain_order=True)
        .agg(
            pl.col("scene").first(),
            pl.col("scene").n_unique().alias("scenes"),
            pl.col("words").max(),
            pl.col("alike").n_unique(),
        )
        .filter(pl.col("alike") > 1)
        .with_columns(
            stock=(pl.col("alike") > MAX_STOCK_SCENES) & (pl.col("words") < MIN_LINE_WORDS),
        )
    )
    stock, others = scenes.filter("stock"), scenes.filter(~pl.col("stock"))
    telling = several.join(stock, on="text", how="anti", maintain_order="left")
    text, scene = telling["text"].to_numpy(), telling["scene"].to_numpy()
    both = np.flatnonzero((text[1:] == text[:-1]) & (scene[1:] != scene[:-1]))
    pairs = pl.DataFrame({"first": scene[both], "second": scene[both + 1]})
    frequent = others.sort("scenes", "text", descending=[True, False]).head(MAX_FREQUENT)
    return SharedLines(
        pairs.unique(maintain_order=True).rows(), pl.concat([stock, frequent]).drop("alike")
    )
