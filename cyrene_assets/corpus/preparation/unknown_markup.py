"""What the check and the build say of markup that ``markup`` in corpus.yaml does not name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from cyrene_assets.corpus.preparation.cleaning import ENTITY
from cyrene_assets.corpus.presets import HTML, PRESETS, RENPY, RPGMAKER, UNITY, Preset
from cyrene_assets.corpus.sources.types import Problem

# A corpus of a hundred lines is not stopped for two of them.
FEW = 5
SHOWN = 20
EXAMPLES = 3
LONGEST = 80
LANGUAGES_SHOWN = 5
PLAYER_LIKE = re.compile(r"player|nick|hero|protagonist|user_?name|\bmc\b", re.IGNORECASE)


def unknown_in(units: pl.DataFrame) -> pl.DataFrame:
    """Return where one language's units have unknown markup: token, language, unit and place."""
    return (
        units.filter(pl.col("placeholders").list.len() > 0)
        .select(
            pl.col("placeholders")
            .map_elements(_once, return_dtype=pl.List(pl.String))
            .alias("token"),
            *("language", "unit", "file", "line"),
            pl.coalesce("raw_text", "text").str.head(LONGEST).alias("text"),
        )
        .explode("token")
    )


def _once(tokens: pl.Series) -> list[str]:
    """Return the tokens of a unit, each once: ``{name}`` in ``${name}`` is no other one."""
    found = list(dict.fromkeys(tokens.to_list()))
    return [one for one in found if not any(one != other and one in other for other in found)]


@dataclass(frozen=True)
class Unknown:
    """Unknown markup of all languages.

    ``tokens`` has a row per distinct one, most frequent first: token, lines, languages (list), and
    the first unit with its language, file, line and text. ``lines`` counts by language the lines
    and documents that have any, ``of`` all of them.
    ``named`` are the presets that ``markup`` names.
    """

    tokens: pl.DataFrame
    lines: dict[str, int]
    of: dict[str, int]
    named: frozenset[str]

    def over(self, share: float) -> list[str]:
        """Return the languages with over a share of such lines; a few are let through.

        Of a share of 0 none are.
        """
        return [
            language
            for language, lines in self.lines.items()
            if lines > max(share * self.of[language], FEW if share else 0)
        ]

    def warnings(self) -> list[Problem]:
        """Return a line for each, with count, first place and remedy.

        What one preset knows is one line.
        """
        rows = self.tokens.rows(named=True)
        of_presets: dict[str, list[dict[str, Any]]] = {}
        others: list[dict[str, Any]] = []
        for row in rows:
            name = self._to_write(row["token"])
            (of_presets.setdefault(name, []) if name in PRESETS else others).append(row)
        found = [_of_preset(name, mine) for name, mine in of_presets.items()]
        found += [
            Problem(row["file"], row["line"], _message(row), _remedy(self._to_write(row["token"])))
            for row in others[:SHOWN]
        ]
        if len(others) > SHOWN:
            times = sum(row["lines"] for row in others[SHOWN:])
            message = f"{len(others) - SHOWN} more unknown placeholders, {times:,} times"
            found.append(Problem("corpus.yaml", 0, message, "look at the first ones"))
        return found

    def refusals(self, share: float) -> list[Problem]:
        """Return why the build would stop, if it would."""
        return [
            Problem("corpus.yaml", 0, self._too_many(over), self.remedy())
            for over in (self.over(share),)
            if over
        ]

    def detail(self, share: float) -> str:
        """Say in one line what was found, for the check of the build."""
        over = self.over(share)
        if over:
            return f"{self._too_many(over)}; {self.remedy()}"
        total = sum(self.lines.values())
        found = f": {self._examples()}" if total else ""
        return f"{total:,} lines with unknown markup are left out of training{found}"

    def _too_many(self, over: Sequence[str]) -> str:
        worst = sorted(over, key=lambda language: -self.lines[language] / self.of[language])
        shares = [
            f"{self.lines[one]:,} of {self.of[one]:,} lines of {one} "
            f"({self.lines[one] / self.of[one]:.1%})"
            for one in worst[:EXAMPLES]
        ]
        more = len(over) - EXAMPLES
        return (
            f"{', '.join(shares)}{f' and of {more} more languages' if more > 0 else ''} have "
            f"markup that `markup` does not name: {self._examples()}"
        )

    def _examples(self) -> str:
        return ", ".join(
            f"{row['token']} ({row['lines']:,}, first in {row['file']}:{row['line']})"
            for row in self.tokens.head(EXAMPLES).rows(named=True)
        )

    def _to_write(self, token: str) -> str:
        """Return what names ``token`` in ``markup``.

        What a preset that is named already leaves is not its markup: an escaped one.
        """
        name = preset_for(token)
        return _own(token, "itself") if name in self.named else name or _own(token)

    def remedy(self) -> str:
        """Say what to write into corpus.yaml."""
        tokens = self.tokens["token"].head(EXAMPLES).to_list()
        written = ", ".join(f"`{one}`" for one in dict.fromkeys(map(self._to_write, tokens)))
        return (
            f"say what it stands for: add {written} to `markup` in corpus.yaml, `becomes: nothing`,"
            " `player`, `{text: ...}`, `leave out` or, where it is text, `itself` (docs/markup.md);"
            " or allow more by `unknown_markup`"
        )


def collect(found: Sequence[pl.DataFrame], of: dict[str, int], named: frozenset[str]) -> Unknown:
    """Return what ``unknown_in`` found in all languages; for the others see ``Unknown``."""
    table = pl.concat(found)
    units = pl.struct("unit", "line").n_unique()
    lines = dict(table.group_by("language", maintain_order=True).agg(units).rows())
    tokens = (
        table.group_by("token", maintain_order=True)
        .agg(
            pl.len().alias("lines"),
            pl.col("language").unique(maintain_order=True).alias("languages"),
            pl.col("unit", "language", "file", "line", "text").first(),
            pl.col("unit").n_unique().alias("units"),
        )
        .sort("lines", descending=True, maintain_order=True)
    )
    return Unknown(tokens, {str(key): int(number) for key, number in lines.items()}, of, named)


@lru_cache(maxsize=1024)
def preset_for(token: str) -> str:
    """Return the preset that knows what looks like ``token``, if one does for sure."""
    one = pl.Series([token])
    return next(
        (name for name, pattern in _KNOWN_TO if one.str.contains(rf"^(?:{pattern})$")[0]), ""
    )


def _any_rule(preset: Preset) -> str:
    return "|".join(f"(?:{rule.pattern})" for rule in preset.rules)


# Of what presets have in common, the most usual one is proposed.
_KNOWN_TO = (
    ("hoyo", r"\{(?:NICKNAME|SPACE|(?:F|M|RUBY_[BE]|LAYOUT_\w+|Img)[# ][^{}]*)\}?"),
    ("renpy", RENPY.aside),
    ("ass", r"\{\\[^{}]*\}|\\N"),
    ("html", rf"{_any_rule(HTML)}|{ENTITY}"),
    ("rpgmaker", _any_rule(RPGMAKER)),
    ("unity", _any_rule(UNITY)),
)


def _message(row: dict[str, Any]) -> str:
    units, languages = row["units"], row["languages"]
    first = f"in {row['unit']}"
    if row["lines"] == 1:
        return f"unknown placeholder {row['token']} {first}"
    where = f"{units:,} units" if units != 1 else first.removeprefix("in ")
    shown = ", ".join(languages[:LANGUAGES_SHOWN])
    if len(languages) > LANGUAGES_SHOWN:
        shown += f" and {len(languages) - LANGUAGES_SHOWN} more"
    more = f" (first {first})" if units != 1 else ""
    return f"unknown placeholder {row['token']} in {where} of {shown}{more}"


def _of_preset(name: str, rows: Sequence[dict[str, Any]]) -> Problem:
    first = rows[0]
    if len(rows) == 1:
        message = _message(first)
    else:
        tokens = ", ".join(row["token"] for row in rows[:EXAMPLES])
        times = sum(row["lines"] for row in rows)
        message = (
            f"{len(rows)} unknown placeholders that the preset {name} knows, {times:,} times: "
            f"{tokens}{', ...' if len(rows) > EXAMPLES else ''} (first in {first['unit']})"
        )
    return Problem(first["file"], first["line"], message, _remedy(name))


def _remedy(what: str) -> str:
    return f"add `{what}`, or what else it is, to `markup`; until then the line is not trained on"


def _own(token: str, becomes: str = "") -> str:
    quoted = token.replace("'", "''")
    becomes = becomes or ("player" if PLAYER_LIKE.search(token) else "leave out")
    return f"{{text: '{quoted}', becomes: {becomes}}}"
