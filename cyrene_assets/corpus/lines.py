"""Which lines of the units go into documents and into chats, scene by scene."""

import polars as pl

from cyrene_assets.corpus.clean import PLAIN_KINDS, UNKNOWN_PLACEHOLDER

# What is needed of the units.
COLUMNS = (
    *("unit", "scene", "order", "kind", "speaker", "role", "title", "text"),
    *("flags", "split"),
)
LEFT_OUT = ("duplicate", "unknown_placeholder", "left_out", "empty")
# What becomes of the character's lines.
IN_CHATS = "in chats"
NOT_IN_CHATS = {
    "duplicate": "in a scene that repeats another",
    "unknown_placeholder": "with an unknown placeholder",
    "left_out": "left out as `markup` says",
    "empty": "without any text",
}
UNADDRESSED = "before anybody speaks to the character"
ALONE = "voice lines without a title"
# The lines that an unknown placeholder stands in: it may run over several.
UNKNOWN_LINES = rf"(?:[^\n]*?(?:{UNKNOWN_PLACEHOLDER}))+[^\n]*"


def document_lines(units: pl.DataFrame, colon: str) -> pl.DataFrame:
    """Return the lines of each document: scene, kind, split, ``row`` to order by, and text.

    What somebody says is ``name`` + ``colon`` + text; a document that nobody speaks is one row,
    with its title.
    """
    rows = _in_scene_order(units.with_columns(_spoken()), "kind", "spoken", "speaker", "title")
    name = pl.when(pl.col("speaker") != "").then(pl.col("speaker") + colon)
    said = rows.filter(pl.col("spoken") & ~_flagged(*LEFT_OUT)).with_columns(
        pl.concat_str(name, "text", ignore_nulls=True).alias("text")
    )
    return pl.concat([said, _documents(rows)])


def chat_lines(units: pl.DataFrame) -> pl.DataFrame:
    """Return the lines of each conversation, per name of hers in it.

    ``chat`` is the scene or her voice line, ``name`` hers, ``number`` counts the pairs of the two,
    and ``row`` the lines.
    """
    role, kept = pl.col("role"), ~_flagged(*LEFT_OUT)
    hers = units.filter(role == "character").select("scene").unique()
    rows = _in_scene_order(
        units.filter(_spoken()).join(hers, on="scene", how="semi", maintain_order="left"),
        *("unit", "kind", "speaker", "role"),
    )
    # A voice line of hers, right after its title, which the player says.
    titles = (
        (role == "player")
        & kept
        & (role.shift(-1) == "character")
        & kept.shift(-1)
        & (pl.col("scene") == pl.col("scene").shift(-1))
    )
    lines = rows.with_columns(
        chat=pl.when(pl.col("kind") == "dialog")
        .then("scene")
        .when(titles)
        .then(pl.col("unit").shift(-1))
        .when(titles.shift())
        .then("unit")
    ).filter(kept & pl.col("chat").is_not_null())
    lines = lines.with_columns(conversation=pl.col("chat").rle_id())
    names = (
        lines.filter(role == "character")
        .select("conversation", pl.col("speaker").alias("name"))
        .unique(maintain_order=True)
        .with_row_index("number")
    )
    return names.join(lines, on="conversation", maintain_order="left_right")


def conversation_lines(units: pl.DataFrame) -> pl.DataFrame:
    """Return ``chat_lines`` that are in chats, and which of them are ``hers`` there.

    A conversation begins where somebody but her speaks, or with narration, and ends with her last
    line; one in which nobody speaks but her is left out.
    """
    role, row = pl.col("role"), pl.col("row")
    return (
        chat_lines(units)
        .with_columns(hers=(role == "character") & (pl.col("speaker") == pl.col("name")))
        .filter(row <= row.filter("hers").max().over("number"))
        .filter(
            role.is_in(["player", "other"]).any().over("number"),
            (~pl.col("hers")).cum_max().over("number"),
        )
    )


def count_character_lines(units: pl.DataFrame) -> dict[str, int]:
    """Count the character's lines: those in chats, and the others by why they are in none.

    The order is that of the reasons (``NOT_IN_CHATS``), after ``IN_CHATS``.
    """
    hers = units.filter(pl.col("role") == "character")
    in_chats = conversation_lines(units).filter("hers")["unit"].unique()
    unheard = pl.when(pl.col("kind") == "dialog").then(pl.lit(UNADDRESSED)).otherwise(pl.lit(ALONE))
    why = pl.coalesce(
        pl.when(pl.col("unit").is_in(in_chats.implode())).then(pl.lit(IN_CHATS)),
        *(pl.when(_flagged(flag)).then(pl.lit(words)) for flag, words in NOT_IN_CHATS.items()),
        unheard,
    )
    counts: dict[str, int] = dict(hers.group_by(why.alias("why")).len().rows())
    order = (IN_CHATS, *NOT_IN_CHATS.values(), UNADDRESSED, ALONE)
    return {words: counts[words] for words in order if counts.get(words)}


def _spoken() -> pl.Expr:
    return ((pl.col("kind") == "dialog") | pl.col("speaker").is_not_null()).alias("spoken")


def _flagged(*flags: str) -> pl.Expr:
    return pl.any_horizontal(pl.col("flags").list.contains(flag) for flag in flags)


def _in_scene_order(units: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return the rows scene by scene, scenes in the order in which they begin, numbered (``row``).

    Columns are those given, and those that everything rendered needs.
    """
    rows = units.select("scene", "order", "split", "text", "flags", *columns)
    same = pl.col("scene") == pl.col("scene").shift()
    begun, ascending = rows.select(
        begun=(~same).fill_null(True).sum(),
        ascending=(~same | (pl.col("order").diff() >= 0)).all(),
    ).row(0)
    numbered = rows.with_row_index("row")
    if ascending and begun == rows["scene"].n_unique():
        return numbered
    begins = pl.col("row").min().over("scene")
    return numbered.sort(begins, "order", maintain_order=True).drop("row").with_row_index("row")


def _documents(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the documents that nobody speaks: ``text`` with the title, and what is kept of it."""
    plain = pl.col("kind").is_in(PLAIN_KINDS)
    title = pl.when(~plain & (pl.col("title") != "")).then("title")
    whole = pl.concat_str(title, "text", separator="\n", ignore_nulls=True)
    known = whole.str.replace_all(UNKNOWN_LINES, "")
    return (
        rows.filter(~pl.col("spoken") & ~_flagged("duplicate", "left_out", "empty"))
        .with_columns(
            text=pl.when(~plain & _flagged("unknown_placeholder")).then(known).otherwise(whole)
        )
        .with_columns(
            pl.when(plain)
            .then("text")
            .otherwise(pl.col("text").str.replace_all(r"\n{2,}", "\n").str.strip_chars("\n"))
        )
        .filter(pl.col("text") != "")
    )
