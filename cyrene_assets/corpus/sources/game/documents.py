"""The documents of a game-data folder: which entries make one, in which order, kind by kind."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from cyrene_assets.corpus.sources.game.entries import Hash, Table, Voice, Wiki
from cyrene_assets.corpus.sources.game.files import Skipped
from cyrene_assets.corpus.sources.game.tables import Tables
from cyrene_assets.corpus.sources.game.texts import Texts


class Document(NamedTuple):
    """A document: lines that lead it in (some may be blank) and lines that it is about.

    ``entry`` is the number of its first entry in ``file``.
    """

    kind: str
    id: str
    title: str | None
    lead: list[str]
    content: list[str]
    file: str
    entry: int


class Spoken(NamedTuple):
    """A voice line of an avatar, and the title that the player "says"."""

    id: str
    avatar: int
    name: str
    title: str
    text: str
    file: str
    entry: int


class Documents:
    """The documents and voices of one language.

    What a selection (``avatars``, ``worlds``, ``quests``) is null for is not selected from.
    """

    def __init__(self, tables: Tables, texts: Texts, language: str, skipped: Skipped) -> None:
        self._tables = tables
        self._texts = texts
        self._map = f"TextMap{language.upper()}"
        self._skipped = skipped
        self._changes = {change.change_id: change for change in tables.wiki_changes.entries}

    def books(self, worlds: Collection[int] | None) -> Iterator[Document]:
        """Yield a document per book of the series of these worlds, in the order of the series."""
        series_table, table = self._tables.book_series, self._tables.books
        of_series = defaultdict(list)
        for entry, book in table.complete(self._skipped, "book_series_id", "book_content"):
            of_series[book.book_series_id].append((entry, book))
        needed = ["book_series_id"] + ["book_series_world"] * (worlds is not None)
        known = {series.book_series_id for series in series_table.entries}
        for entry, series in series_table.complete(self._skipped, *needed):
            if worlds is not None and series.book_series_world not in worlds:
                continue
            title = self._text(series.book_series, series_table, entry)
            comments = self._text(series.book_series_comments, series_table, entry)
            for number, book in of_series[series.book_series_id]:
                name = self._text(book.book_inside_name, table, number)
                content = self._text(book.book_content, table, number)
                identity = f"{series.book_series_id}:{_hash(book.book_content)}"
                lead = [comments, name]
                yield Document("book", identity, title, lead, [content], table.file, number)
        for series_id in of_series.keys() - known:
            for entry, _ in of_series[series_id]:
                self._note(table, entry, "its BookSeriesID is not in BookSeriesConfig")

    def stories(self, avatars: Collection[int] | None) -> Iterator[Document]:
        """Yield a document per avatar: its name, then its stories by id."""
        table = self._tables.stories
        places: dict[int, dict[int, str]] = defaultdict(dict)
        first: dict[int, int] = {}
        for entry, story in table.complete(self._skipped, "avatar_id", "story_id", "story"):
            avatar, place = story.avatar_id, story.replace_id
            if avatars is None or avatar in avatars:
                text = self._text(story.story, table, entry)
                first.setdefault(avatar, entry)
                if text:
                    places[avatar][story.story_id if place is None else place] = text
        names = self._avatar_names()
        for avatar in sorted(first):
            if avatar not in names:
                self._note(table, first[avatar], "the avatar's name (there is none)")
            content = [text for _, text in sorted(places[avatar].items())]
            yield Document(
                "story", str(avatar), names.get(avatar), [], content, table.file, first[avatar]
            )

    def voices(
        self, avatars: Collection[int] | None, own_names: dict[int, str]
    ) -> Iterator[Spoken]:
        """Yield the voice lines by avatar and SortID; those without one last, in file order.

        ``own_names`` are those of avatars whose name the game may lack.
        """
        table = self._tables.voices
        names = {**own_names, **self._avatar_names()}
        chosen = [
            (entry, voice)
            for entry, voice in table.complete(self._skipped, "avatar_id", "voice_title", "voice")
            if avatars is None or voice.avatar_id in avatars
        ]
        for entry, voice in sorted(chosen, key=_voice_order):
            avatar = voice.avatar_id
            title = self._text(voice.voice_title, table, entry)
            text = self._text(voice.voice, table, entry)
            if avatar not in names:
                self._note(table, entry, "the voice of an avatar without a name")
            elif title.strip() and text.strip():
                identity = f"{avatar}:{_hash(voice.voice_title)}:{_hash(voice.voice)}"
                yield Spoken(identity, avatar, names[avatar], title, text, table.file, entry)

    def terms(self) -> Iterator[Document]:
        """Yield a document per term: its title, then what it means."""
        table = self._tables.terms
        for entry, term in table.complete(self._skipped, "noun_title", "noun_desc"):
            title = self._text(term.noun_title, table, entry)
            content = [self._text(term.noun_desc, table, entry)]
            yield Document("term", _hash(term.noun_title), title, [], content, table.file, entry)

    def quests(self, prefixes: Collection[int] | None) -> Iterator[Document]:
        """Yield a document per quest, by id: name, conclusion, then its steps.

        A step is left out when target or description are missing, or equal to the last one's.
        """
        table, steps = self._tables.conclusions, self._tables.sub_missions
        names = {
            mission.main_mission_id: self._texts.get(mission.name)
            for mission in self._tables.missions.entries
            if mission.name is not None
        }
        of_mission = defaultdict(list)
        for entry, step in steps.complete(self._skipped, "sub_mission_id"):
            if step.target_text is not None:
                of_mission[step.sub_mission_id // 100].append((entry, step))
        complete = table.complete(self._skipped, "mission_id", "mission_conclusion")
        for entry, quest in sorted(complete, key=lambda pair: pair[1].mission_id):
            mission = quest.mission_id
            if prefixes is not None and mission // 10000 not in prefixes:
                continue
            if not names.get(mission):
                self._note(table, entry, "the mission's name (there is none)")
            content = [self._text(quest.mission_conclusion, table, entry)]
            last = None
            for number, step in sorted(
                of_mission[mission], key=lambda pair: pair[1].sub_mission_id
            ):
                target = self._text(step.target_text, steps, number)
                description = self._text(step.descrption_text, steps, number)
                if target and description and (target, description) != last:
                    last = (target, description)
                    content += last
            yield Document(
                "quest", str(mission), names.get(mission), [], content, table.file, entry
            )

    def mails(self) -> Iterator[Document]:
        """Yield a document per letter: title, sender, addressee, then the sentences."""
        table, sentences = self._tables.mails, self._tables.mail_sentences
        by_id = {
            sentence.id: (number, sentence.sentence)
            for number, sentence in sentences.complete(self._skipped, "id", "sentence")
        }
        for entry, mail in table.complete(self._skipped, "title", "mail_sentence_id_list"):
            content = []
            ids = mail.mail_sentence_id_list or ()
            for sentence in ids:
                if sentence in by_id:
                    number, name = by_id[sentence]
                    content.append(self._text(name, sentences, number))
                else:
                    self._note(table, entry, "a sentence that is not in TarotMails")
            title = self._text(mail.title, table, entry)
            lead = [self._text(name, table, entry) for name in (mail.sender, mail.to)]
            identity = str(ids[0]) if ids else _hash(mail.title)
            yield Document("mail", identity, title, lead, content, table.file, entry)

    def chronicles(self) -> Iterator[Document]:
        """Yield a document per group of sentences (ID // 1000), by id."""
        table = self._tables.chronicles
        groups: dict[int, list[tuple[int, Hash | None]]] = defaultdict(list)
        complete = table.complete(self._skipped, "id", "sentence")
        for entry, sentence in sorted(complete, key=lambda pair: pair[1].id):
            groups[sentence.id // 1000].append((entry, sentence.sentence))
        for group, members in groups.items():
            content = [self._text(name, table, entry) for entry, name in members]
            yield Document("chronicle", str(group), None, [], content, table.file, members[0][0])

    def wiki(self) -> Iterator[Document]:
        """Yield a document per group of entries (ID // 100), by id, each with those below it."""
        table, below = self._tables.wiki, self._tables.wiki_subdata
        by_id = {
            entry.id: (number, entry)
            for number, entry in below.complete(self._skipped, "id", "title", "details")
        }
        groups: dict[int, list[tuple[int, Wiki]]] = defaultdict(list)
        complete = table.complete(self._skipped, "id", "title", "details")
        for number, entry in sorted(complete, key=lambda pair: pair[1].id):
            groups[entry.id // 100].append((number, entry))
        for group, members in groups.items():
            content = []
            for number, entry in members:
                content += self._title_and_details(table, number, entry)
                for sub_id in sorted(entry.subdata_list or ()):
                    if sub_id in by_id:
                        content += self._title_and_details(below, *by_id[sub_id])
                    else:
                        self._note(table, number, "an entry that is not in TarotWikiSubdata")
            yield Document("wiki", str(group), None, [], content, table.file, members[0][0])

    def _title_and_details(self, table: Table[Wiki], number: int, entry: Wiki) -> list[str]:
        """Return an entry's texts: those of its latest change where it has any."""
        title, details = entry.title, entry.details
        if entry.change_id:
            change = self._changes.get(max(entry.change_id))
            if change:
                title, details = change.new_title, change.new_details
            else:
                self._note(table, number, "a change that is not in TarotWikiChangeinfo")
        return [self._text(title, table, number), self._text(details, table, number)]

    def _avatar_names(self) -> dict[int, str]:
        entries = [*self._tables.avatars.entries, *self._tables.avatars_ld.entries]
        names = {avatar.avatar_id: self._texts.get(avatar.avatar_name) for avatar in entries}
        return {avatar: name for avatar, name in names.items() if name}

    def _text(self, name: Hash | None, table: Table[Any], entry: int) -> str:
        """Return a text, "" where the entry names none or the language has none (noted)."""
        text = self._texts.get(name)
        if text is None and name is not None and name.hash is not None:
            self._note(table, entry, f"a text that {self._map} does not have")
        return text or ""

    def _note(self, table: Table[Any], entry: int, reason: str) -> None:
        self._skipped.add(table.file, entry, reason, "complete the folder, or leave it at that")


def _hash(name: Hash | None) -> str:
    return str(name.hash if name else None)


def _voice_order(pair: tuple[int, Voice]) -> tuple[int, bool, int]:
    voice = pair[1]
    return voice.avatar_id, voice.sort_id is None, voice.sort_id or 0
