"""Simplified and traditional Chinese, told by the characters that only one of them has.

The national character sets say which those are: GB 2312 has the simplified forms, Big5 the
traditional ones. What a corpus uses in other texts of the language is at home there, be it a name's
or a variant's.
"""

from functools import cache

import polars as pl

from cyrene_assets.corpus.words import some_of

# Of a language's characters that only one of the two has: this share is of one.
CLEARLY = 0.9
# A text with fewer of the other's has a name or a typing error; one that is in few other texts.
FEWEST = 2
AT_HOME = 0.002
# What Big5 lacks and traditional text has all the same, or GB 2312 lacks and simplified text has.
SHARED = "着裏麽羣牀啓喫峯説"


@cache
def variants() -> tuple[frozenset[str], frozenset[str]]:
    """Return the Han characters that GB 2312 has and Big5 lacks, and the other way round."""
    han = [chr(code) for code in range(0x4E00, 0xA000)]
    simplified = {c for c in han if _encodes(c, "gb2312")}
    traditional = {c for c in han if _encodes(c, "big5")}
    return frozenset(simplified - traditional), frozenset(traditional - simplified)


def other_variant(texts: pl.Series) -> pl.Series:
    """Say which of a Chinese language's texts have characters of the other kind, two at least.

    Which kind the language is written in is found in the texts themselves; where that is not clear,
    nothing is said of any. One pass over the texts.
    """
    simplified, traditional = ("".join(sorted(kind - set(SHARED))) for kind in variants())
    some = some_of(texts)
    counts = [int(some.str.count_matches(f"[{kind}]").sum()) for kind in (simplified, traditional)]
    nothing = pl.repeat(False, len(texts), eager=True)
    if max(counts) < CLEARLY * sum(counts) or not sum(counts):
        return nothing
    other = traditional if counts[0] > counts[1] else simplified
    rows = texts.str.contains(f"[{other}]").fill_null(False).arg_true()
    found = pl.DataFrame(
        {"row": rows, "character": texts.gather(rows).str.extract_all(f"[{other}]")}
    ).explode("character", empty_as_null=False)
    texts_with = pl.struct("row", "character").n_unique().over("character")
    odd = found.filter(texts_with <= max(AT_HOME * len(texts), 2.0))
    wrong = odd.group_by("row").len().filter(pl.col("len") >= FEWEST)["row"]
    return nothing.scatter(wrong, True)


def _encodes(character: str, encoding: str) -> bool:
    try:
        return bool(character.encode(encoding))
    except UnicodeEncodeError:
        return False
