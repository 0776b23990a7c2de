"""A game-data folder of invented text: every row of every table, and every exception.

``folder`` holds what a careless reader survives; ``broken`` adds what it does not: texts that a
language lacks, entries without their fields, references to nothing.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
Tables = dict[str, list[Entry]]
Text = dict[str, int]

LANGUAGES = ("chs", "cht", "de", "en", "es", "fr", "id", "jp", "kr", "pt", "ru", "th", "vi")
CYRENE, SPRITE, VOICE, TWIN = (
    2309313067306506373,
    11001695012879251917,
    6462539533232001276,
    4455374036049186635,
)
TAILOR, SCRIBE, PLAYER = 8347254212154585286, 16450988707457331866, 7108701208745180573
HER_NAME = {"chs": "昔涟", "cht": "昔漣", "jp": "キュレネ", "kr": "키레네", "ru": "Кирена"}
# Marks that stay as they are in a translation.
KEPT = re.compile(r"(\{[^{}]*\{[^{}]*\}\}|\{[^{}]*\}|<[^<>]*>|\\n|<\|[^|]*\|>)|([A-Za-z]+)")
ENDINGS = dict(zip(LANGUAGES, "吗嗎ßeñéyのよãжกđ", strict=True))


def translated(text: str, language: str) -> str:
    """The text in a language: words with an ending of its own, Chinese with wide parentheses."""
    if language == "en":
        return text
    said = KEPT.sub(lambda m: m[1] or m[2] + ENDINGS[language], text)
    wide = str.maketrans("()", "\uff08\uff09")
    return said.translate(wide) if language in {"chs", "cht"} else said


class Game:
    """Tables and texts under making."""

    def __init__(self) -> None:
        self.tables: Tables = {}
        self.texts: dict[str, dict[int, str]] = {language: {} for language in LANGUAGES}

    def text(self, text: str, name: int | None = None, /, **other: str | None) -> Text:
        """Give the text a hash; ``other`` languages have another one, or none."""
        digest = hashlib.blake2b(repr((text, other)).encode(), digest_size=8).digest()
        name = int.from_bytes(digest, "big") >> 1 if name is None else name
        for language in LANGUAGES:
            said = other.get(language, translated(text, language))
            if said is not None:
                self.texts[language][name] = said
        return {"Hash": name}

    def add(self, table: str, *entries: Entry) -> None:
        self.tables.setdefault(table, []).extend(entries)

    def scene(self, first: int, *lines: tuple[int | None, str | Text]) -> None:
        """Add lines with ids from ``first`` on; a speaker of None has no name."""
        for number, (speaker, text) in enumerate(lines):
            entry: Entry = {"TalkSentenceID": first + number, "VoiceID": number}
            if speaker is not None:
                entry["TextmapTalkSentenceName"] = {"Hash": speaker}
            entry["TalkSentenceText"] = self.text(text) if isinstance(text, str) else text
            self.add("TalkSentenceConfig", entry)

    def write(self, root: Path, *, parts: tuple[str, ...] = ("th",)) -> Path:
        """Write the folder; the languages in ``parts`` have their texts in three parts."""
        for name, entries in self.tables.items():
            write(root / "ExcelOutput" / f"{name}.json", entries)
        for language, texts in self.texts.items():
            stem = f"TextMap{language.upper()}"
            if language in parts:
                for number in range(3):
                    part = dict(list(texts.items())[number::3])
                    write(root / "TextMap" / f"{stem}_{number}.json", part)
            else:
                write(root / "TextMap" / f"{stem}.json", texts)
        return root


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


def folder() -> Game:
    """Everything in GAME_DATA's table that is well-formed, exceptions included."""
    game = Game()
    _names(game)
    _dialog(game)
    _joins(game)
    _books(game)
    _avatars(game)
    _quests(game)
    _tarot(game)
    return game


def _names(game: Game) -> None:
    game.text("Cyrene", CYRENE, **HER_NAME)
    game.text("Cyrene", TWIN, **HER_NAME)
    game.text("Paper Sprite", SPRITE)
    game.text("Voice Behind The Door", VOICE)
    game.text("Tailor", TAILOR, de=None, fr="")
    game.text("Scribe", SCRIBE)
    game.text("{NICKNAME}", PLAYER)
    game.text("Passer-by", 77)


def _dialog(game: Game) -> None:
    text = game.text
    game.scene(
        100001001,
        (None, "Is the <color=#ff0>lantern</color> lit, {NICKNAME} asked."),
        (TAILOR, "(She nods.)"),
        (CYRENE, "It is, and it will be."),
        (CYRENE, "Sit with me."),
        (PLAYER, "I will, for a while."),
        (CYRENE, "(smiling) For a while, then (or longer)."),
        (SCRIBE, "Nobody hears this last line."),
    )
    game.scene(
        100002001,
        (None, "Who goes there by the mill?"),
        (VOICE, "Somebody with wet shoes."),
        (None, "Say your name."),
        (CYRENE, "You have known it all along."),
        (TWIN, "And so have I."),
        (SPRITE, "So has the paper."),
        (None, "Enough of you."),
        (SPRITE, "Never enough."),
    )
    game.scene(100003001, (77, "A scene without any of them."), (None, "Indeed so."))
    game.scene(504119001, (None, "First small talk."), (CYRENE, "First small answer."))
    game.scene(504119101, (None, "Second small talk."), (CYRENE, "Second small answer."))
    game.scene(504119201, (None, "Third small talk, with no answer."))
    game.scene(100005001, (CYRENE, "I talk to myself."), (CYRENE, "And nobody minds."))
    game.scene(
        100006001,
        (CYRENE, "I speak first today."),
        (None, "And I second."),
        (CYRENE, "Then I am third as well."),
    )
    told = [(None, f"Line number {'abcdef'[n % 6]} of {n // 6}.")
            for n in range(12)]  # fmt: skip
    game.scene(100007001, *told, (CYRENE, "That was a long story."))
    game.scene(
        100008001,
        (None, "(All of it whispered)"),
        (None, "(One) and (the other)"),
        (77, "(open to the end"),
        (CYRENE, "(aside)"),
        (99, "A name that no language has."),
        (CYRENE, "So it goes."),
    )
    game.scene(
        100009001,
        (None, "{RUBY_B#note}Word{RUBY_E#} and {Img#3}{Img 4}picture."),
        (TAILOR, "{LAYOUT_CONTROLLER#Push}{LAYOUT_KEYBOARD#Click}{LAYOUT_MOBILE#Tap} it."),
        (CYRENE, "One{SPACE}blank, {F#she}{M#he} said{F#{M#}}, {MCV#8015162#OldValue_1} times."),
        (CYRENE, "{大地獣, ネクタール, 数学} stays."),
        (CYRENE, "What is {AETHER#7} for?"),
        (CYRENE, "One\\nbreak and\nanother."),
    )
    game.scene(
        100010001,
        (None, "Joined: {TEXTJOIN#1} and {TEXTJOIN#2}."),
        (CYRENE, "Nested: {TEXTJOIN#3}."),
        (CYRENE, "Nothing: {TEXTJOIN#4} {TEXTJOIN#99}."),
    )
    game.scene(
        100011001,
        (None, text("Only some languages know this line.", fr=None, kr=None)),
        (TAILOR, text("The tailor is silent in Korean.", kr=None)),
        (None, "And this is the end of it."),
    )
    game.scene(100012001, (SCRIBE, text("")), (CYRENE, "<i></i>"), (None, "  Wide margins  "))
    game.scene(
        100013001,
        (None, "First small talk."),
        (CYRENE, "First small answer."),
    )
    game.add(
        "TalkSentenceConfig",
        {"TalkSentenceID": 100001008, "TextmapTalkSentenceName": {"Hash": CYRENE}},
        {"TalkSentenceText": text("In no scene.")},
        {"TalkSentenceID": 100001009, "TalkSentenceText": {"Hash": 55}},
    )
    # Lines are in order of their ids, not of the file.
    game.tables["TalkSentenceConfig"].reverse()


def _joins(game: Game) -> None:
    joined = [game.text(f"{word} joined") for word in ("first", "second", "third")]
    game.add(
        "TextJoinItem",
        {"TextJoinItemID": 11, "TextJoinText": joined[0]},
        {"TextJoinItemID": 12},
        {"TextJoinItemID": 14, "TextJoinText": joined[2]},
        {"TextJoinItemID": 13, "TextJoinText": joined[1]},
        {"TextJoinItemID": 15, "TextJoinText": game.text("inside {TEXTJOIN#1}")},
    )
    game.add(
        "TextJoinConfig",
        {"TextJoinID": 1, "DefaultItem": 11, "TextJoinItemList": [13, 11]},
        {"TextJoinID": 2, "DefaultItem": 12, "TextJoinItemList": [14, 13, 12]},
        {"TextJoinID": 3, "DefaultItem": 15, "TextJoinItemList": []},
        {"TextJoinID": 4, "DefaultItem": 12, "TextJoinItemList": [12]},
    )


def _books(game: Game) -> None:
    text = game.text
    game.add(
        "BookSeriesConfig",
        {
            "BookSeriesID": 1,
            "BookSeries": text("On Tides"),
            "BookSeriesComments": text("Found in a bottle.", es=None),
            "BookSeriesWorld": 5,
        },
        {"BookSeriesID": 2, "BookSeries": text("On Salt"), "BookSeriesWorld": 5},
        {"BookSeriesID": 3, "BookSeries": text("Elsewhere"), "BookSeriesWorld": 4},
    )
    pages = text(
        "Water comes.\n\n  <b>Water</b> goes.  \\nIt {SPACE} stays.\n\u00a0Indented.\n<i></i>"
    )
    for series, name, content in (
        (1, text("Volume One"), pages),
        (2, text("Salt"), text("White and {NICKNAME}'s.")),
        (1, text("Volume Two"), text("Water remembers.")),
        (3, text("Other World"), text("Not of this world.")),
    ):
        game.add(
            "LocalbookConfig",
            {"BookSeriesID": series, "BookInsideName": name, "BookContent": content},
        )


def _avatars(game: Game) -> None:
    text = game.text
    names = [text(name) for name in ("Tailor of Thread", "Stranger", "Cyrene of Tides")]
    game.add(
        "AvatarConfig",
        {"AvatarID": 1402, "AvatarName": names[0]},
        {"AvatarID": 1001, "AvatarName": names[1]},
        {"AvatarID": 1415, "AvatarName": names[1]},
    )
    game.add("AvatarConfigLD", {"AvatarID": 1415, "AvatarName": text("Cyrene", **HER_NAME)})
    for avatar, story, content, replaced in (
        (1415, 2, "Second story.\nOf two lines.", None),
        (1415, 1, "First story.", None),
        (1415, 9, "What takes the place of the second.", 2),
        (1402, 1, "The tailor's story.", None),
        (1402, 1, "The tailor's story, told again.", None),
        (1001, 1, "A stranger's story.", None),
    ):
        place: dict[str, int] = {} if replaced is None else {"ReplaceID": replaced}
        entry = {"AvatarID": avatar, "StoryID": story, "Story": text(content), **place}
        game.add("StoryAtlas", entry)
    for avatar, title, said, order in (
        (1415, "Greeting", "There you are, {NICKNAME}.", 2),
        (1415, "Unsorted", "This one comes last.", None),
        (1415, "Parting", "(softly) Until <i>then</i>.", 1),
        (1402, "Greeting", "Stand still.", 1),
        (1001, "Greeting", "We have not met.", 1),
    ):
        sort = {} if order is None else {"SortID": order}
        names_of = {"VoiceTitle": text(title), "Voice_M": text(said)}
        event = {"AudioEvent": "" if order == 1 else "event"}
        game.add("VoiceAtlas", {"AvatarID": avatar, **names_of, **event, **sort})
    game.add(
        "NounAtlas",
        {"NounTitle": text("Golden Thread"), "NounDesc": text("It binds.\nIt breaks.")},
        {"NounTitle": text("Grey Water"), "NounDesc": text("Look for {TEXTJOIN#2}.")},
    )


def _quests(game: Game) -> None:
    text = game.text
    game.add(
        "ChronicleConclusion",
        {"MissionID": 2040001, "MissionConclusion": text("It ended well.")},
        {"MissionID": 1040001, "MissionConclusion": text("The mill turned.\nAnd stopped.")},
        {"MissionID": 1050001, "MissionConclusion": text("Not of these quests.")},
        {"MissionID": 8030001, "MissionConclusion": text("A feast was held.")},
    )
    game.add(
        "MainMission",
        {"MainMissionID": 1040001, "Name": text("The Mill")},
        {"MainMissionID": 2040001, "Name": text("The Well", pt=None)},
        {"MainMissionID": 8030001, "Name": text("The Feast")},
        {"MainMissionID": 1050001, "Name": text("The Other")},
        {"MainMissionID": 1060001},
    )
    reach, look = text("Reach the mill"), text("It is not far.\nGo.")
    for number, target, description in (
        (104000102, reach, look),
        (104000101, text("Leave the house", ru=None), text("The door is open.")),
        (104000103, None, text("A step without a target.")),
        (104000104, reach, look),
        (104000105, text("A step without words"), None),
        (104000106, reach, look),
        (104000107, reach, text("It is near.")),
        (104000108, reach, text("")),
        (104000109, reach, look),
        (204000101, text("Draw water"), text("Two buckets.", id=None)),
    ):
        sides = {"TargetText": target, "DescrptionText": description}
        given = {name: side for name, side in sides.items() if side is not None}
        game.add("SubMission", {"SubMissionID": number, **given})


def _tarot(game: Game) -> None:
    text = game.text
    game.add(
        "TarotMails",
        {"ID": 1, "Sentence": text("Dear {NICKNAME},")},
        {"ID": 2, "Sentence": text("bring rope.\nAnd bread.")},
        {"ID": 3, "Sentence": text("No more of this.")},
    )
    for title, sender, to, sentences in (
        ("A Note", "From the mill", "To you", [1, 2]),
        ("A Second Note", "From the well", "To nobody", [3]),
    ):
        heads = {"Title": text(title), "From": text(sender), "To": text(to)}
        game.add("TarotMailbox", {**heads, "MailSentenceIDList": sentences})
    for number, sentence in ((2001, "Another age."), (1002, "The second day."),
                             (1001, "The first day.\nIt was long.")):  # fmt: skip
        game.add("TarotBookSentence", {"ID": number, "Sentence": text(sentence)})
    game.add(
        "TarotWikiData",
        {
            "ID": 302,
            "Title": text("Old Mill"),
            "Details": text("It stood."),
            "ChangeID": [7, 8],
            "SubdataList": [22, 21],
        },
        {
            "ID": 301,
            "Title": text("Mill Stream"),
            "Details": text("It runs.\nIt {Img#9} sings."),
            "ChangeID": [],
            "SubdataList": [],
        },
        {
            "ID": 401,
            "Title": text("Well"),
            "Details": text("Deep."),
            "ChangeID": [],
            "SubdataList": [],
        },
    )
    game.add(
        "TarotWikiSubdata",
        {"ID": 21, "Title": text("Wheel"), "Details": text("Round."), "ChangeID": []},
        {"ID": 22, "Title": text("Stone"), "Details": text("Flat."), "ChangeID": [9]},
    )
    for change, title, details in (
        (8, "New Mill", "It was rebuilt."),
        (7, "Burnt Mill", "It burned."),
        (9, "Millstone", "Flat, and cracked."),
    ):
        changed = {"NewTitle": text(title), "NewDetails": text(details)}
        game.add("TarotWikiChangeinfo", {"ChangeID": change, **changed})


def broken() -> Game:
    """The folder, and what crashes a careless reader."""
    game = folder()
    text = game.text
    game.scene(100014001, (CYRENE, "Twice under one id."))
    game.scene(100014001, (None, "Not heard."))
    game.add("TextJoinItem", {"TextJoinItemID": 16, "TextJoinText": {"Hash": 55}})
    game.add("TextJoinConfig", {"TextJoinID": 5}, {"DefaultItem": 16, "TextJoinItemList": []})
    game.add(
        "LocalbookConfig",
        {"BookSeriesID": 2, "BookInsideName": text("Lost"), "BookContent": {"Hash": 56}},
        {"BookSeriesID": 8, "BookInsideName": text("Stray"), "BookContent": text("No series.")},
        {"BookInsideName": text("Loose"), "BookContent": text("No series at all.")},
        {"BookSeriesID": 2, "BookContent": text("A book without a name.")},
    )
    game.add("BookSeriesConfig", {"BookSeriesID": 9, "BookSeries": text("Nowhere")})
    game.add(
        "StoryAtlas",
        {"AvatarID": 1403, "StoryID": 1, "Story": text("A story of nobody.")},
        {"AvatarID": 1402, "StoryID": 2},
        {"AvatarID": 1415, "StoryID": 8, "Story": {"Hash": 57}, "ReplaceID": 1},
    )
    game.add(
        "VoiceAtlas",
        {"AvatarID": 1403, "VoiceTitle": text("Greeting"), "Voice_M": text("Who am I?")},
        {"AvatarID": 1415, "VoiceTitle": text("Silence"), "Voice_M": {"Hash": 58}},
        {"AvatarID": 1415, "VoiceTitle": text("Greeting"), "Voice_M": text("No event.")},
    )
    game.add("NounAtlas", {"NounTitle": text("Blank"), "NounDesc": text("  ")}, {})
    wide = {"NounTitle": text("Large", (1 << 64) - 1), "NounDesc": text("64 bits.", 1 << 63)}
    game.add("NounAtlas", wide)
    game.add(
        "ChronicleConclusion",
        {"MissionID": 1040002, "MissionConclusion": text("A quest without a name.")},
        {"MissionID": 1040003, "MissionConclusion": {"Hash": 59}},
    )
    game.add(
        "TarotMailbox",
        {"Title": text("A Third Note"), "From": {"Hash": 60}, "MailSentenceIDList": [3, 4]},
        {"Title": text("An Empty Note"), "MailSentenceIDList": []},
    )
    game.add("TarotBookSentence", {"ID": 3001, "Sentence": {"Hash": 61}})
    game.add(
        "TarotWikiData",
        {
            "ID": 402,
            "Title": text("Pond"),
            "Details": text("Still."),
            "ChangeID": [99],
            "SubdataList": [23],
        },
    )
    return game
