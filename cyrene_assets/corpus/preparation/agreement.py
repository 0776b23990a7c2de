"""What translations of one unit agree on: its numbers, and what kind of sentence it ends with."""

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
    r"[\s\"'\u00AB\u00BB\u2018-\u201F\u2039\u203A\u300C-\u300F\uFF02\uFF07()\[\]\uFF08\uFF09*_]+$"
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
    bare = texts.str.replace(AROUND, "")
    kinds = pl.Series([NONE], dtype=pl.UInt8).new_from_index(0, len(bare))
    for number, pattern in reversed(list(enumerate(ENDS, start=1))):
        kinds = kinds.scatter(bare.str.contains(pattern).fill_null(False).arg_true(), number)
    return kinds.scatter((bare.fill_null("") == "").arg_true(), 0)


def ending_mismatch(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows (``language``, ``row``) that end as no translation and no habit has it.

    ``rows`` has language, row, unit and ``ends`` (``classify_endings``). A row is odd where its
    unit's other languages agree and its language hardly ever ends so where they do. What counts is
    whether the question or any mark was lost: who exclaims, who states, and who asks where others
    state, is for the translator. Cost: sorting the rows.
    """
    # In the order in which something is lost.
    kind = (
        pl.when(pl.col("ends") == QUESTION)
        .then(0)
        .when(pl.col("ends") == NONE)
        .then(2)
        .otherwise(1)
    )
    counted = rows.filter(pl.col("ends") > 0).with_columns(kind=kind)
    others = pl.len().over("unit") - 1
    agreeing = pl.len().over("unit", "kind")
    majority = (
        counted.group_by("unit", "kind")
        .agg(having=pl.len())
        .sort("unit", "having", "kind", descending=[False, True, False])
        .unique("unit", keep="first")
        .select("unit", usual="kind", having="having")
    )
    decided = (
        counted.with_columns(others=others, agreeing=agreeing)
        .join(majority, on="unit")
        .filter(
            (pl.col("others") >= MIN_OTHERS)
            & (
                (pl.col("having") - (pl.col("kind") == pl.col("usual")))
                >= MIN_AGREEMENT * pl.col("others")
            )
        )
    )
    cell = pl.len().over("language", "usual", "kind") - 1
    of = pl.len().over("language", "usual")
    return (
        decided.with_columns(cell=cell, of=of)
        .filter(
            pl.col("kind") > pl.col("usual"),
            pl.col("of") >= MIN_AGREED,
            pl.col("cell") <= MAX_HABIT_SHARE * pl.col("of"),
        )
        .select("language", "row")
        .sort("language", "row")
    )
