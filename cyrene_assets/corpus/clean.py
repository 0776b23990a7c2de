"""Cleaning: from a game's marked-up text to plain text, with what could not be cleaned reported.

The order of the rules does not matter: they are applied until none applies any more, so that marks
inside marks, and marks that come about when others go, are gone as well.
"""

import polars as pl

from cyrene_assets.corpus.config import CONTROL_MARKUP

# Rust regular expressions; ``[^{}]`` makes the innermost of nested placeholders go first.
RULES: tuple[tuple[str, str], ...] = (
    (r"\r\n?|\\n", "\n"),
    (r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F]", ""),
    (CONTROL_MARKUP, ""),
    (r"</?[A-Za-z#][^<>]*>|</>", ""),
    (r"\{RUBY_[BE]#[^{}]*\}", ""),
    (r"\{Img[# ][^{}]*\}", ""),
    (r"\{LAYOUT_(?:CONTROLLER|KEYBOARD)#[^{}]*\}", ""),
    (r"\{LAYOUT_MOBILE#([^{}]*)\}", "$1"),
    (r"\{SPACE\}", " "),
    (r"\{MCV#8015162#OldValue_1\}", "3"),
    (r"\{F#([^{}]*)\}", "$1"),
    (r"\{M#[^{}]*\}", ""),
)
# A text without any of these is changed by no rule.
MARKED = r"[<{\\\r\x00-\x08\x0B\x0C\x0E-\x1F\x7F]"
# Instructions are code as often as not: what looks like a game's markup there is none.
PLAIN_KINDS = ("instruction",)
PLAIN_RULES = ((r"\r\n?", "\n"), *RULES[1:3])
# Braces around text with a letter beyond ASCII and no # are text: {大地獣, 数学}. The class is
# printable ASCII without braces; the pattern is one that Python reads in the same way.
UNKNOWN_PLACEHOLDER = r"\{(?:[ -z|~]*\}|[^{}]*#[^{}]*\}|[A-Za-z_]+)"
NOTHING = r"[^\s\S]"


def clean_texts(texts: pl.Series, player: str, *, markup: bool = True) -> pl.DataFrame:
    """Clean texts of one language.

    The text is brought to Unicode's NFC; ``{NICKNAME}`` becomes the player's name; angle-bracket
    tags go; so do control tokens such as ``<|im_start|>`` or ``<think>``, which would otherwise be
    more than text to a chat template; placeholders become what they stand for, and of
    ``{F#x}{M#y}`` the first is kept. Outer white space goes. Without ``markup`` the text is a
    plain one, where tags and placeholders other than the player's name are text.

    Returns one row per text: ``text``; ``placeholders``, what is left in braces and unknown (list
    of strings, where it stands in ``text`` unchanged); ``control_tokens``, how many were removed.
    """
    result = texts.fill_null("").str.normalize("NFC")
    removed = pl.zeros(len(result), dtype=pl.UInt32, eager=True)
    changing = result.str.contains(MARKED).arg_true()
    while len(changing):
        before = result.gather(changing)
        removed = removed.scatter(
            changing, removed.gather(changing) + before.str.count_matches(CONTROL_MARKUP)
        )
        after = before.str.replace_all("{NICKNAME}", player, literal=True)
        for pattern, replacement in RULES if markup else PLAIN_RULES:
            after = after.str.replace_all(pattern, replacement)
        changed = (after != before).arg_true()
        changing = changing.gather(changed)
        result = result.scatter(changing, after.gather(changed))
    result = result.str.normalize("NFC").str.strip_chars()
    return pl.DataFrame(
        {
            "text": result,
            "placeholders": result.str.extract_all(UNKNOWN_PLACEHOLDER if markup else NOTHING),
            "control_tokens": removed,
        }
    )


def clean_units(rows: pl.DataFrame, player: str) -> pl.DataFrame:
    """Clean the ``raw_dialog`` rows of one language.

    ``text`` is cleaned and what it was becomes ``raw_text``; speakers and titles are cleaned too,
    and put on one line; a document's lines lose outer white space, and blank ones vanish. What
    somebody says, and plain text (``PLAIN_KINDS``), keeps its lines. Columns
    ``placeholders`` and ``control_tokens`` are added as in ``clean_texts``, from text, speaker and
    title together.

    A dialog line with an unknown placeholder is kept out of training as a whole; a document loses
    the lines (or the title) that have one and keeps the others (see ``render``).
    """
    text = _clean_by_kind(rows, player)
    names = {name: clean_texts(rows[name], player) for name in ("speaker", "title")}
    whole = pl.col("speaker").is_not_null() | pl.col("kind").is_in(["dialog", *PLAIN_KINDS])
    lines = (
        pl.col("text")
        .str.split("\n")
        .list.eval(pl.element().str.strip_chars())
        .list.eval(pl.element().filter(pl.element() != ""))
        .list.join("\n")
    )
    cleaned = rows.with_columns(
        pl.lit(rows["text"]).alias("raw_text"),
        text["text"],
        *(
            pl.when(rows[name].is_not_null())
            .then(names[name]["text"].str.replace_all(r"\s+", " "))
            .alias(name)
            for name in names
        ),
        pl.concat_list(
            [text["placeholders"], *(found["placeholders"] for found in names.values())]
        ).alias("placeholders"),
        sum((found["control_tokens"] for found in names.values()), text["control_tokens"]),
    )
    return cleaned.with_columns(pl.when(whole).then(pl.col("text")).otherwise(lines).alias("text"))


def _clean_by_kind(rows: pl.DataFrame, player: str) -> pl.DataFrame:
    plain = rows["kind"].is_in(PLAIN_KINDS)
    if not plain.any():
        return clean_texts(rows["text"], player)
    parts = [
        clean_texts(rows["text"].filter(mask), player, markup=markup).with_columns(
            mask.arg_true().alias("row")
        )
        for mask, markup in ((~plain, True), (plain, False))
    ]
    return pl.concat(parts).sort("row").drop("row")
