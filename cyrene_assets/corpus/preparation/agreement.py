"""What translations of one unit agree on: its numbers, and what kind of sentence it ends with."""

import numpy as np
import polars as pl

# Digits of other scripts, and full-width ones, as ASCII's.
DIGITS = {
    chr(zero + value): str(value)
    for zero in (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x17E0, 0xFF10)
    for value in range(10)
}
# Thousands are set apart by these, and by a blank before zeros.
SEPARATORS = r".,'\u2019\u00A0\u202F\u2009\uFF0C"
WRITTEN = rf"[0-9]+(?:[{SEPARATORS}][0-9]+| 000)*"
IN_THOUSANDS = rf"^[0-9]{{1,3}}(?:[{SEPARATORS}][0-9]{{3}})*(?: 000)*$"
EAST_ASIAN = (
    ("[百]|백", "00"),
    ("[千]|천", "000"),
    ("[万萬]|만", "0000"),
    ("[亿億]|억", "00000000"),
)
# How a text ends, once quotation marks and brackets are off.
AROUND = (
    " \t\n\x0b\x0c\r\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
    "\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\"'\u00ab\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f"
    "\u2039\u203a\u300c\u300d\u300e\u300f\uff02\uff07()[]\uff08\uff09*_"
)
ENDS = (
    r"[?\uFF1F\u061F\u037E\u2047-\u2049]$",
    r"[!\uFF01]$",
    r"(?:\.\.|[\u2026\u22EF])$",
    r"[.\u3002\uFF0E\uFF61\u0964\u06D4\u1362\u0589]$",
    r"[,\uFF0C\u3001:\uFF1A;\uFF1B\u2013\u2014~\u301C\uFF5E-]$",
)
QUESTION, EXCLAMATION, ELLIPSIS, FULL_STOP, OPEN, NONE = range(1, 7)
# What its languages agree on: the share of them, one's own not counted, and how many at least.
MIN_AGREEMENT = 0.95
MIN_OTHERS = 2
# What a language does so often where the others agree on something else is its habit.
MAX_HABIT_SHARE = 0.02
# Texts of a language where the others agree on the same: fewer tell nothing of its habits.
MIN_AGREED = 50
# A question, another mark, none.
KINDS = 3


def extract_numbers(texts: pl.Series) -> pl.DataFrame:
    """Return ``row`` and ``number`` of the numbers in digits, each once a text.

    Digits of all scripts count, thousands may be set apart, and East Asian units (3万) multiply.
    """
    rows = texts.str.contains(r"\p{Nd}").fill_null(False).arg_true()
    some = texts.gather(rows).str.replace_many(DIGITS)
    for unit, zeros in EAST_ASIAN:
        some = some.str.replace_all(rf"([0-9])(?:{unit})", f"${{1}}{zeros} ")
    numbers = pl.DataFrame({"row": rows, "number": some.str.extract_all(WRITTEN)})
    number = pl.col("number")
    together = number.str.replace_all("[^0-9]", "").str.split(" ")
    apart = number.str.extract_all("[0-9]+")
    return (
        numbers.explode("number", empty_as_null=False)
        .with_columns(pl.when(number.str.contains(IN_THOUSANDS)).then(together).otherwise(apart))
        .explode("number", empty_as_null=False)
        .with_columns(number.str.replace("^0+([0-9])", "$1").str.slice(0, 18).cast(pl.UInt64))
        .unique(maintain_order=True)
    )


def number_mismatch(numbers: pl.DataFrame) -> pl.DataFrame:
    """Return the rows (``language``, ``row``) with a number that hardly a translation has.

    ``numbers`` has language (index, 0 the original), row, unit and number. Instead of one that most
    of the translations with numbers have, the row has another: a number that is written as a word
    is none. Where it is one language's word against another's, the original is right.

    Cost: sorting the numbers.
    """
    by_unit = numbers.with_columns(
        languages=pl.col("language").n_unique().over("unit"),
        having=pl.len().over("unit", "number"),
    )
    usual = (
        by_unit.with_columns(by_original=(pl.col("language") == 0).any().over("unit", "number"))
        .filter(
            (pl.col("having") * 2 >= pl.col("languages"))
            & ((pl.col("having") > 1) | pl.col("by_original"))
        )
        .select("unit", "number", "having", "by_original")
        .unique()
    )
    few = (pl.col("having") == 1) | (pl.col("having") * 3 < pl.col("languages"))
    odd = by_unit.filter(few).select("language", "row", "unit").unique()
    lacking = (
        odd.join(usual, on="unit")
        .filter((pl.col("language") != 0) | (pl.col("having") > 1))
        .join(numbers, on=["language", "row", "number"], how="anti")
    )
    return lacking.select("language", "row").unique().sort("language", "row")


def classify_endings(texts: pl.Series) -> pl.Series:
    """Return how each text ends, as a number (u8); 0 without text."""
    # Of the two characters that a text ends with there are few, and each pair is looked at once.
    ends = texts.str.strip_chars_end(AROUND).str.tail(2).fill_null("")
    kinds = ends.unique().to_frame("end").with_columns(kind=pl.lit(NONE, pl.UInt8))
    for number, pattern in reversed(list(enumerate(ENDS, start=1))):
        matches = pl.col("end").str.contains(pattern)
        kinds = kinds.with_columns(
            kind=pl.when(matches).then(pl.lit(number, pl.UInt8)).otherwise("kind")
        )
    kinds = kinds.with_columns(
        kind=pl.when(pl.col("end") == "").then(pl.lit(0, pl.UInt8)).otherwise("kind")
    )
    return ends.to_frame("end").join(kinds, on="end", how="left", maintain_order="left")["kind"]


def ending_mismatch(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows (``language``, ``row``) that end as no translation and no habit has it.

    ``rows`` has language, row, unit and ``ends`` (``classify_endings``). A row is odd where its
    unit's other languages agree and its language hardly ever ends so where they do. What counts is
    whether the question or any mark was lost: who exclaims, who states, and who asks where others
    state, is for the translator. Cost: sorting the rows.
    """
    counted = rows.filter(pl.col("ends") > 0)
    if counted.is_empty():
        return counted.select("language", "row")
    # In the order in which something is lost.
    kinds = np.full(NONE + 1, 1, dtype=np.uint8)
    kinds[QUESTION], kinds[NONE] = 0, 2
    unit, kind = counted["unit"].to_numpy(), kinds[counted["ends"].to_numpy()]
    having = np.zeros((int(unit.max()) + 1, KINDS), dtype=np.uint16)
    for value in range(KINDS):
        having[:, value] = np.bincount(unit[kind == value], minlength=len(having))
    usual = having.argmax(axis=1).astype(np.uint8)
    most, languages = having.max(axis=1), having.sum(axis=1, dtype=np.uint16)
    odd = np.zeros(len(counted), dtype=bool)
    for language in counted["language"].unique():
        own = (counted["language"] == language).to_numpy()
        units, kinds_of_own = unit[own], kind[own]
        others, expected = languages[units].astype(np.int64) - 1, usual[units]
        agreeing = most[units] - (kinds_of_own == expected).astype(np.int64)
        decided = (others >= MIN_OTHERS) & (agreeing >= MIN_AGREEMENT * others)
        cell = expected * np.int64(KINDS) + kinds_of_own
        habits = np.bincount(cell[decided], minlength=KINDS * KINDS).reshape(KINDS, KINDS)
        of = habits.sum(axis=1)[expected]
        rare = habits[expected, kinds_of_own] - 1 <= MAX_HABIT_SHARE * of
        odd[own] = decided & (kinds_of_own > expected) & (of >= MIN_AGREED) & rare
    return counted.select("language", "row").filter(pl.Series(odd)).sort("language", "row")
