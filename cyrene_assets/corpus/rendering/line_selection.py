"""Which lines of the units go into documents and into chats, scene by scene."""

import polars as pl

from cyrene_assets.corpus.chat_options import Chats
from cyrene_assets.corpus.sources.types import ONLY, Use
from cyrene_assets.corpus.text import PLAIN_KINDS, UNKNOWN_PLACEHOLDER

# What is needed of the units.
UNIT_COLUMNS = (
    *("unit", "scene", "order", "kind", "speaker", "role", "title", "text"),
    *("flags", "split"),
)
# What becomes of the character's lines.
IN_CHATS = "in chats"
# The flags that keep a line out of training, and what is said of such lines.
NOT_IN_CHATS = {
    "duplicate": "in a scene that repeats another",
    "unknown_placeholder": "with an unknown placeholder",
    "left_out": "left out as `markup` says",
    "empty": "without any text",
}
LEFT_OUT = tuple(NOT_IN_CHATS)
FOR_DOCUMENTS = "selected for documents only"
FOR_NOTHING = "marked as not to be trained on"
OWN_NAMES_ALONE = "in scenes in which only names of the character speak"
UNADDRESSED = "before anybody speaks to the character"
ALONE = "voice lines without a title"
TOO_LONG = "longer than `sft.sequence_length` by themselves"
# The lines that an unknown placeholder stands in: it may run over several.
UNKNOWN_LINES = rf"(?:[^\n]*?(?:{UNKNOWN_PLACEHOLDER}))+[^\n]*"


def document_lines(units: pl.DataFrame, colon: str) -> pl.DataFrame:
    """Return the lines of each document: scene, kind, split, ``row`` to order by, and text.

    What somebody says is ``name`` + ``colon`` + text; a document that nobody speaks is one row,
    with its title. What is for chats only, or for nothing, is in none.
    """
    units = _usable_for(units, "documents").with_columns(_spoken())
    rows = _in_scene_order(units, "kind", "spoken", "speaker", "title")
    name = pl.when(pl.col("speaker") != "").then(pl.col("speaker") + colon)
    spoken = rows.filter(pl.col("spoken") & ~_flagged(*LEFT_OUT)).with_columns(
        pl.concat_str(name, "text", ignore_nulls=True).alias("text")
    )
    return pl.concat([spoken, _documents(rows)])


def chat_lines(units: pl.DataFrame, chats: Chats) -> pl.DataFrame:
    """Return the lines of each conversation, per name of its assistants.

    ``chat`` is the scene or the assistant's voice line, ``name`` the assistant's, ``is_character``
    whether that is the character, ``number`` counts the pairs of the two, and ``row`` the lines.
    What is for documents only, or for nothing, is in none.
    """
    role, kept, speaks = pl.col("role"), ~_flagged(*LEFT_OUT), _assistant(chats)
    units = _usable_for(units, "chats")
    scenes = units.filter(speaks).select("scene").unique()
    rows = _in_scene_order(
        units.filter(_spoken()).join(scenes, on="scene", how="semi", maintain_order="left"),
        *("unit", "kind", "speaker", "role"),
    )
    # A voice line of the assistant, right after its title, which the player says.
    titles = (
        (role == "player")
        & kept
        & speaks.shift(-1)
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
        lines.filter(speaks)
        .select("conversation", name="speaker", is_character=role == "character")
        .unique(["conversation", "name"], keep="first", maintain_order=True)
        .with_row_index("number")
    )
    return names.join(lines, on="conversation", maintain_order="left_right")


def conversation_lines(units: pl.DataFrame, chats: Chats) -> pl.DataFrame:
    """Return ``chat_lines`` that are in chats, and which are the assistant's: ``by_assistant``.

    A conversation begins where somebody but the assistant speaks, or with narration, and ends with
    the assistant's last line; one in which nobody speaks but the assistant is left out. Other names
    of the character's are nobody else to it, unless ``own_names_alone``.
    """
    role, row, by_assistant = pl.col("role"), pl.col("row"), pl.col("by_assistant")
    another = role.is_in(["player", "other"]) | ((role == "character") & ~pl.col("is_character"))
    if chats.own_names_alone:
        another |= role == "character"
    return (
        chat_lines(units, chats)
        .with_columns(by_assistant=_assistant(chats) & (pl.col("speaker") == pl.col("name")))
        .filter(row <= row.filter("by_assistant").max().over("number"))
        .filter(
            (another & ~by_assistant).any().over("number"),
            (~by_assistant).cum_max().over("number"),
        )
    )


def count_character_lines(units: pl.DataFrame, chats: Chats) -> dict[str, int]:
    """Count the character's lines: those in chats, and the others by why they are in none.

    What has several lines of text counts as that many, as in training. The order is that of the
    reasons (``NOT_IN_CHATS``), after ``IN_CHATS``.
    """
    character_lines = units.filter(pl.col("role") == "character")
    in_chats = conversation_lines(units, chats).filter("by_assistant", "is_character")
    dialog = pl.col("kind") == "dialog"
    alone = pl.col("scene").is_in(_scenes_of_own_names(units).implode())
    why = pl.coalesce(
        pl.when(pl.col("unit").is_in(in_chats["unit"].unique().implode())).then(pl.lit(IN_CHATS)),
        *(pl.when(_flagged(flag)).then(pl.lit(words)) for flag, words in NOT_IN_CHATS.items()),
        pl.when(_use(units) == "nothing").then(pl.lit(FOR_NOTHING)),
        pl.when(_use(units) == "documents").then(pl.lit(FOR_DOCUMENTS)),
        pl.when(dialog & alone).then(pl.lit(OWN_NAMES_ALONE)),
        pl.when(dialog).then(pl.lit(UNADDRESSED)).otherwise(pl.lit(ALONE)),
    )
    lines = (pl.col("text").str.count_matches("\n", literal=True) + 1).sum()
    counts: dict[str, int] = dict(character_lines.group_by(why.alias("why")).agg(lines).rows())
    reasons = (
        *NOT_IN_CHATS.values(),
        *(FOR_NOTHING, FOR_DOCUMENTS, OWN_NAMES_ALONE, UNADDRESSED, ALONE),
    )
    return {words: counts[words] for words in (IN_CHATS, *reasons) if counts.get(words)}


def count_left_out(units: pl.DataFrame) -> pl.DataFrame:
    """Count the units of each split by why they are left out: split, why, units.

    ``why`` is one of ``NOT_IN_CHATS``, and null of those that are trained on, or
    validated with.
    """
    why = (pl.when(_flagged(flag)).then(pl.lit(words)) for flag, words in NOT_IN_CHATS.items())
    counts = units.group_by("split", pl.coalesce(*why).alias("why"), maintain_order=True)
    return counts.agg(units=pl.len().cast(pl.Int64))


def _scenes_of_own_names(units: pl.DataFrame) -> pl.Series:
    """Return the scenes in which several names speak, all of them the character's."""
    spoken = units.filter(pl.col("speaker").is_not_null(), ~_flagged(*LEFT_OUT))
    return (
        spoken.group_by("scene")
        .agg(character=(pl.col("role") == "character").all(), names=pl.col("speaker").n_unique())
        .filter(pl.col("character") & (pl.col("names") > 1))["scene"]
    )


def _assistant(chats: Chats) -> pl.Expr:
    """Return whether the assistant may be who says a line."""
    character = pl.col("role") == "character"
    if not chats.everyone:
        return character
    named = pl.col("speaker").fill_null("") != ""
    return character | ((pl.col("role") == "other") & named)


def _use(units: pl.DataFrame) -> pl.Expr:
    """Return what alone a row is for, null where it is for documents and chats."""
    return pl.col(ONLY) if ONLY in units.columns else pl.lit(None, pl.String)


def _usable_for(units: pl.DataFrame, use: Use) -> pl.DataFrame:
    """Return the rows that documents, or chats, are made of."""
    only = _use(units)
    return units.filter(only.is_null() | (only == use)) if ONLY in units.columns else units


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
    titled = pl.concat_str(title, "text", separator="\n", ignore_nulls=True)
    known = titled.str.replace_all(UNKNOWN_LINES, "")
    # Of a document the lines without the unknown placeholder stay.
    left_out = [flag for flag in LEFT_OUT if flag != "unknown_placeholder"]
    return (
        rows.filter(~pl.col("spoken") & ~_flagged(*left_out))
        .with_columns(
            text=pl.when(~plain & _flagged("unknown_placeholder")).then(known).otherwise(titled)
        )
        .with_columns(
            pl.when(plain)
            .then("text")
            .otherwise(pl.col("text").str.replace_all(r"\n{2,}", "\n").str.strip_chars("\n"))
        )
        .filter(pl.col("text") != "")
    )
