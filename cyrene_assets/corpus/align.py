"""The parallel corpus: all languages' units side by side, cleaned, flagged and split."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from cyrene_assets.corpus.clean import clean_units
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.sources import Problem, SourceError
from cyrene_assets.corpus.split import assign_split

FLAGS = ("untranslated_copy", "duplicate", "unknown_placeholder", "empty", "control_tokens")
# A unit of these kinds belongs to one language: it is not missing in the others.
ONE_LANGUAGE_KINDS = ("vendor", "instruction")
# Shorter texts ("Ha ha ha!", a name) are the same in many languages with good reason. UTF-8 bytes
# of letters: four Han characters say about as much as a dozen Latin letters.
COPY_LETTER_BYTES = 12
# A copy's words are at home in its own language and mostly foreign to the one it stands in.
COPY_AT_HOME = 0.85
WORD = r"\p{Han}|\p{Hiragana}|\p{Katakana}|\p{Thai}|[\p{L}\p{M}]+"
REPORTED_PROBLEMS = 20


@dataclass(frozen=True)
class Parallel:
    """The tables of the parallel corpus.

    ``units`` has every row of every language, with split and flags; ``coverage`` has unit, kind and
    ``languages_missing`` (list of strings) of each unit that some language lacks. A unit is there
    when cleaning leaves some of its text; vendor documents belong to one language. ``duplicates``
    has language, scene and ``original`` of each scene that repeats an earlier one.
    """

    units: pl.DataFrame
    coverage: pl.DataFrame
    duplicates: pl.DataFrame


def parallel_corpus(frames: Mapping[str, pl.DataFrame], corpus: Corpus) -> Parallel:
    """Align the ``raw_dialog`` tables of all of the corpus's languages.

    ``units`` has the raw columns (``text`` cleaned, ``raw_text`` as it was), ``split`` and
    ``flags``; languages in the order of their codes, each one's rows in their own order. Flags:
    ``untranslated_copy`` (the text is another language's), ``duplicate`` (the scene or document
    says, word for word, what an earlier one of its language says), ``unknown_placeholder``,
    ``empty`` (nothing is left after cleaning), ``control_tokens`` (some were removed).

    Raises:
        SourceError: a unit lies in another scene, or a scene is of another kind, in another
            language; each place with file and line.
    """
    languages = sorted(corpus.languages)
    units = pl.concat(
        [clean_units(frames[code], corpus.languages[code].player) for code in languages]
    )
    _refuse_misaligned(units)
    originals = _originals(units)
    flagged = units.join(
        originals, on=["language", "scene"], how="left", maintain_order="left"
    ).with_columns(
        duplicate=pl.col("original").is_not_null() & (pl.col("original") != pl.col("scene")),
        unknown_placeholder=pl.col("placeholders").list.len() > 0,
        empty=pl.col("text") == "",
        control_tokens=pl.col("control_tokens") > 0,
        untranslated_copy=_untranslated(units),
    )
    names = pl.concat_list(
        [pl.when(pl.col(flag)).then(pl.lit(flag)) for flag in FLAGS]
    ).list.drop_nulls()
    duplicates = originals.filter(pl.col("original") != pl.col("scene"))
    split = assign_split(units, duplicates, corpus.split)
    units = (
        flagged.with_columns(flags=names)
        .drop("placeholders", "original", *FLAGS)
        .join(split, on="scene", how="left", maintain_order="left")
    )
    return Parallel(units, _coverage(units, languages), duplicates)


def _refuse_misaligned(units: pl.DataFrame) -> None:
    """Languages must agree on what scene a unit is in, and on what a scene is."""
    problems = []
    for key, value in (("unit", "scene"), ("scene", "kind")):
        first = [pl.col(c).first().over(key).alias(f"{c}_first") for c in (value, "file", "line")]
        for row in (
            units.with_columns(first)
            .filter(pl.col(value) != pl.col(f"{value}_first"))
            .rows(named=True)
        ):
            problems.append(
                Problem(
                    row["file"],
                    row["line"],
                    f"{key} {row[key]!r} is of {value} {row[value]!r} here and of "
                    f"{row[f'{value}_first']!r} in {row['file_first']}:{row['line_first']}",
                    "give it the same in all languages, or an id of its own",
                )
            )
    if problems:
        raise SourceError(problems[:REPORTED_PROBLEMS])


def _originals(units: pl.DataFrame) -> pl.DataFrame:
    """Return per language and scene the first scene (``original``) with the very same texts."""
    content = pl.concat_str([pl.col("title").fill_null(""), pl.col("text")], separator="\x1f")
    return (
        units.filter(pl.col("text") != "")
        .group_by("language", "scene", maintain_order=True)
        .agg(content.str.join("\x1e").alias("content"))
        .select(
            "language",
            "scene",
            pl.col("scene").first().over("language", "content").alias("original"),
        )
    )


def _untranslated(units: pl.DataFrame) -> pl.Series:
    """Say for each row whether its text is a copy of another language's.

    Of the languages in which a unit reads the same, the original is the one in which most of its
    words are found in other units; in another it is a copy unless most of the words are at home
    there too, as in languages that share words and a script. Where no word is found anywhere else
    (a very small corpus), the first language by code counts as the original.
    """
    words = pl.col("text").str.to_lowercase().str.extract_all(WORD).list.unique()
    letters = pl.col("text").str.replace_all(r"[^\p{L}\p{M}]", "").str.len_bytes()
    rows = units.with_row_index("row").select(
        "row",
        "unit",
        "language",
        pl.col("raw_text").str.normalize("NFC").str.strip_chars().alias("same"),
        words.alias("word"),
        (letters >= COPY_LETTER_BYTES).alias("long"),
    )
    shared = pl.col("language").n_unique().over("unit", "same") > 1
    suspects = rows.filter(shared & pl.col("long"))
    if suspects.is_empty():
        return pl.repeat(False, len(units), eager=True)
    vocabulary = rows.filter(~shared).select("language", "word").explode("word").unique()
    at_home = (
        suspects.explode("word")
        .join(vocabulary.with_columns(known=1), on=["language", "word"], how="left")
        .group_by("row", "unit", "same", "language")
        .agg(pl.col("known").count().alias("known"))
        .sort("known", "language", descending=[True, False])
    )
    best = pl.col("known").first().over("unit", "same")
    original = pl.col("language").first().over("unit", "same")
    copies = at_home.filter(
        (pl.col("language") != original) & ((best == 0) | (pl.col("known") < COPY_AT_HOME * best))
    )
    return rows["row"].is_in(copies["row"].implode())


def _coverage(units: pl.DataFrame, languages: list[str]) -> pl.DataFrame:
    present = units.filter((pl.col("text") != "") & ~pl.col("kind").is_in(ONE_LANGUAGE_KINDS))
    missing = pl.lit(pl.Series([languages])).list.set_difference("languages").list.sort()
    return (
        present.group_by("unit", "kind", maintain_order=True)
        .agg(pl.col("language").unique().alias("languages"))
        .select("unit", "kind", missing.alias("languages_missing"))
        .filter(pl.col("languages_missing").list.len() > 0)
    )
