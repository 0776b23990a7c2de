"""Mojibake: UTF-8 that was read as another encoding (``GÃ¤rten`` for ``Gärten``).

ftfy's measure of badness knows what Latin letters come of it. What is misread as Cyrillic, Greek or
Chinese is told by reading it back: real words in these encodings are hardly ever valid UTF-8.
"""

import re
from functools import cache

import polars as pl

# What bytes of two and more UTF-8 characters look like in Latin-1 or Windows-1252: a lead byte's
# letter, and something that is no ASCII after it.
LATIN = (
    r"[\u00C2-\u00F4][\u0080-\u00BF\u0152\u0153\u0160\u0161\u0178\u017D\u017E\u0192\u02C6\u02DC"
    r"\u2013-\u203A\u20AC\u2122]"
)
# Cyrillic and Greek: the lead bytes of their own letters, and what no word continues with.
SINGLE_BYTE = {
    "cp1251": r"[\u0420\u0421\u0432\u0413][^\u0430-\u044F\u0410-\u042F\u0451\u0401\u0000-\u007F]",
    "cp1253": r"[\u039F\u039E][^\u03AC-\u03CE\u0386-\u03AB\u0000-\u007F]",
}
MIN_CHARACTERS = 2
# Of what reads back as UTF-8: the least share, since some bytes got lost.
MIN_READ_BACK_SHARE = 0.7
MIN_HAN = 3


def mojibake(texts: pl.Series) -> pl.Series:
    """Say which texts have a word at least that is misread UTF-8.

    Cost: a regular expression over all texts, and some microseconds for each that looks like it.
    """
    bad = pl.repeat(False, len(texts), eager=True)
    from ftfy.badness import is_bad

    rows = texts.str.contains(LATIN).fill_null(False).arg_true()
    bad = bad.scatter(rows, [is_bad(text) for text in texts.gather(rows)])
    for encoding, pattern in SINGLE_BYTE.items():
        rows = texts.str.contains(pattern).fill_null(False).arg_true()
        reads_back = [_reads_back(text, encoding) for text in texts.gather(rows)]
        bad = bad.scatter(rows.filter(pl.Series(reads_back, dtype=pl.Boolean)), True)
    typical = f"[{_of_lead_bytes()}]"
    many = texts.str.count_matches(typical).fill_null(0)
    rows = ((many >= MIN_HAN) & (many * 5 > texts.str.len_chars())).arg_true()
    reads_back = [_reads_back(text, "gbk") for text in texts.gather(rows)]
    return bad.scatter(rows.filter(pl.Series(reads_back, dtype=pl.Boolean)), True)


def _reads_back(text: str, encoding: str) -> bool:
    """Return whether some run of the text, in this encoding, is UTF-8."""
    for run in re.findall(r"[^\x00-\x7F]{2,}", text):
        data = run.encode(encoding, errors="ignore")
        back = data.decode("utf-8", errors="replace")
        valid = sum(len(c.encode()) for c in back if c not in "\ufffd" and ord(c) > 127)
        letters = any(c.isalpha() for c in back if c != "\ufffd")
        if len(run) >= MIN_CHARACTERS and letters and valid >= MIN_READ_BACK_SHARE * len(data):
            return True
    return False


@cache
def _of_lead_bytes() -> str:
    """Return the characters that GBK makes of the first two bytes of a CJK letter in UTF-8."""
    pairs = (bytes([lead, after]) for lead in range(0xE3, 0xEE) for after in range(0x80, 0xC0))
    return "".join(sorted({pair.decode("gbk", errors="ignore") for pair in pairs} - {""}))
