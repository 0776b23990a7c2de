"""The entries of a game-data folder's tables, with texts by hash; only these fields are decoded."""

from collections.abc import Iterator
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from cyrene_assets.corpus.sources.game.files import Skipped

# The id of an entry without one.
ABSENT = -(1 << 63)
Id = Annotated[int, msgspec.Meta(gt=ABSENT, lt=(1 << 63) - 1)]


def _field(name: str) -> str:
    """Return the game's name of a field: ``talk_sentence_id`` is ``TalkSentenceID``."""
    return "".join("ID" if part == "id" else part.capitalize() for part in name.split("_"))


class Hash(msgspec.Struct, gc=False, frozen=True):
    """The name of a text; not every language has it."""

    hash: int | None = msgspec.field(default=None, name="Hash")


class Entry(msgspec.Struct, gc=False, frozen=True, rename=_field):
    """An entry of a table. Any field may be absent; who needs it asks ``Table.complete``."""


class Talk(Entry, frozen=True):
    """A line of dialog."""

    talk_sentence_id: Id = ABSENT
    textmap_talk_sentence_name: Hash | None = None
    talk_sentence_text: Hash | None = None


class BookSeries(Entry, frozen=True):
    """A series of books."""

    book_series_id: Id = ABSENT
    book_series: Hash | None = None
    book_series_comments: Hash | None = None
    book_series_world: Id = ABSENT


class Book(Entry, frozen=True):
    """A book of a series."""

    book_series_id: Id = ABSENT
    book_inside_name: Hash | None = None
    book_content: Hash | None = None


class Story(Entry, frozen=True):
    """A story of an avatar, or what takes the place of one."""

    avatar_id: Id = ABSENT
    story_id: Id = ABSENT
    story: Hash | None = None
    replace_id: int | None = None


class Voice(Entry, frozen=True):
    """A voice line of an avatar."""

    avatar_id: Id = ABSENT
    voice_title: Hash | None = None
    voice: Hash | None = msgspec.field(default=None, name="Voice_M")
    sort_id: int | None = None


class Avatar(Entry, frozen=True):
    """An avatar's name."""

    avatar_id: Id = ABSENT
    avatar_name: Hash | None = None


class Term(Entry, frozen=True):
    """A term and what it means."""

    noun_title: Hash | None = None
    noun_desc: Hash | None = None


class Conclusion(Entry, frozen=True):
    """How a quest ended."""

    mission_id: Id = ABSENT
    mission_conclusion: Hash | None = None


class Mission(Entry, frozen=True):
    """A quest's name."""

    main_mission_id: Id = ABSENT
    name: Hash | None = None


class SubMission(Entry, frozen=True):
    """A step of a quest (the second field is spelled as in the file)."""

    sub_mission_id: Id = ABSENT
    target_text: Hash | None = None
    descrption_text: Hash | None = None


class Mail(Entry, frozen=True):
    """A letter, whose sentences stand in a table of their own."""

    title: Hash | None = None
    sender: Hash | None = msgspec.field(default=None, name="From")
    to: Hash | None = None
    mail_sentence_id_list: list[int] | None = None


class Sentence(Entry, frozen=True):
    """A sentence of a letter or of a chronicle."""

    id: Id = ABSENT
    sentence: Hash | None = None


class Wiki(Entry, frozen=True):
    """An entry of the encyclopedia, or one below it (without ``subdata_list``)."""

    id: Id = ABSENT
    title: Hash | None = None
    details: Hash | None = None
    change_id: list[int] | None = None
    subdata_list: list[int] | None = None


class WikiChange(Entry, frozen=True):
    """A later version of an encyclopedia entry."""

    change_id: Id = ABSENT
    new_title: Hash | None = None
    new_details: Hash | None = None


class Join(Entry, frozen=True):
    """What a ``{TEXTJOIN#id}`` may stand for."""

    text_join_id: Id = ABSENT
    default_item: int | None = None
    text_join_item_list: list[int] | None = None


class JoinItem(Entry, frozen=True):
    """One of the texts that a join may stand for."""

    text_join_item_id: Id = ABSENT
    text_join_text: Hash | None = None


E = TypeVar("E", bound=Entry)


class Table(Generic[E]):
    """A table's entries; ``file`` is its name below the game-data folder."""

    def __init__(self, file: str, entries: list[E]) -> None:
        self.file = file
        self.entries = entries

    def complete(self, skipped: Skipped, *needed: str) -> Iterator[tuple[int, E]]:
        """Yield number and entry of those that have the ``needed`` fields; note the others."""
        for number, entry in enumerate(self.entries, start=1):
            lacking = [name for name in needed if not given(getattr(entry, name))]
            if lacking:
                fields = {f.name: f.encode_name for f in msgspec.structs.fields(entry)}
                names = " and ".join(f"`{fields[name]}`" for name in lacking)
                skipped.add(self.file, number, f"no {names}", "give the entry one, or leave it")
            else:
                yield number, entry


def given(value: Any) -> bool:
    """Return whether a field has a value: a hash that names a text, a number, a list."""
    if isinstance(value, Hash):
        return value.hash is not None
    return value is not None and value != ABSENT
