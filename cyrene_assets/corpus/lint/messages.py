"""What is odd about units, said for the person who has to correct it.

One line for each unit, whatever it is and in how many languages; the same mistake of a file once.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from cyrene_assets.corpus.preparation import flag_registry
from cyrene_assets.corpus.preparation.flag_registry import Describe
from cyrene_assets.corpus.sources.types import Problem, config_problem
from cyrene_assets.utils.counting import counted

# Of each kind of finding.
SHOWN = 20
# A file with more of these has one mistake: how it was made.
IN_A_FILE = 3
FLAGGED = ("language", "unit", "file", "line", "flag", "text", "raw_text", "original")
# What tells two mistakes of a kind apart: what is quoted, in brackets, or a number.
_VALUES = re.compile(r" \(.*\)$|'[^']*'|[0-9]+")
Row = dict[str, Any]


def flagged(units: pl.DataFrame, copies: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each flag of one language's units that is a finding.

    ``copies`` says what the untranslated copies are copies of: see ``Parallel``.
    """
    odd = units.filter(pl.col("flags").list.len() > 0)
    return (
        odd.explode("flags")
        .rename({"flags": "flag"})
        .filter(pl.col("flag").is_in(list(descriptions())))
        .join(copies, on=["language", "unit"], how="left", maintain_order="left")
        .select(*FLAGGED)
    )


def findings(found: pl.DataFrame) -> list[Problem]:
    """Return what is odd about units: the first of each flag, and how many more there are.

    ``found`` has the ``flagged`` of all languages, the original first.
    """
    in_files = found.filter(
        pl.col("flag").is_in(list(_of_files())), pl.len().over("flag", "file") > IN_A_FILE
    )
    others = found.join(
        in_files, on=["language", "unit", "flag"], how="anti", maintain_order="left"
    )
    times = pl.len().over("flag", "file", "text")
    once = others.with_columns(times=times).unique(
        ["flag", "file", "text"], keep="first", maintain_order=True
    )
    kinds = list(descriptions())
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
        config_problem(
            f"{counted(number - SHOWN, 'more unit is', 'more units are')} flagged {kinds[rank]}",
            "look at the first ones",
        )
        for rank, number in gravest.group_by("rank").len().sort("rank").rows()
        if number > SHOWN
    )
    return [*_in_files(in_files), *problems, *more]


def once_a_file(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems, those of a file that say the same of several lines as one."""
    return _together(problems, lambda problem: replace(problem, line=0), 1)


def one_of_a_kind(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems, the same mistake with many values in a file as one, with the first value."""
    return _together(
        once_a_file(problems),
        lambda problem: replace(problem, line=0, message=_VALUES.sub("", problem.message)),
        IN_A_FILE,
    )


def _together(
    problems: Iterable[Problem], kind: Callable[[Problem], Problem], at_most: int
) -> list[Problem]:
    """Return problems, of more than ``at_most`` lines of one kind the first with their number."""
    groups: dict[Problem, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(kind(problem), []).append(problem)
    found: list[Problem] = []
    for first, *others in groups.values():
        if len(others) < at_most:
            found += [first, *others]
        else:
            more = f" (and {counted(len(others), 'more line')} of the file)"
            found.append(replace(first, message=first.message + more))
    return found


def listed(names: Sequence[str]) -> str:
    """Return names as a person would list them: de, fr and it."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def descriptions() -> dict[str, Describe]:
    """Return how to say each flag that is a finding, the gravest first."""
    by_gravity = sorted(flag_registry.FLAGS, key=lambda flag: flag.severity)
    return {flag.name: flag.describe for flag in by_gravity if flag.describe}


def _of_files() -> dict[str, str]:
    """Return the remedies of what is one mistake where a file has many of it."""
    return {flag.name: flag.file_remedy for flag in flag_registry.FLAGS if flag.file_remedy}


def _of_unit(rows: Sequence[Row]) -> Problem:
    """Return the one problem of a unit; ``rows`` are its flags, the gravest first."""
    messages, remedies = [], []
    describe = descriptions()
    for flag in dict.fromkeys(row["flag"] for row in rows):
        mine = [row for row in rows if row["flag"] == flag]
        languages = list(dict.fromkeys(row["language"] for row in mine))
        message, remedy = describe[flag](mine[0], listed(languages))
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
        message, _ = descriptions()[first["flag"]](first, first["language"])
        yield Problem(
            first["file"],
            first["line"],
            f"{message} (and {counted(len(rows) - 1, 'more line')} of the file)",
            _of_files()[first["flag"]],
        )
