"""What the check and the build say of markup that ``markup`` in corpus.yaml does not name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cyrene_assets.corpus.preparation.named_markup import find_preset, suggest_pattern
from cyrene_assets.corpus.sources.speakers import VARIABLE, quoted
from cyrene_assets.corpus.sources.types import Problem
from cyrene_assets.utils.counting import counted

# A corpus of a hundred lines is not stopped for two of them.
FEW = 5
SHOWN = 20
EXAMPLES = 3
LONGEST = 80
LANGUAGES_SHOWN = 5


def find_unknown_markup(units: pl.DataFrame) -> pl.DataFrame:
    """Return where one language's units have unknown markup: token, language, unit and place.

    ``speaker`` says of a token that it stands in nothing but a speaker that is a variable: what to
    write about such a one is said of speakers.
    """
    name, token = pl.col("speaker"), pl.col("token")
    stands = (
        pl.col(name).fill_null("").str.contains(token, literal=True) for name in ("said", "title")
    )
    return (
        units.filter(pl.col("placeholders").list.len() > 0)
        .select(
            pl.col("placeholders")
            .map_elements(_once, return_dtype=pl.List(pl.String))
            .alias("token"),
            *("language", "unit", "file", "line"),
            *("speaker", "role", "title"),
            pl.coalesce("raw_text", "text").alias("said"),
        )
        .explode("token")
        .with_columns(
            text=pl.col("said").str.head(LONGEST),
            speaker=name.str.contains(VARIABLE).fill_null(value=False)
            & ~pl.col("role").is_in(["character", "player"])
            & ~pl.any_horizontal(stands),
        )
        .drop("role", "title", "said")
    )


def _once(tokens: pl.Series) -> list[str]:
    """Return the tokens of a unit, each once: ``{name}`` in ``${name}`` is no other one."""
    distinct = list(dict.fromkeys(tokens.to_list()))
    return [t for t in distinct if not any(t != other and t in other for other in distinct)]


@dataclass(frozen=True)
class UnknownMarkup:
    """Unknown markup of all languages.

    ``tokens`` has a row per distinct one, most frequent first: token, lines, languages (list), and
    the first unit with its language, file, line and text, and whether it is a ``speaker``: what is
    one here and stands in text there has two rows. ``lines`` counts by language the lines
    and documents that have any, ``totals`` all of them.
    ``named`` are the presets that ``markup`` names.
    """

    tokens: pl.DataFrame
    lines: dict[str, int]
    totals: dict[str, int]
    named: frozenset[str]

    def languages_over(self, share: float) -> list[str]:
        """Return the languages with over a share of such lines; a few are let through.

        Of a share of 0 none are.
        """
        return [
            language
            for language, lines in self.lines.items()
            if lines > max(share * self.totals[language], FEW if share else 0)
        ]

    def warnings(self) -> list[Problem]:
        """Return a line for each, with count, first place and remedy.

        What one preset or pattern finds is one line. Speakers are told elsewhere (``to_name``).
        """
        together: dict[str, list[dict[str, Any]]] = {}
        for row in self.tokens.filter(~pl.col("speaker")).rows(named=True):
            together.setdefault(self._entry_for(row["token"]), []).append(row)
        of_one = {written for written in together if not written.startswith("{text:")}
        problems = [
            _together(written, together[written]) for written in together if written in of_one
        ]
        others = [row for written in together if written not in of_one for row in together[written]]
        problems += [
            Problem(row["file"], row["line"], _message(row), _remedy(self._entry_for(row["token"])))
            for row in others[:SHOWN]
        ]
        if len(others) > SHOWN:
            times = counted(sum(row["lines"] for row in others[SHOWN:]), "time")
            message = f"{counted(len(others) - SHOWN, 'more unknown placeholder')}, {times}"
            problems.append(Problem("corpus.yaml", 0, message, "look at the first ones"))
        return problems

    def refusals(self, share: float) -> list[Problem]:
        """Return why the build would stop, if it would."""
        return [
            Problem("corpus.yaml", 0, self._too_many(over), self.remedy())
            for over in (self.languages_over(share),)
            if over
        ]

    def detail(self, share: float) -> str:
        """Say in one line what was found, for the check of the build."""
        over = self.languages_over(share)
        if over:
            return f"{self._too_many(over)}; {self.remedy()}"
        total = sum(self.lines.values())
        found = f": {self._examples()}" if total else ""
        what = counted(total, "line with unknown markup is", "lines with unknown markup are")
        return f"{what} left out of training{found}"

    def _too_many(self, over: Sequence[str]) -> str:
        worst = sorted(over, key=lambda language: -self.lines[language] / self.totals[language])
        shares = [
            f"{self.lines[one]:,} of {counted(self.totals[one], 'line')} of {one} "
            f"({self.lines[one] / self.totals[one]:.1%})"
            for one in worst[:EXAMPLES]
        ]
        others = len(over) - EXAMPLES
        more = f" and of {counted(others, 'more language')}" if others > 0 else ""
        have = "has" if len(over) == 1 and self.lines[over[0]] == 1 else "have"
        return (
            f"{', '.join(shares)}{more} {have} markup that `markup` does not name: "
            f"{self._examples()}"
        )

    def _examples(self) -> str:
        return ", ".join(
            f"{'the speaker ' if row['speaker'] else ''}{row['token']} "
            f"({row['lines']:,}, first in {row['file']}:{row['line']})"
            for row in self.tokens.head(EXAMPLES).rows(named=True)
        )

    def _entry_for(self, token: str) -> str:
        """Return what names ``token`` in ``markup``.

        What a preset that is named already leaves is not its markup: an escaped one.
        """
        name = find_preset(token)
        return (
            suggest_pattern(token, "itself")
            if name in self.named
            else name or suggest_pattern(token)
        )

    def remedy(self) -> str:
        """Say what to write into corpus.yaml."""
        first = self.tokens.head(EXAMPLES)
        tokens = first.filter(~pl.col("speaker"))["token"].to_list()
        speakers = first.filter("speaker")["token"].to_list()
        written = ", ".join(f"`{one}`" for one in dict.fromkeys(map(self._entry_for, tokens)))
        names = ", ".join(f"{quoted(one)}: NAME" for one in speakers)
        remedies = []
        if speakers:
            remedies.append(f"say who it is: `speakers: {{{names}}}` in corpus.yaml")
        if tokens:
            remedies.append(
                f"say what it stands for: add {written} to `markup` in corpus.yaml, "
                "`becomes: nothing`, `player`, `{text: ...}`, `leave out` or, where it is text, "
                "`itself` (docs/markup.md)"
            )
        return f"{'; '.join(remedies)}; or allow more by `unknown_markup`"


def collect_unknown_markup(
    found: Sequence[pl.DataFrame], totals: dict[str, int], named: frozenset[str]
) -> UnknownMarkup:
    """Put the ``find_unknown_markup`` of all languages together, see ``UnknownMarkup``."""
    table = pl.concat(found)
    units = pl.struct("unit", "line").n_unique()
    lines = dict(table.group_by("language", maintain_order=True).agg(units).rows())
    tokens = (
        table.group_by("token", "speaker", maintain_order=True)
        .agg(
            pl.len().alias("lines"),
            pl.col("language").unique(maintain_order=True).alias("languages"),
            pl.col("unit", "language", "file", "line", "text").first(),
            pl.col("unit").n_unique().alias("units"),
        )
        .sort("lines", descending=True, maintain_order=True)
    )
    return UnknownMarkup(
        tokens, {str(key): int(number) for key, number in lines.items()}, totals, named
    )


def _message(row: dict[str, Any]) -> str:
    units, languages = row["units"], row["languages"]
    first = f"in {row['unit']}"
    if row["lines"] == 1:
        return f"unknown placeholder {row['token']} {first}"
    where = counted(units, "unit") if units != 1 else first.removeprefix("in ")
    shown = ", ".join(languages[:LANGUAGES_SHOWN])
    if len(languages) > LANGUAGES_SHOWN:
        shown += f" and {len(languages) - LANGUAGES_SHOWN} more"
    more = f" (first {first})" if units != 1 else ""
    return f"unknown placeholder {row['token']} in {where} of {shown}{more}"


def _together(written: str, rows: Sequence[dict[str, Any]]) -> Problem:
    """Return the one problem of what a preset, or a pattern, finds."""
    first = rows[0]
    finds = "that one pattern finds" if written[0] == "{" else f"that the preset {written} knows"
    if len(rows) == 1:
        message = _message(first)
    else:
        tokens = ", ".join(row["token"] for row in rows[:EXAMPLES])
        times = counted(sum(row["lines"] for row in rows), "time")
        message = (
            f"{len(rows)} unknown placeholders {finds}, {times}: "
            f"{tokens}{', ...' if len(rows) > EXAMPLES else ''} (first in {first['unit']})"
        )
    return Problem(first["file"], first["line"], message, _remedy(written))


def _remedy(what: str) -> str:
    return f"add `{what}`, or what else it is, to `markup`; until then the line is not trained on"
