"""The documents of an invented game: which entry of which table names which texts.

They are the same in all languages; texts are numbers until a language writes them.
"""

from benchmarks._game_talk import Entry, Texts
from benchmarks._invented import seeded

AVATARS = (*range(1402, 1411), *range(1412, 1416))
JOINS = 40


class Documents:
    """The tables of the other kinds of text: (table, entries with text numbers)."""

    def __init__(self, texts: Texts, scale: float, seed: int) -> None:
        self._texts = texts
        self._scale = scale
        self._rng = seeded(seed, "documents")
        self.tables: dict[str, list[Entry]] = {}
        self._avatars()
        self._books()
        self._quests()
        self._mails()
        self._wiki()
        self._joins()

    def _count(self, count: int) -> int:
        return max(4, round(count * self._scale))

    def _new(self, count: int, words: float, **kind: bool) -> list["Text"]:
        return [Text(n) for n in self._texts.add(self._rng, count, words, **kind).tolist()]

    def _avatars(self) -> None:
        avatars = [*AVATARS, *range(1001, 1001 + self._count(90))]
        names = self._new(len(avatars), 1, bare=True)
        named = [
            {"AvatarID": avatar, "AvatarName": name}
            for avatar, name in zip(avatars, names, strict=True)
        ]
        self.tables["AvatarConfig"] = named
        again = self._new(3, 1, bare=True)
        self.tables["AvatarConfigLD"] = [
            {"AvatarID": avatar, "AvatarName": name}
            for avatar, name in zip(AVATARS, again, strict=False)
        ]
        stories = iter(self._new(len(avatars) * 6, 105, paged=True))
        self.tables["StoryAtlas"] = [
            {"AvatarID": avatar, "StoryID": place, "Story": next(stories)}
            | ({"ReplaceID": 2} if place == 6 else {})
            for avatar in avatars
            for place in range(1, 7)
        ]
        each = self._count(100)
        titles = iter(self._new(len(avatars) * each, 3, bare=True))
        lines = iter(self._new(len(avatars) * each, 8))
        self.tables["VoiceAtlas"] = [
            {"AvatarID": avatar, "VoiceTitle": next(titles), "Voice_M": next(lines)}
            | ({"SortID": place} if place % 50 else {})
            | {"AudioEvent": "" if place % 7 else f"event_{place}"}
            for avatar in avatars
            for place in range(each)
        ]

    def _books(self) -> None:
        series, books = self._count(400), self._count(1500)
        titles, comments = self._new(series, 3, bare=True), self._new(series, 8)
        self.tables["BookSeriesConfig"] = [
            {"BookSeriesID": n, "BookSeries": titles[n], "BookSeriesWorld": n % 8 + 1}
            | ({"BookSeriesComments": comments[n]} if n % 5 else {})
            for n in range(series)
        ]
        names, contents = self._new(books, 4, bare=True), self._new(books, 116, paged=True)
        self.tables["LocalbookConfig"] = [
            {"BookSeriesID": n % series, "BookInsideName": names[n], "BookContent": contents[n]}
            for n in range(books)
        ]

    def _quests(self) -> None:
        count = self._count(2000)
        prefixes = (104, 204, 803, 100, 101, 102, 103, 105, 200, 201)
        ids = [prefixes[n % 10] * 10000 + n // 10 + 1 for n in range(count)]
        names, endings = self._new(count, 3, bare=True), self._new(count, 20, paged=True)
        self.tables["MainMission"] = [
            {"MainMissionID": mission} | ({"Name": name} if mission % 97 else {})
            for mission, name in zip(ids, names, strict=True)
        ]
        self.tables["ChronicleConclusion"] = [
            {"MissionID": mission, "MissionConclusion": ending}
            for mission, ending in zip(ids, endings, strict=True)
            if mission % 97
        ]
        targets, told = self._new(6 * count, 5, bare=True), self._new(6 * count, 8)
        self.tables["SubMission"] = [
            {"SubMissionID": mission * 100 + step}
            | ({"TargetText": targets[6 * n + step]} if step else {})
            | {"DescrptionText": told[6 * n + step - (step == 4)]}
            for n, mission in enumerate(ids)
            for step in range(6)
        ]

    def _mails(self) -> None:
        count = self._count(400)
        heads = [self._new(count, words, bare=True) for words in (3, 2, 2)]
        sentences = self._new(3 * count, 12)
        self.tables["TarotMails"] = [{"ID": n, "Sentence": s} for n, s in enumerate(sentences)]
        self.tables["TarotMailbox"] = [
            {"Title": title, "From": sender, "To": to, "MailSentenceIDList": list(range(n, n + 3))}
            for n, (title, sender, to) in enumerate(zip(*heads, strict=True))
        ]
        ages = self._new(self._count(1500), 13)
        self.tables["TarotBookSentence"] = [
            {"ID": n // 8 * 1000 + n % 8, "Sentence": sentence} for n, sentence in enumerate(ages)
        ]
        terms = self._count(1000)
        titles, told = self._new(terms, 2, bare=True), self._new(terms, 17, paged=True)
        self.tables["NounAtlas"] = [
            {"NounTitle": title, "NounDesc": text} for title, text in zip(titles, told, strict=True)
        ]

    def _wiki(self) -> None:
        count = self._count(600)
        pairs = {
            name: zip(self._new(n, 2, bare=True), self._new(n, 20, paged=True), strict=True)
            for name, n in (("", count), ("sub", 2 * count), ("change", count))
        }
        self.tables["TarotWikiData"] = [
            {"ID": n // 4 * 100 + n % 4, "Title": title, "Details": details}
            | {"ChangeID": [2 * n, n] if n % 6 == 0 and 2 * n < count else []}
            | {"SubdataList": [2 * n, 2 * n + 1]}
            for n, (title, details) in enumerate(pairs[""])
        ]
        self.tables["TarotWikiSubdata"] = [
            {
                "ID": n,
                "Title": title,
                "Details": details,
                "ChangeID": [n % count] if n % 40 == 7 else [],
            }
            for n, (title, details) in enumerate(pairs["sub"])
        ]
        self.tables["TarotWikiChangeinfo"] = [
            {"ChangeID": n, "NewTitle": title, "NewDetails": details}
            for n, (title, details) in enumerate(pairs["change"])
        ]

    def _joins(self) -> None:
        items = self._new(2 * JOINS, 1, bare=True)
        self.tables["TextJoinItem"] = [
            {"TextJoinItemID": n, "TextJoinText": item} for n, item in enumerate(items)
        ]
        self.tables["TextJoinConfig"] = [
            {"TextJoinID": n, "DefaultItem": 2 * n, "TextJoinItemList": [2 * n, 2 * n + 1]}
            for n in range(JOINS)
        ]


class Text(int):
    """The number of a text, where an entry names one."""


def with_hashes(entries: list[Entry], hashes: list[int]) -> list[Entry]:
    """Return the entries with the texts' hashes in place of their numbers."""
    return [
        {
            key: {"Hash": hashes[value]} if isinstance(value, Text) else value
            for key, value in entry.items()
        }
        for entry in entries
    ]
