"""The tables of a game-data folder, ``ExcelOutput/*.json``: lists of entries."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from cyrene_assets.corpus.sources.game import entries
from cyrene_assets.corpus.sources.game.files import decode, read_bytes, validate_unique_keys
from cyrene_assets.corpus.sources.game.talk import TalkLines
from cyrene_assets.corpus.sources.raw_files import exists, version
from cyrene_assets.corpus.sources.types import Problem, SourceError

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

E = TypeVar("E", bound=entries.Entry)


class Tables:
    """The tables of the kinds of text asked for; those of other kinds are empty.

    Raises:
        SourceError: a table is missing or is not a list of such entries; all such tables are named.
    """

    def __init__(self, folder: Path, kinds: Iterable[Kind]) -> None:
        self._folder = folder
        self._wanted = table_paths(folder, kinds)
        self._problems: list[Problem] = []
        self.talk = TalkLines(*self._decoded("TalkSentenceConfig", entries.Talk))
        self.book_series = self._read("BookSeriesConfig", entries.BookSeries)
        self.books = self._read("LocalbookConfig", entries.Book)
        self.stories = self._read("StoryAtlas", entries.Story)
        self.voices = self._read("VoiceAtlas", entries.Voice)
        self.avatars = self._read("AvatarConfig", entries.Avatar)
        self.avatars_ld = self._read("AvatarConfigLD", entries.Avatar)
        self.terms = self._read("NounAtlas", entries.Term)
        self.conclusions = self._read("ChronicleConclusion", entries.Conclusion)
        self.missions = self._read("MainMission", entries.Mission)
        self.sub_missions = self._read("SubMission", entries.SubMission)
        self.mails = self._read("TarotMailbox", entries.Mail)
        self.mail_sentences = self._read("TarotMails", entries.Sentence)
        self.chronicles = self._read("TarotBookSentence", entries.Sentence)
        self.wiki = self._read("TarotWikiData", entries.Wiki)
        self.wiki_subdata = self._read("TarotWikiSubdata", entries.Wiki)
        self.wiki_changes = self._read("TarotWikiChangeinfo", entries.WikiChange)
        self.joins = self._read("TextJoinConfig", entries.Join)
        self.join_items = self._read("TextJoinItem", entries.JoinItem)
        if self._problems:
            raise SourceError(self._problems)

    def _read(self, name: str, entry: type[E]) -> entries.Table[E]:
        return entries.Table(*self._decoded(name, entry))

    def _decoded(self, name: str, entry: type[E]) -> tuple[str, list[E]]:
        """Return a table's file name and entries: none where it is not wanted, or is wrong."""
        file = f"ExcelOutput/{name}.json"
        path = self._folder / file
        if path not in self._wanted:
            return file, []
        decoder: msgspec.json.Decoder[list[E]] = msgspec.json.Decoder(list[entry])  # type: ignore[valid-type]
        try:
            data = read_bytes(path, file, self._folder)
            decoded = decode(data, file, decoder)
            _validate_unique_fields(data, file, entry, decoded)
        except SourceError as error:
            self._problems += error.problems
            return file, []
        return file, decoded


def _validate_unique_fields(data: bytes, file: str, entry: type[E], decoded: list[E]) -> None:
    """Look closer only where a field's name occurs more often than entries have the field."""
    for field in msgspec.structs.fields(entry):
        having = sum(1 for found in decoded if entries.given(getattr(found, field.name)))
        if data.count(f'"{field.encode_name}"'.encode()) > having:
            validate_unique_keys(msgspec.json.decode(data, type=list[msgspec.Raw]), file)
            return


def table_paths(folder: Path, kinds: Iterable[Kind]) -> list[Path]:
    """Return the files that the kinds are made of, whether they are there or not, sorted."""
    names = {*JOIN_TABLES, *(name for kind in kinds for name in KIND_TABLES[kind])}
    return [folder / f"ExcelOutput/{name}.json" for name in sorted(names)]


def validate_tables_exist(folder: Path, kinds: Iterable[Kind]) -> None:
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
    validate_tables_exist(folder, kinds)
    files = [(path, path.relative_to(folder).as_posix()) for path in table_paths(folder, kinds)]
    try:
        versions = tuple(version(path, file) for path, file in files)
    except SourceError:
        return Tables(folder, kinds)  # It says what is wrong with any of them.
    return (
        _tables(folder, tuple(sorted(kinds)), versions) if all(versions) else Tables(folder, kinds)
    )


@lru_cache(maxsize=1)
def _tables(folder: Path, kinds: tuple[Kind, ...], versions: object) -> Tables:  # noqa: ARG001
    return Tables(folder, kinds)
