r"""Markup that nobody named: found by its shape, and by standing in all translations alike.

A shape is *sure* where prose has none like it (``$unit.name``, ``[player_name]``, ``[/b]``, ``%s``,
``<x=1>``, ``\V[2]``, ``&amp;``, ``#name#``, ``|cffff0000``, ``~n~``, ``^1Red``), or *likely* where
prose may have it (``[Radio]``, ``<Bonjour>``, ``$Home``, ``|name|``). A likely one is markup where
at least two languages have the unit it stands in, and three quarters of the translations of all
these units have it letter by letter: prose is translated, markup is not. Where ``markup`` names the
engine, what that engine takes for a variable is sure (``[name]`` of Ren'Py). What stands in braces
and is not named is always unknown: see ``clean``.
"""

from collections.abc import Callable, Sequence

import polars as pl

from cyrene_assets.corpus.markup import Rules
from cyrene_assets.corpus.presets import PRINTF_VARIABLE
from cyrene_assets.corpus.text import PLAIN_KINDS

# A text without any of these has no shape.
TRIGGERS = r"[$%\[<\\&@#|~^]"
# No letter, digit or underscore of ASCII in front, or behind.
_START, _END = r"(?-u:\b{start-half})", r"(?-u:\b{end-half})"
# Colours of Warcraft's engine, which end with `|r`, and those of Quake's, digits.
PIPE_COLOUR = rf"(?:\|r)?\|c[0-9A-Fa-f]{{8}}|\|r{_END}"
CARET_COLOUR = r"\^[0-9]"
# Powers (10^7, (a+b)^2) and faces (^3^) are none; in front of a letter it is one for sure.
_IN_FRONT = r"(?m:^|[^0-9A-Za-z_)\]}])"
_A_CARET_COLOUR = rf"{_IN_FRONT}{CARET_COLOUR}(?:[^0-9^]|$)"
_SURE_CARET_COLOUR = rf"{_IN_FRONT}{CARET_COLOUR}\p{{L}}"
SURE = (
    r"\$\{?[a-z]\w*(?:[.:]\w+)*\}?\|?",
    r"\$\{?\w+[_.]\w[\w.]*\}?\|?",
    r"\[[A-Za-z]\w*(?:[_.]\w+)+(?:[!:]\w+)?\]",
    r"\[/[A-Za-z][\w-]*\]|\[[A-Za-z][\w-]*=[^\[\]\n]{1,80}\]",
    rf"{PRINTF_VARIABLE}|%[A-Z][A-Z0-9_]*%|{_START}%[a-z][A-Za-z0-9_]*%{_END}",
    rf"{_START}#[A-Za-z_][A-Za-z0-9_]*#{_END}",
    rf"~[A-Za-z]~|{_START}~[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+~{_END}",
    rf"\|r\|{_END}|{PIPE_COLOUR}|\|H[^|\n]{{1,200}}\|h|\|T[^|\n]{{1,200}}\|t",
    r"</[A-Za-z][\w-]*>|<[A-Za-z][\w-]*/>|<#[0-9A-Fa-f]{3,8}>",
    r"<[A-Za-z][\w-]*(?:=|\s+[\w-]+=)[^<>\n]{1,200}>|<(?:b|i|u|s|br|p|em|strong|span|small)>",
    r"\\[A-Za-z]+(?:\[[^\[\]\n]{0,40}\]|<[^<>\n]{0,80}>)",
    r"\\[nNr]",
    r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos|nbsp|hellip|mdash|ndash);",
)
LIKELY = (
    r"\$\{?[A-Za-z]\w*\}?\|?",
    r"\[[A-Za-z#][^\[\]\n]{0,60}\]",
    r"</?[A-Za-z#][^<>\n]{0,80}>",
    r"\\[A-Za-z]+",
    r"&[A-Za-z][A-Za-z0-9]{1,30};",
    r"@[A-Za-z_]\w*@",
    rf"{_START}~[A-Za-z_]\w*~{_END}",
    rf"{_START}\|[A-Za-z_]\w*\|{_END}|\|[nht]{_END}",
    CARET_COLOUR,
)
# Doubled angle brackets are quotation marks.
QUOTED = r"<<[^<>\n]*>>"
ANY_SHAPE = "|".join((QUOTED, *SURE, *LIKELY))
MIN_ALIKE_SHARE = 0.75
SHAPES = pl.Schema({"row": pl.UInt32, "unit": pl.String, "token": pl.String, "sure": pl.Boolean})


def find_shapes(units: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return what looks like markup in one language's cleaned units: row, unit, token, sure.

    Text, speaker and title are looked at, but not instructions, which are code as often as not.
    ``rules`` say what is text, and what is a variable of the engine.
    """
    tables = [SHAPES.to_frame()]
    raw = pl.coalesce("raw_text", "text") if "raw_text" in units.columns else pl.col("text")
    units = units.with_row_index("row").with_columns(raw=raw)
    for name in ("text", "speaker", "title"):
        some = units.filter(
            pl.col(name).str.contains(TRIGGERS), ~pl.col("kind").is_in(PLAIN_KINDS)
        ).select("row", "unit", "raw", shown=name)
        if rules.variables:
            tables.append(_variables(some, rules, "raw" if name == "text" else "shown"))
        tables.append(
            some.select("row", "unit", "shown", token=pl.col("shown").str.extract_all(ANY_SHAPE))
            .explode("token", empty_as_null=False)
            .filter(
                pl.col("token").is_not_null(),
                ~pl.col("token").str.starts_with("<<"),
                ~_caret() | pl.col("shown").str.contains(_A_CARET_COLOUR),
            )
            .with_columns(
                sure=pl.col("token").str.contains(rf"^(?:{'|'.join(SURE)})$")
                | (_caret() & pl.col("shown").str.contains(_SURE_CARET_COLOUR))
            )
            .select(SHAPES.names())
        )
    tokens = (
        pl.concat(tables)
        .group_by("row", "unit", "token", maintain_order=True)
        .agg(pl.col("sure").any())
    )
    return tokens.filter(~_is_text(pl.col("token"), rules.itself))


def _caret() -> pl.Expr:
    return pl.col("token").str.contains(rf"^{CARET_COLOUR}$")


def _variables(some: pl.DataFrame, rules: Rules, written: str) -> pl.DataFrame:
    """Return the engine's variables that cleaning has left (``shown``), as of ``find_shapes``.

    They are read in ``written``, where escapes are what they were.
    """
    both = "|".join(filter(None, (rules.escapes, rules.variables)))
    return (
        some.with_columns(token=pl.col(written).str.extract_all(both))
        .explode("token", empty_as_null=False)
        .filter(
            pl.col("token").str.contains(rf"^(?:{rules.variables})$"),
            pl.col("shown").str.contains(pl.col("token"), literal=True),
        )
        .with_columns(sure=pl.lit(True))
        .select(SHAPES.names())
    )


def without_text_placeholders(placeholders: pl.Series, itself: Sequence[str]) -> pl.Series:
    """Return lists of placeholders without those that are text."""
    if not itself:
        return placeholders
    return placeholders.list.eval(pl.element().filter(~_is_text(pl.element(), itself)))


def _is_text(token: pl.Expr, itself: Sequence[str]) -> pl.Expr:
    return pl.any_horizontal(pl.lit(False), *(token.str.contains(pattern) for pattern in itself))


def markup_tokens(
    found: Sequence[pl.DataFrame], ids_with_text: Callable[[int], pl.Series]
) -> pl.Series:
    """Return the tokens that are markup, of all languages' ``find_shapes``.

    ``ids_with_text`` returns a language's units that have text.
    """
    tokens = pl.concat(found)
    sure = tokens.filter("sure")["token"].unique()
    likely = tokens.filter(~pl.col("sure"))
    if likely.is_empty():
        return sure.sort()
    # What is closed was opened: `[b]` where there is `[/b]`.
    closed = sure.filter(sure.str.contains(r"^[\[<]/")).str.replace("/", "", literal=True)
    opening = likely.filter(pl.col("token").is_in(closed.implode()))["token"]
    of_units = likely.select("unit").unique()
    present = [
        of_units.join(ids_with_text(index).to_frame("unit"), on="unit", how="semi")
        for index in range(len(found))
    ]
    languages = pl.concat(present).group_by("unit").agg(pl.len().alias("languages"))
    alike = (
        likely.group_by("token", "unit")
        .agg(pl.len().alias("have"))
        .join(languages, on="unit")
        .filter(pl.col("languages") > 1)
        .group_by("token")
        .agg(pl.col("have").sum(), pl.col("languages").sum())
        .filter(pl.col("have") >= MIN_ALIKE_SHARE * pl.col("languages"))["token"]
    )
    return pl.concat([sure, opening, alike]).unique().sort()


def add_placeholders(units: pl.DataFrame, found: pl.DataFrame, tokens: pl.Series) -> pl.DataFrame:
    """Return one language's cleaned units with markup among their ``placeholders``.

    ``found`` are its ``find_shapes``. A document that nobody speaks loses the lines, or the title,
    that they stand in; it keeps what else it has.
    """
    marked = found.filter(pl.col("token").is_in(tokens.implode()))
    if marked.is_empty():
        return units
    of_rows = marked.group_by("row", maintain_order=True).agg("token").sort("row")
    tokens_of_rows = (
        pl.DataFrame({"row": pl.int_range(len(units), dtype=pl.UInt32, eager=True)})
        .join(of_rows, on="row", how="left", maintain_order="left")["token"]
        .fill_null([])
    )
    units = units.with_columns(placeholders=pl.concat_list("placeholders", tokens_of_rows))
    documents = (
        units.with_row_index("row")
        .filter(pl.col("speaker").is_null() & (pl.col("kind") != "dialog"))
        .select("row", "text", "title", raw=pl.coalesce("raw_text", "text"))
        .join(of_rows, on="row", maintain_order="left")
    )
    texts, titles = [], []
    for text, title, marks in documents.select("text", "title", "token").rows():
        lines = text.split("\n")
        texts.append("\n".join(line for line in lines if not any(mark in line for mark in marks)))
        titles.append(None if title and any(mark in title for mark in marks) else title)
    rows = documents["row"]
    return units.with_columns(
        units["raw_text"].scatter(rows, documents["raw"]),
        units["text"].scatter(rows, pl.Series(texts, dtype=pl.String)),
        units["title"].scatter(rows, pl.Series(titles, dtype=pl.String)),
    )
