"""The tables of a game-data folder: lists of entries, ``ExcelOutput/*.json``, with texts by hash.

Only the fields that stand here are decoded.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from cyrene_assets.corpus.sources import Problem, SourceError
from cyrene_assets.corpus.sources._game_files import Skipped, decode, exists, read_bytes

Kind = Literal["dialog", "book", "story", "voice", "term", "quest", "mail", "chronicle", "wiki"]
KIND_TABLES: dict[Kind, tuple[str, ...]] = {
    "dialog": ("TalkSentenceConfig",),
    "book": ("BookSeriesConfig", "LocalbookConfig"),
    "story": ("StoryAtlas", "AvatarConfig", "AvatarConfigLD"),
    "voice": ("VoiceAtlas", "AvatarConfig", "AvatarConfigLD"),
    "term": ("NounAtlas",),
    "quest": ("ChronicleConclusion", "MainMission", "SubMission"),
    "mail": ("TarotMailbox", "TarotMails"),
    "chronicle": ("TarotBookSentence",),
    "wiki": ("TarotWikiData", "TarotWikiSubdata", "TarotWikiChangeinfo"),
}
JOIN_TABLES = ("TextJoinConfig", "TextJoinItem")
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
            lacking = [name for name in needed if not _given(getattr(entry, name))]
            if lacking:
                fields = {f.name: f.encode_name for f in msgspec.structs.fields(entry)}
                names = " and ".join(f"`{fields[name]}`" for name in lacking)
                skipped.add(self.file, number, f"no {names}", "give the entry one, or leave it")
            else:
                yield number, entry


def _given(value: Any) -> bool:
    if isinstance(value, Hash):
        return value.hash is not None
    return value is not None and value != ABSENT


class Tables:
    """The tables of the kinds of text asked for; those of other kinds are empty.

    Raises:
        SourceError: a table is missing or is not a list of such entries; all such tables are named.
    """

    def __init__(self, folder: Path, kinds: Iterable[Kind]) -> None:
        self._folder = folder
        self._wanted = table_paths(folder, kinds)
        self._problems: list[Problem] = []
        self.talk = self._read("TalkSentenceConfig", Talk)
        self.book_series = self._read("BookSeriesConfig", BookSeries)
        self.books = self._read("LocalbookConfig", Book)
        self.stories = self._read("StoryAtlas", Story)
        self.voices = self._read("VoiceAtlas", Voice)
        self.avatars = self._read("AvatarConfig", Avatar)
        self.avatars_ld = self._read("AvatarConfigLD", Avatar)
        self.terms = self._read("NounAtlas", Term)
        self.conclusions = self._read("ChronicleConclusion", Conclusion)
        self.missions = self._read("MainMission", Mission)
        self.sub_missions = self._read("SubMission", SubMission)
        self.mails = self._read("TarotMailbox", Mail)
        self.mail_sentences = self._read("TarotMails", Sentence)
        self.chronicles = self._read("TarotBookSentence", Sentence)
        self.wiki = self._read("TarotWikiData", Wiki)
        self.wiki_subdata = self._read("TarotWikiSubdata", Wiki)
        self.wiki_changes = self._read("TarotWikiChangeinfo", WikiChange)
        self.joins = self._read("TextJoinConfig", Join)
        self.join_items = self._read("TextJoinItem", JoinItem)
        if self._problems:
            raise SourceError(self._problems)

    def _read(self, name: str, entry: type[E]) -> Table[E]:
        file = f"ExcelOutput/{name}.json"
        path = self._folder / file
        entries: list[E] = []
        if path in self._wanted:
            decoder: msgspec.json.Decoder[list[E]] = msgspec.json.Decoder(list[entry])  # type: ignore[valid-type]
            try:
                entries = decode(read_bytes(path, file), file, decoder)
            except SourceError as error:
                self._problems += error.problems
        return Table(file, entries)


def table_paths(folder: Path, kinds: Iterable[Kind]) -> list[Path]:
    """Return the files that the kinds are made of, whether they are there or not, sorted."""
    names = {*JOIN_TABLES, *(name for kind in kinds for name in KIND_TABLES[kind])}
    return [folder / f"ExcelOutput/{name}.json" for name in sorted(names)]


def refuse_missing_tables(folder: Path, kinds: Iterable[Kind]) -> None:
    """Say which tables are missing.

    Raises:
        SourceError: some are.
    """
    lacking = [path.stem for path in table_paths(folder, kinds) if not exists(path)]
    if lacking:
        raise SourceError([_missing(name) for name in lacking])


def _missing(name: str) -> Problem:
    kinds = " and ".join(kind for kind, names in KIND_TABLES.items() if name in names)
    without = f", or take {kinds} off `source.kinds` in corpus.yaml" if kinds else ""
    return Problem(f"ExcelOutput/{name}.json", 0, "no such file", f"complete the folder{without}")


def load_tables(folder: Path, kinds: Sequence[Kind]) -> Tables:
    """Read the tables of the kinds; the last ones are kept until one of their files changes.

    Raises:
        SourceError: as ``Tables``.
    """
    refuse_missing_tables(folder, kinds)
    stats = [path.stat() for path in table_paths(folder, kinds)]
    stamp = tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)
    return _tables(folder, tuple(sorted(kinds)), stamp)


@lru_cache(maxsize=1)
def _tables(folder: Path, kinds: tuple[Kind, ...], stamp: object) -> Tables:  # noqa: ARG001
    return Tables(folder, kinds)
