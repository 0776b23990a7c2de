"""What is odd about units, said for the person who has to correct it.

One line for each unit, whatever it is and in how many languages; the same mistake of a file once.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from cyrene_assets.corpus.names import CONTROL_MARKUP
from cyrene_assets.corpus.preparation.chinese import minority_characters
from cyrene_assets.corpus.sources.types import Problem
from cyrene_assets.utils.counting import counted

# Of each kind of finding.
SHOWN = 20
# A file with more of these has one mistake: how it was made.
IN_A_FILE = 3
BEGINNING = 40
FLAGGED = ("language", "unit", "file", "line", "flag", "text", "raw_text", "original")
Row = dict[str, Any]


def flagged(units: pl.DataFrame, copies: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each flag of one language's units that is a finding.

    ``copies`` says what the untranslated copies are copies of: see ``Parallel``.
    """
    odd = units.filter(pl.col("flags").list.len() > 0)
    return (
        odd.explode("flags")
        .rename({"flags": "flag"})
        .filter(pl.col("flag").is_in(list(DESCRIPTIONS)))
        .join(copies, on=["language", "unit"], how="left", maintain_order="left")
        .select(*FLAGGED)
    )


def findings(found: pl.DataFrame) -> list[Problem]:
    """Return what is odd about units: the first of each flag, and how many more there are.

    ``found`` has the ``flagged`` of all languages, the original first.
    """
    in_files = found.filter(
        pl.col("flag").is_in(list(OF_FILES)), pl.len().over("flag", "file") > IN_A_FILE
    )
    others = found.join(
        in_files, on=["language", "unit", "flag"], how="anti", maintain_order="left"
    )
    times = pl.len().over("flag", "file", "text")
    once = others.with_columns(times=times).unique(
        ["flag", "file", "text"], keep="first", maintain_order=True
    )
    kinds = list(DESCRIPTIONS)
    ranked = once.with_columns(
        rank=pl.col("flag").replace_strict(kinds, range(len(kinds)), return_dtype=pl.UInt8)
    )
    gravest = ranked.group_by("unit", maintain_order=True).agg(pl.col("rank").min())
    first = gravest.filter(pl.int_range(pl.len()).over("rank") < SHOWN)
    of_units = ranked.join(first.select("unit"), on="unit", how="semi", maintain_order="left")
    problems = [
        _of_unit(rows.sort("rank", maintain_order=True).rows(named=True))
        for _, rows in of_units.group_by("unit", maintain_order=True)
    ]
    more = (
        Problem(
            "corpus.yaml",
            0,
            f"{counted(number - SHOWN, 'more unit is', 'more units are')} flagged {kinds[rank]}",
            "look at the first ones",
        )
        for rank, number in gravest.group_by("rank").len().sort("rank").rows()
        if number > SHOWN
    )
    return [*_in_files(in_files), *problems, *more]


def once_a_file(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems, those of a file that say the same of several lines as one."""
    lines: dict[Problem, int] = {}
    first: dict[Problem, Problem] = {}
    for problem in problems:
        alike = replace(problem, line=0)
        first.setdefault(alike, problem)
        lines[alike] = lines.get(alike, 0) + 1
    return [
        problem
        if lines[alike] == 1
        else replace(
            problem,
            message=f"{problem.message} (and {counted(lines[alike] - 1, 'more line')} of the file)",
        )
        for alike, problem in first.items()
    ]


def listed(names: Sequence[str]) -> str:
    """Return names as a person would list them: de, fr and it."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _of_unit(rows: Sequence[Row]) -> Problem:
    """Return the one problem of a unit; ``rows`` are its flags, the gravest first."""
    messages, remedies = [], []
    for flag in dict.fromkeys(row["flag"] for row in rows):
        mine = [row for row in rows if row["flag"] == flag]
        languages = list(dict.fromkeys(row["language"] for row in mine))
        message, remedy = DESCRIPTIONS[flag](mine[0], listed(languages))
        if len(languages) > 1:
            message += f" (in {listed(languages)})"
        if again := sum(row["times"] - 1 for row in mine):
            message += f" (and the same text in {counted(again, 'more line')})"
        messages.append(message)
        remedies.append(remedy)
    first = rows[0]
    remedy = ", and ".join(dict.fromkeys(remedies))
    return Problem(first["file"], first["line"], ", and ".join(messages), remedy)


def _in_files(found: pl.DataFrame) -> Iterator[Problem]:
    for _, rows in found.group_by("flag", "file", maintain_order=True):
        first = rows.row(0, named=True)
        message, _ = DESCRIPTIONS[first["flag"]](first, first["language"])
        yield Problem(
            first["file"],
            first["line"],
            f"{message} (and {counted(len(rows) - 1, 'more line')} of the file)",
            OF_FILES[first["flag"]],
        )


def _control_tokens(row: Row, _: str) -> tuple[str, str]:
    found = ", ".join(dict.fromkeys(re.findall(CONTROL_MARKUP, row["raw_text"] or "")))
    return (
        f"control tokens in {row['unit']}: {found or 'assembled by cleaning'}",
        "remove them from the text, as cleaning does",
    )


def _begins(row: Row) -> str:
    text = row["text"]
    return repr(text if len(text) <= BEGINNING else f"{text[:BEGINNING]}…")


def _ends(row: Row) -> str:
    text = row["text"]
    return repr(text if len(text) <= BEGINNING else f"…{text[-BEGINNING:]}")


def _foreign(what: str) -> Callable[[Row, str], tuple[str, str]]:
    return lambda row, where: (
        f"{what.format(row['language'])}, {row['unit']}: {_begins(row)}",
        f"translate it into {where}, or leave it if that is meant",
    )


# In order of gravity.
DESCRIPTIONS: dict[str, Callable[[Row, str], tuple[str, str]]] = {
    "mojibake": lambda row, _: (
        f"misread characters in {row['unit']}: {_begins(row)}",
        "write it again from a source that was read as UTF-8",
    ),
    "untranslated_copy": lambda row, where: (
        f"untranslated copy: {row['unit']} reads as in {row['original']}",
        f"translate it into {where}",
    ),
    "half_translated": lambda row, where: (
        f"partly left as in the original, {row['unit']}: {_begins(row)}",
        f"translate the rest into {where}",
    ),
    "control_tokens": _control_tokens,
    "empty": lambda row, _: (f"no text is left in {row['unit']}", "write it, or remove it"),
    "wrong_script": _foreign("another script than {}'s"),
    "wrong_language": _foreign("reads like another language than {}"),
    "chinese_variant": lambda row, _: (
        f"characters of the other Chinese script in {row['unit']}: "
        f"{', '.join(minority_characters(row['text']))}",
        "convert them, or leave them if that is meant",
    ),
    "shifted_line": lambda row, _: (
        f"the text of a line next to it, {row['unit']}: {_begins(row)}",
        "see whether lines have changed places or slipped by one",
    ),
    "length_ratio": lambda row, _: (
        f"far longer or shorter than its translations, {row['unit']}: {_begins(row)}",
        "see whether something is missing, or too much",
    ),
    "placeholder_mismatch": lambda row, _: (
        f"other placeholders than its translations, {row['unit']}: "
        f"{', '.join(re.findall(r'{+[^{}]*}+', row['raw_text'] or row['text'])) or 'none'}",
        "see which of them is right",
    ),
    "number_mismatch": lambda row, _: (
        f"other numbers than its translations, {row['unit']}: "
        f"{', '.join(re.findall(r'[0-9][0-9.,]*', row['text'])) or _begins(row)}",
        "see which of them is right",
    ),
    "ending_mismatch": lambda row, _: (
        f"ends unlike its translations, {row['unit']}: {_ends(row)}",
        "see whether something is missing at the end",
    ),
}
# What is one mistake where a file has many of it, and the remedy.
OF_FILES = {
    "mojibake": "the file was read in another encoding and saved: make it again, as UTF-8",
    "chinese_variant": "convert the file, or leave it if that is meant",
    "control_tokens": "remove them from the file, as cleaning does",
}
