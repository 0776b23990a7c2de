"""What the check and the build say of markup that ``markup`` in corpus.yaml does not name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cyrene_assets.corpus.sources import Problem

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
            pl.col("placeholders").list.unique(maintain_order=True).alias("token"),
            *("language", "unit", "file", "line"),
            pl.coalesce("raw_text", "text").str.head(LONGEST).alias("text"),
        )
        .explode("token")
    )


@dataclass(frozen=True)
class Unknown:
    """Unknown markup of all languages.

    ``tokens`` has a row per distinct one, most frequent first: token, lines, languages (list), and
    the first unit with its language, file, line and text. ``lines`` counts by language the lines
    and documents that have any, ``of`` all of them.
    """

    tokens: pl.DataFrame
    lines: dict[str, int]
    of: dict[str, int]

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
        """Return a line for each, with count, first place and remedy."""
        found = [
            Problem(row["file"], row["line"], _message(row), _remedy(row["token"]))
            for row in self.tokens.head(SHOWN).rows(named=True)
        ]
        if len(self.tokens) > SHOWN:
            rest = self.tokens[SHOWN:]
            message = (
                f"{len(rest)} more of what may be markup is unknown, {rest['lines'].sum():,} times"
            )
            found.append(Problem("corpus.yaml", 0, message, "look at the first ones"))
        return found

    def refusals(self, share: float) -> list[Problem]:
        """Return why the build would stop, one for each language over the share."""
        return [
            Problem("corpus.yaml", 0, self._too_many(language), self.remedy())
            for language in self.over(share)
        ]

    def detail(self, share: float) -> str:
        """Say in one line what was found, for the check of the build."""
        over = self.over(share)
        total = sum(self.lines.values())
        if not over:
            return f"{total:,} lines with unknown markup are left out of training"
        return f"{'; '.join(map(self._too_many, over))}; {self.remedy()}"

    def _too_many(self, language: str) -> str:
        lines, of = self.lines[language], self.of[language]
        mine = self.tokens.filter(pl.col("languages").list.contains(language))
        shown = ", ".join(
            f"{row['token']} ({row['lines']:,}, first in {row['file']}:{row['line']})"
            for row in mine.head(EXAMPLES).rows(named=True)
        )
        return (
            f"{lines:,} of {of:,} lines of {language} ({lines / of:.1%}) have markup that "
            f"`markup` does not name: {shown}"
        )

    def remedy(self) -> str:
        """Say what to write into corpus.yaml."""
        tokens = self.tokens["token"].head(EXAMPLES).to_list()
        presets = list(dict.fromkeys(name for one in tokens if (name := preset_for(one))))
        own = [one for one in tokens if not preset_for(one)]
        written = ", ".join(f"`{one}`" for one in [*presets, *(_own(one) for one in own)])
        return (
            f"say what it stands for: add {written} to `markup` in corpus.yaml, `becomes: nothing`,"
            " `player`, `{text: ...}`, `leave out` or, where it is text, `itself` (docs/markup.md);"
            " or allow more by `unknown_markup`"
        )


def collect(found: Sequence[pl.DataFrame], of: dict[str, int]) -> Unknown:
    """Return what ``unknown_in`` found in all languages; ``of`` counts each language's lines."""
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
    return Unknown(tokens, {str(key): int(number) for key, number in lines.items()}, of)


def preset_for(token: str) -> str:
    """Return the preset that knows what looks like ``token``, if one does for sure."""
    return next(
        (
            name
            for name, pattern in _KNOWN_TO
            if pl.Series([token]).str.contains(rf"^(?:{pattern})$")[0]
        ),
        "",
    )


# Of what presets have in common, the most usual one is proposed.
_KNOWN_TO = (
    ("hoyo", r"\{(?:NICKNAME|SPACE|(?:F|M|RUBY_[BE]|LAYOUT_\w+|Img)[# ][^{}]*)\}?"),
    ("renpy", r"\{/?(?:i|b|u|s|w|p|nw|fast|cps|size|color|font|a|k|rb|rt)(?:=[^{}]*)?\}"),
    ("ass", r"\{\\[^{}]*\}|\\N"),
    ("rpgmaker", r"(?i:\\(?:c|i|fs|px|py)\[\d+\])|\\[Nn]\[1\]"),
    ("unity", r"</?(?:color|size|sprite|align|nobr|voffset|mark)(?:=[^<>]*)?>|<#\w+>"),
    (
        "html",
        r"</?(?:b|i|u|s|br|p|em|strong|span|small|a|div|ruby|rt|font)(?:[\s/][^<>]*)?>|&[#\w]+;",
    ),
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


def _remedy(token: str) -> str:
    name = preset_for(token)
    what = name or _own(token)
    return f"add `{what}`, or what else it is, to `markup`; until then the line is not trained on"


def _own(token: str) -> str:
    quoted = token.replace("'", "''")
    becomes = "player" if PLAYER_LIKE.search(token) else "leave out"
    return f"{{text: '{quoted}', becomes: {becomes}}}"
