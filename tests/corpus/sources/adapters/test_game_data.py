import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from corpus.miniature import read_raw
from corpus.sources.game_miniature import (
    CYRENE,
    HER_NAME,
    LANGUAGES,
    SCRIBE,
    SPRITE,
    TAILOR,
    Entry,
    Game,
    broken,
    folder,
    translated,
)
from cyrene_assets.corpus.config import Corpus, load_corpus
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.corpus.sources.adapters.game_data import files
from cyrene_assets.corpus.sources.registry import raw_digest, read_listed
from cyrene_assets.corpus.sources.types import SourceError

SHIPPED = Path(__file__).parents[4] / "corpora" / "cyrene"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder().write(tmp_path_factory.mktemp("game"))


@pytest.fixture(autouse=True)
def game(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CYRENE_GAME_DATA", str(shared))
    return shared


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus(SHIPPED)


def _changed(**source: Any) -> Corpus:
    config = yaml.safe_load((SHIPPED / "corpus.yaml").read_text(encoding="utf-8"))
    config["source"] |= source
    return Corpus.model_validate(config)


def _rows(corpus: Corpus, language: str = "en", *kinds: str) -> list[Row]:
    rows = read_listed(SHIPPED, corpus, language)[0].to_dicts()
    return [row for row in rows if not kinds or row["kind"] in kinds]


def _units(corpus: Corpus, language: str = "en", *kinds: str) -> list[str]:
    return [row["unit"] for row in _rows(corpus, language, *kinds)]


def _texts(corpus: Corpus, kind: str, language: str = "en") -> list[tuple[str | None, str]]:
    return [(row["title"], row["text"]) for row in _rows(corpus, language, kind)]


def _skipped(corpus: Corpus, language: str = "en") -> list[str]:
    return [str(problem) for problem in read_listed(SHIPPED, corpus, language)[1]]


def _problems(corpus: Corpus, language: str = "en") -> list[str]:
    with pytest.raises(SourceError) as error:
        read_listed(SHIPPED, corpus, language)
    return [str(problem) for problem in error.value.problems]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Write a folder of one's own and read that."""

    def make(
        change: Callable[[Game], object] = lambda game: None, base: Game | None = None
    ) -> Path:
        game = base or folder()
        change(game)
        monkeypatch.setenv("CYRENE_GAME_DATA", str(tmp_path / "game"))
        return game.write(tmp_path / "game")

    yield make
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_a_line_of_dialog_is_a_canonical_row(corpus: Corpus) -> None:
    [row] = [row for row in _rows(corpus, "th") if row["unit"] == "100001002"]
    assert row == {
        "unit": "100001002",
        "scene": "talk:100001",
        "order": 1,
        "kind": "dialog",
        "speaker": translated("Tailor", "th"),
        "role": "other",
        "title": None,
        "text": translated("(She nods.)", "th"),
        "language": "th",
        "file": "ExcelOutput/TalkSentenceConfig.json",
        "line": row["line"],
        "speaker_id": str(TAILOR),
        "only": None,
    }
    lines = json.loads((Path(os.environ["CYRENE_GAME_DATA"]) / row["file"]).read_text())
    assert lines[row["line"] - 1]["TalkSentenceID"] == 100001002


def test_scenes_are_those_of_the_speakers_in_the_order_of_ids(corpus: Corpus) -> None:
    rows = _rows(corpus, "en", "dialog")
    assert [int(row["unit"]) for row in rows] == sorted(int(row["unit"]) for row in rows)
    scenes = list(dict.fromkeys(row["scene"] for row in rows))
    assert scenes == [
        *(f"talk:{100000 + n}" for n in (1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13)),
        *("talk:504119:0", "talk:504119:1"),
    ]
    for scene in scenes:
        orders = [row["order"] for row in rows if row["scene"] == scene]
        assert orders == list(range(len(orders)))
    # Its only speaker is silent there.
    assert "talk:100011" not in {row["scene"] for row in _rows(corpus, "kr")}


def test_who_speaks(corpus: Corpus) -> None:
    people = {row["unit"]: (row["speaker"], row["role"]) for row in _rows(corpus, "en")}
    assert people["100001001"] == ("FelysNeko", "player")
    assert people["100001003"] == ("Cyrene", "character")
    assert people["100001005"] == ("{NICKNAME}", "player")
    assert people["100002002"] == ("Voice Behind The Door", "character")
    # A name that the language does not have, or that is empty there, is the player's.
    assert people["100008005"] == ("FelysNeko", "other")
    for language in ("de", "fr"):
        rows = {row["unit"]: row for row in _rows(corpus, language)}
        assert (rows["100001002"]["speaker"], rows["100001002"]["role"]) == ("FelysNeko", "other")


def test_her_own_name_is_the_corpuss_where_the_game_has_none(
    corpus: Corpus, made: Callable[..., Path]
) -> None:
    made(lambda game: game.texts["jp"].pop(CYRENE))
    [row] = [row for row in _rows(corpus, "jp") if row["unit"] == "100001003"]
    assert (row["speaker"], row["role"]) == ("キュレネ", "character")


def test_units_are_the_same_in_all_languages(corpus: Corpus) -> None:
    units = {language: _units(corpus, language) for language in LANGUAGES}
    assert len(set(units["en"])) == len(units["en"])
    for language in LANGUAGES:
        missing = set(units["en"]) - set(units[language])
        lacking = {"fr": {"100011001"}, "kr": {"100011001", "100011002", "100011003"}}
        assert missing == lacking.get(language, set())
        assert not set(units[language]) - set(units["en"])


def test_joins(corpus: Corpus) -> None:
    texts = {row["unit"]: row["text"] for row in _rows(corpus)}
    assert texts["100010001"] == "Joined: first joined and second joined."
    assert texts["100010002"] == "Nested: inside {TEXTJOIN#1}."
    assert texts["100010003"] == "Nothing: {TEXTJOIN#4} {TEXTJOIN#99}."
    assert ("Grey Water", "Look for second joined.") in _texts(corpus, "term")


def test_books(corpus: Corpus) -> None:
    water = "Water comes.\n\n  <b>Water</b> goes.  \\nIt {SPACE} stays.\n\u00a0Indented.\n<i></i>"
    assert _texts(corpus, "book") == [
        ("On Tides", f"Found in a bottle.\nVolume One\n{water}"),
        ("On Tides", "Found in a bottle.\nVolume Two\nWater remembers."),
        ("On Salt", "Salt\nWhite and {NICKNAME}'s."),
    ]
    assert _texts(corpus, "book", "es")[1][1].startswith(translated("Volume Two", "es"))
    assert all(unit.startswith(("book:1:", "book:2:")) for unit in _units(corpus, "en", "book"))


def test_stories_and_what_takes_their_place(corpus: Corpus) -> None:
    assert _units(corpus, "en", "story") == ["story:1402", "story:1415"]
    assert _texts(corpus, "story") == [
        ("Tailor of Thread", "The tailor's story, told again."),
        ("Cyrene", "First story.\nWhat takes the place of the second."),
    ]
    assert _texts(corpus, "story", "jp")[1][0] == HER_NAME["jp"]


def test_voices(corpus: Corpus) -> None:
    rows = _rows(corpus, "en", "voice")
    assert [(row["scene"], row["order"], row["speaker"], row["role"]) for row in rows[:3]] == [
        ("voice:1402", 0, "FelysNeko", "player"),
        ("voice:1402", 1, "Tailor of Thread", "other"),
        ("voice:1415", 0, "FelysNeko", "player"),
    ]
    said = [row["text"] for row in rows if row["role"] == "character"]
    assert said == [
        "(softly) Until <i>then</i>.",
        "There you are, {NICKNAME}.",
        "This one comes last.",
    ]


def test_terms_and_quests(corpus: Corpus) -> None:
    assert _texts(corpus, "term")[0] == ("Golden Thread", "It binds.\nIt breaks.")
    reach = "Reach the mill\nIt is not far.\nGo."
    steps = f"{reach}\nReach the mill\nIt is near.\n{reach}"
    mill = f"The mill turned.\nAnd stopped.\nLeave the house\nThe door is open.\n{steps}"
    assert _texts(corpus, "quest") == [
        ("The Mill", mill),
        ("The Well", "It ended well.\nDraw water\nTwo buckets."),
        ("The Feast", "A feast was held."),
    ]
    assert _texts(corpus, "quest", "pt")[1][0] is None
    assert "Draw" not in _texts(corpus, "quest", "id")[1][1]
    assert translated("open", "ru") not in _texts(corpus, "quest", "ru")[0][1]


def test_mails_chronicles_and_wiki(corpus: Corpus) -> None:
    assert _texts(corpus, "mail") == [
        ("A Note", "From the mill\nTo you\nDear {NICKNAME},\nbring rope.\nAnd bread."),
        ("A Second Note", "From the well\nTo nobody\nNo more of this."),
    ]
    assert _texts(corpus, "chronicle") == [
        (None, "The first day.\nIt was long.\nThe second day."),
        (None, "Another age."),
    ]
    stream = "Mill Stream\nIt runs.\nIt {Img#9} sings."
    mill = "New Mill\nIt was rebuilt.\nWheel\nRound.\nMillstone\nFlat, and cracked."
    assert _texts(corpus, "wiki") == [(None, f"{stream}\n{mill}"), (None, "Well\nDeep.")]
    for kind, ids in (("mail", "13"), ("chronicle", "12"), ("wiki", "34")):
        assert _units(corpus, "en", kind) == [f"{kind}:{number}" for number in ids]


def test_everything_is_selected_where_nothing_is_said() -> None:
    corpus = _changed(select={})
    assert {"talk:100003", "talk:504119:2"} < {row["scene"] for row in _rows(corpus)}
    assert len(_texts(corpus, "book")) == 4
    assert _units(corpus, "en", "story") == ["story:1001", "story:1402", "story:1415"]
    assert [title for title, _ in _texts(corpus, "quest")][1] == "The Other"


def test_nothing_is_selected_by_an_empty_list() -> None:
    nothing = _changed(select={"speakers": [], "avatars": [], "worlds": [], "quests": []})
    assert {row["kind"] for row in _rows(nothing)} == {"term", "mail", "chronicle", "wiki"}


def test_kinds_that_are_not_wanted_need_no_files(made: Callable[..., Path]) -> None:
    root = made()
    for name in ("TarotMailbox", "TarotMails", "VoiceAtlas"):
        (root / "ExcelOutput" / f"{name}.json").unlink()
    corpus = _changed(kinds=["dialog", "story", "wiki"])
    assert {row["kind"] for row in _rows(corpus)} == {"dialog", "story", "wiki"}
    assert _problems(load_corpus(SHIPPED)) == [
        "ExcelOutput/TarotMailbox.json: no such file; complete the folder, or take mail off "
        "`source.kinds` in corpus.yaml",
        "ExcelOutput/TarotMails.json: no such file; complete the folder, or take mail off "
        "`source.kinds` in corpus.yaml",
        "ExcelOutput/VoiceAtlas.json: no such file; complete the folder, or take voice off "
        "`source.kinds` in corpus.yaml",
    ]


def test_scenes_that_are_cut_finer_are_the_corpuss_choice() -> None:
    scenes = {row["scene"] for row in _rows(_changed(fine_scenes=[100001]))}
    assert {"talk:504119", "talk:100001:0"} < scenes


def test_a_number_that_nothing_belongs_to_is_listed() -> None:
    select = {"speakers": [CYRENE, 12345], "avatars": [1415, 9], "worlds": [5, 6], "quests": [7]}
    corpus = _changed(select=select, character={"names": [SPRITE], "avatars": [1415]})
    assert [line for line in _skipped(corpus) if line.startswith("corpus.yaml")] == [
        f"corpus.yaml: source.{key}: nothing belongs to {number}; correct the number, or remove it"
        for key, number in (
            ("select.speakers", 12345),
            ("select.avatars", 9),
            ("select.worlds", 6),
            ("select.quests", 7),
        )
    ]


def test_what_is_wrong_with_entries_is_left_out_and_listed(made: Callable[..., Path]) -> None:
    made(base=broken())
    corpus = load_corpus(SHIPPED)
    listed = [line.partition(";")[0] for line in _skipped(corpus)]
    talk, tables = "ExcelOutput/TalkSentenceConfig.json", "ExcelOutput/"
    for line in (
        f"{talk}:2: skipped in an entry (2): a line without a TalkSentenceID",
        f"{talk}:1: skipped in 2 entries (1, 3): a line without a text in this language",
        f"{talk}:68: skipped in an entry (68): a second line under a TalkSentenceID",
        f"{tables}LocalbookConfig.json:5: skipped in an entry (5): a text that TextMapEN does not "
        "have",
        f"{tables}LocalbookConfig.json:7: skipped in an entry (7): no `BookSeriesID`",
        f"{tables}LocalbookConfig.json:6: skipped in an entry (6): its BookSeriesID is not in "
        "BookSeriesConfig",
        f"{tables}BookSeriesConfig.json:4: skipped in an entry (4): no `BookSeriesWorld`",
        f"{tables}StoryAtlas.json:8: skipped in an entry (8): no `Story`",
        f"{tables}StoryAtlas.json:7: skipped in an entry (7): the avatar's name (there is none)",
        f"{tables}VoiceAtlas.json:6: skipped in an entry (6): the voice of an avatar without a "
        "name",
        f"{tables}NounAtlas.json:4: skipped in an entry (4): no `NounTitle` and `NounDesc`",
        f"{tables}NounAtlas.json:3: skipped in an entry (3): a document of nothing but titles",
        f"{tables}ChronicleConclusion.json:5: skipped in 2 entries (5, 6): the mission's name "
        "(there is none)",
        f"{tables}TarotMailbox.json:3: skipped in an entry (3): a sentence that is not in "
        "TarotMails",
        f"{tables}TarotWikiData.json:4: skipped in an entry (4): a change that is not in "
        "TarotWikiChangeinfo",
        f"{tables}TarotWikiData.json:4: skipped in an entry (4): an entry that is not in "
        "TarotWikiSubdata",
    ):
        assert line in listed
    texts = {row["unit"]: (row["title"], row["text"]) for row in _rows(corpus)}
    assert texts["100014001"][1] == "Twice under one id."
    assert texts["story:1403"] == (None, "A story of nobody.")
    assert texts["story:1415"][1].startswith("First story.")
    assert texts["quest:1040002"] == (None, "A quest without a name.")
    assert texts["wiki:4"][1] == "Well\nDeep.\nPond\nStill."
    assert ("Large", "64 bits.") in texts.values()
    assert ("On Salt", "A book without a name.") in texts.values()
    assert "quest:1040003" not in texts
    assert "chronicle:3" not in texts


def _first(game: Game, table: str, **fields: Any) -> None:
    game.tables[table][0] |= fields


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda game: _first(game, "StoryAtlas", AvatarID="1415"),
            "ExcelOutput/StoryAtlas.json:1: expected `int`, got `str` - at `$[0].AvatarID`;",
        ),
        (
            lambda game: _first(game, "StoryAtlas", Story={"Hash": True}),
            "StoryAtlas.json:1: expected `int | null`, got `bool` - at `$[0].Story.Hash`;",
        ),
        (
            lambda game: _first(game, "TalkSentenceConfig", TalkSentenceID=10**30),
            "ExcelOutput/TalkSentenceConfig.json:1: ",
        ),
        (
            lambda game: game.tables["NounAtlas"].insert(1, []),
            "NounAtlas.json:2: expected `object`",
        ),
        (lambda game: game.tables.update(NounAtlas={}), "NounAtlas.json: expected `array`"),
        (
            lambda game: game.texts.pop("en"),
            "TextMap/TextMapEN.json: no such file, and no TextMapEN",
        ),
        (lambda game: game.texts.update(en={}), "TextMap/TextMapEN.json: there is no text in it;"),
        (
            lambda game: game.texts["en"].update({5: 6}),
            "TextMapEN.json: the text of hash 5 is none",
        ),
        (lambda game: game.texts["en"].update(x="y"), "TextMap/TextMapEN.json: 'x' is no hash;"),
        (lambda game: game.texts.update(en=[]), "TextMap/TextMapEN.json: expected `object`"),
    ],
)
def test_problems_name_file_and_entry(
    corpus: Corpus, made: Callable[..., Path], change: Callable[[Game], object], message: str
) -> None:
    made(change)
    [problem] = _problems(corpus)
    assert message in problem


TABLE, TEXTS = "ExcelOutput/NounAtlas.json", "TextMap/TextMapEN.json"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (TABLE, b"", "not valid JSON (input data was truncated); fetch or copy the file again"),
        (TABLE, b'[{"NounTitle": ', "not valid JSON (input data was truncated)"),
        (TABLE, b'[{"NounTitle": {"Hash": 1}}, ?]', "not valid JSON (invalid"),
        (TABLE, '[{"x": "y"}]'.encode("utf-16"), "not UTF-8 at byte 0; save it as UTF-8"),
        (TABLE, b'[{"x": ' + b"[" * 100_000, "nested too deep"),
        (TABLE, b"\x00" * 100, "not valid JSON"),
        (TEXTS, b"", "not valid JSON (input data was truncated); fetch or copy the file again"),
        (TEXTS, b'{"5": "te', "not valid JSON (input data was truncated)"),
        (TEXTS, b'{"5": "t\x00"}', "not valid JSON (invalid character"),
        (TEXTS, b'{"5": "\\ud800"}', "not valid JSON"),
        (TEXTS, '{"5": "é"}'.encode("latin-1"), "not UTF-8 at byte 7; save it as UTF-8"),
        (TEXTS, '{"5": "x"}'.encode("utf-16"), "not UTF-8 at byte 0"),
        (TEXTS, b'{"5": ' + b"[" * 100_000, "expected `str`, got `array`"),
    ],
)
def test_files_that_are_no_json(
    corpus: Corpus, made: Callable[..., Path], name: str, content: bytes, message: str
) -> None:
    root = made()
    (root / name).write_bytes(content)
    [problem] = _problems(corpus)
    assert problem.startswith(f"{name}: {message}")


def test_problems_of_all_tables_at_once(corpus: Corpus, made: Callable[..., Path]) -> None:
    root = made()
    for name in ("NounAtlas", "StoryAtlas"):
        (root / "ExcelOutput" / f"{name}.json").write_bytes(b"?")
    (root / "ExcelOutput" / "TarotMails.json").unlink()
    (root / "ExcelOutput" / "TarotMails.json").mkdir()
    assert [problem.split(":")[0] for problem in _problems(corpus)] == [
        f"ExcelOutput/{name}.json" for name in ("StoryAtlas", "NounAtlas", "TarotMails")
    ]


def test_a_field_that_stands_twice_is_refused(corpus: Corpus, made: Callable[..., Path]) -> None:
    path = made() / "ExcelOutput" / "NounAtlas.json"
    entries = path.read_text(encoding="utf-8")
    path.write_text(entries.replace('"NounDesc": ', '"NounDesc": {"Hash": 1}, "NounDesc": ', 1))
    assert _problems(corpus) == [
        "ExcelOutput/NounAtlas.json:1: `NounDesc` stands twice in one entry; keep one of them"
    ]
    # A field whose name is said more often for another reason is none.
    path.write_text(entries.replace('"NounDesc": {', '"Note": "\\"NounDesc\\"", "NounDesc": {', 1))
    assert _rows(corpus, "en", "term")


def test_what_is_no_file_of_the_folders_own_is_refused(
    corpus: Corpus, made: Callable[..., Path], tmp_path: Path
) -> None:
    root = made()
    (root / "TextMap" / "TextMapEN.json").rename(tmp_path / "elsewhere.json")
    (root / "TextMap" / "TextMapEN.json").symlink_to(tmp_path / "elsewhere.json")
    message = "TextMap/TextMapEN.json: cannot be read: it is a link out of the folder; put the file"
    assert _problems(corpus)[0].startswith(message)
    with pytest.raises(SourceError, match="a link out of the folder"):
        raw_digest(SHIPPED, corpus, "en")
    (root / "ExcelOutput" / "NounAtlas.json").unlink()
    os.mkfifo(root / "ExcelOutput" / "NounAtlas.json")
    [problem] = _problems(corpus, "de")
    assert "NounAtlas.json: cannot be read: it is a pipe, socket or device, not a file" in problem
    (root / "ExcelOutput").rename(tmp_path / "game-tables")
    (tmp_path / "linked").symlink_to(root)
    with pytest.raises(SourceError, match="no such file"):
        read_listed(SHIPPED, _changed(folder=str(tmp_path / "linked")), "de")


def test_a_folder_may_be_a_link(corpus: Corpus, made: Callable[..., Path], tmp_path: Path) -> None:
    made()
    (tmp_path / "linked").symlink_to(tmp_path / "game")
    linked = _changed(folder=str(tmp_path / "linked"))
    assert _rows(linked) == _rows(corpus)
    assert raw_digest(SHIPPED, linked, "en") == raw_digest(SHIPPED, corpus, "en")


def test_speakers_whose_name_the_language_lacks_are_listed(corpus: Corpus) -> None:
    said = "a speaker whose name this language does not have (the player's is put there)"
    [line] = [line for line in _skipped(corpus) if said in line]
    rows = {row["unit"]: row["line"] for row in _rows(corpus)}
    assert f"skipped in an entry ({rows['100008005']}): {said}; complete" in line
    [line] = [line for line in _skipped(corpus, "de") if said in line]
    assert "skipped in 4 entries" in line  # The tailor has no name in German.


def test_a_byte_order_mark_is_no_matter(corpus: Corpus, made: Callable[..., Path]) -> None:
    path = made() / "TextMap" / "TextMapEN.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert _rows(corpus)


def test_parts_of_a_text_map(corpus: Corpus, made: Callable[..., Path]) -> None:
    root = made()
    maps = root / "TextMap"
    whole = _rows(corpus, "th")
    (maps / "TextMapTH_3.json").write_text('{"1": "more"}')
    assert _rows(corpus, "th") == whole
    assert maps / "TextMapTH_3.json" in files(SHIPPED, corpus, "th")
    (maps / "TextMapTH_1.json").unlink()
    message = "TextMap/TextMapTH_1.json: no such file, though there is TextMapTH_3.json; complete"
    assert _problems(corpus, "th")[0].startswith(message)
    # A complete file goes before parts.
    (maps / "TextMapEN_0.json").write_text("?")
    assert _rows(corpus, "en")


def test_two_texts_of_one_hash_are_listed_and_the_later_counts(
    corpus: Corpus, made: Callable[..., Path]
) -> None:
    path = made() / "TextMap" / "TextMapEN.json"
    text = path.read_text(encoding="utf-8").rstrip("}\n ")
    quoted = json.dumps('a text with "7": in it')
    path.write_text(f'{text}, "{CYRENE}": "Twin", "8": {quoted}, "7": "x"}}', encoding="utf-8")
    [line] = [line for line in _skipped(corpus) if "TextMapEN.json" in line]
    assert line == (
        "TextMap/TextMapEN.json: skipped: the earlier text of a hash that has two "
        f"({CYRENE}); keep one of them"
    )
    people = {row["unit"]: row["speaker"] for row in _rows(corpus)}
    assert people["100001003"] == "Twin"


def test_texts_with_nul_characters_are_left_out(corpus: Corpus, made: Callable[..., Path]) -> None:
    made(lambda game: game.text("a\0b", SCRIBE))
    line = f"TextMap/TextMapEN.json: skipped: texts with a NUL character (of hash {SCRIBE}); remove"
    assert any(listed.startswith(line) for listed in _skipped(corpus))
    assert {row["speaker"] for row in _rows(corpus) if row["unit"] == "100001007"} == {"FelysNeko"}


def test_a_text_with_a_line_of_5_mb_is_left_out(corpus: Corpus, made: Callable[..., Path]) -> None:
    def change(game: Game) -> None:
        game.texts["en"] |= {9: "water " * 900_000, 10: "water\\n" * 900_000}
        game.scene(100015001, (CYRENE, {"Hash": 9}), (CYRENE, {"Hash": 10}))

    made(change)
    rows, left_out = read_listed(SHIPPED, corpus, "en")
    assert rows["text"].str.len_chars().max() == 6_300_000
    line = "TextMap/TextMapEN.json: skipped: texts with a line over 100,000 characters (of hash 9)"
    assert any(str(listed).startswith(line) for listed in left_out)
    assert "100015001" not in set(rows["unit"])


def test_the_folder_is_the_environments(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CYRENE_GAME_DATA")
    assert _problems(corpus) == [
        "corpus.yaml: source.folder: the environment variable CYRENE_GAME_DATA is not set; set it "
        "to the game-data folder (the one with TextMap and ExcelOutput)"
    ]
    monkeypatch.setenv("CYRENE_GAME_DATA", "/nowhere")
    [problem] = _problems(corpus)
    assert "source.folder: ${CYRENE_GAME_DATA} is no folder (/nowhere); give" in problem
    report = lint(SHIPPED)
    assert not report.ok
    assert "is no folder" in str(report.errors[0])


def test_the_digest_follows_the_languages_files_alone(
    corpus: Corpus, made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = made()
    before = {language: raw_digest(SHIPPED, corpus, language) for language in ("en", "th")}
    path = root / "TextMap" / "TextMapEN.json"
    path.write_text(path.read_text(encoding="utf-8").replace("Sit", "Stand"), encoding="utf-8")
    assert raw_digest(SHIPPED, corpus, "th") == before["th"]
    assert raw_digest(SHIPPED, corpus, "en") != before["en"]
    root.rename(tmp_path / "moved")
    monkeypatch.setenv("CYRENE_GAME_DATA", str(tmp_path / "moved"))
    assert raw_digest(SHIPPED, corpus, "th") == before["th"]
    with pytest.raises(SourceError, match=r"TextMapXX.json: no such file"):
        files(SHIPPED, Corpus.model_validate(_two_languages()), "xx")


def _two_languages() -> Entry:
    config: Entry = yaml.safe_load((SHIPPED / "corpus.yaml").read_text(encoding="utf-8"))
    languages = config["languages"]
    config["languages"] = {"en": languages["en"], "xx": languages["de"]}
    return config


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"folder": ""}, "folder"),
        ({"character": {"names": []}}, "character.names"),
        ({"select": {"speaker": [1]}}, "select.speaker"),
        ({"select": {"speakers": [1 << 64]}}, "select.speakers.0"),
        ({"kinds": ["song"]}, "kinds.0"),
        ({"root": "x"}, "root"),
    ],
)
def test_options(source: Entry, key: str) -> None:
    with pytest.raises(ValidationError) as error:
        _changed(**source)
    [problem] = error.value.errors()
    assert ".".join(map(str, problem["loc"])) == f"source.{key}"


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hostname", "more/../../outside", "linked", "linked/a.md", "a\0b"]
)
def test_no_vendor_leads_out_of_the_folder(made: Callable[..., Path], name: str) -> None:
    root = made()
    outside = root.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "a.md").write_text("not the corpus's own")
    (root / "linked").symlink_to(outside)
    [problem] = _problems(_changed(vendor={"en": [name]}))
    assert problem.startswith("corpus.yaml: source.vendor: ")
    assert "leads out of" in problem


def test_no_secret_becomes_a_folder(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages name the folder."""
    made()
    for name in ("HF_TOKEN", "WANDB_API_KEY", "MY_PASSWORD"):
        monkeypatch.setenv(name, "hidden")
        for named in (f"${name}", f"/data/${{{name}}}/x"):
            [problem] = _problems(_changed(folder=named))
            assert f"the environment variable {name} looks like a secret" in problem
            assert "hidden" not in problem


def test_pages_and_instructions_of_a_vendor(made: Callable[..., Path]) -> None:
    root = made()
    (root / "more").mkdir()
    (root / "more" / "mill.md").write_text("# The Mill\n\n  It <b>turns</b>, {NICKNAME}.\n")
    (root / "more" / "nul.txt").write_text("a\0b")
    (root / "more" / "picture.png").write_bytes(b"\xff")
    code = "def add(a, b):\\n    return a + b  # vector<int> {}"
    lines = [{"instruction": "Add.", "input": "", "output": code, "score": 1}]
    (root / "more" / "tasks.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines * 2))
    corpus = _changed(vendor={"en": ["more", "nowhere"]})
    rows = _rows(corpus, "en", "vendor", "instruction")
    assert [(row["unit"].split(":")[:2], row["line"]) for row in rows] == [
        (["vendor", "mill"], 1),
        (["instruction", "tasks"], 1),
        (["instruction", "tasks"], 2),
    ]
    assert rows[2]["unit"] == f"{rows[1]['unit']}#2"
    assert [row["file"] for row in rows[:2]] == ["more/mill.md", "more/tasks.jsonl"]
    assert not _rows(corpus, "de", "vendor")
    listed = _skipped(corpus)
    assert "more/nul.txt: skipped: a page with NUL characters; remove them" in listed
    assert any("source.vendor names nowhere, and there is no such file" in x for x in listed)
    parallel = _parallel(corpus, "en")
    documents = cpt_documents(parallel, corpus, "en").filter(
        pl.col("kind").is_in(["vendor", "instruction"])
    )
    assert documents["text"].to_list() == [
        "# The Mill\nIt turns, FelysNeko.",
        "Add.\ndef add(a, b):\n    return a + b  # vector<int> {}",
    ]
    (root / "more" / "tasks.jsonl").write_text('{"input": ""}\n\n{"output": 1}\n')
    [problem] = _problems(corpus)
    assert problem.startswith("more/tasks.jsonl:3: expected `str`, got `int` - at `$.output`")
    (root / "more" / "mill.md").write_bytes(b"\xff")
    [problem] = _problems(corpus)
    assert problem == "more/mill.md: not UTF-8 at byte 0; save it as UTF-8"


def _parallel(corpus: Corpus, language: str) -> pl.DataFrame:
    alone = corpus.model_copy(update={"languages": {language: corpus.languages[language]}})
    with tempfile.TemporaryDirectory() as folder:
        read = partial(read_raw, SHIPPED, corpus)
        return build_parallel_corpus(read, alone, Path(folder)).units(language)


@pytest.mark.parametrize(("language", "colon"), [("en", ": "), ("chs", "\uff1a")])
def test_documents_as_they_are_trained_on(corpus: Corpus, language: str, colon: str) -> None:
    documents = cpt_documents(_parallel(corpus, language), corpus, language)
    player = corpus.languages[language].player
    her = corpus.languages[language].character

    def line(name: str, text: str) -> str:
        return f"{name}{colon}{translated(text, language)}"

    texts = dict(documents.select("document", "text").rows())
    assert texts["voice:1415"].split("\n") == [
        line(player, "Parting"),
        line(her, "(softly) Until then."),
        line(player, "Greeting"),
        line(her, "There you are, {NICKNAME}.").replace("{NICKNAME}", player),
        line(player, "Unsorted"),
        line(her, "This one comes last."),
    ]
    assert texts["talk:100009"].split("\n") == [
        line(player, "Word and picture."),
        line(translated("Tailor", language), "<Tap> it.").replace("<Tap>", "Tap"),
        line(her, "One blank, <she> said, 3 times.").replace("<she>", "she"),
        line(her, "{大地獣, ネクタール, 数学} stays."),
        line(her, "One"),
        *(translated(text, language) for text in ("break and", "another.")),
    ]


def test_chats_as_they_are_trained_on(corpus: Corpus) -> None:
    chats = sft_chats(_parallel(corpus, "en"), corpus, "en")
    said = {
        (scene, name): [(m["role"], m["content"]) for m in messages]
        for scene, name, messages in chats.select("chat", "speaker", "messages").rows()
    }
    prompt = ("system", corpus.languages["en"].system_prompt)
    assert said["talk:100001/Cyrene", "Cyrene"] == [
        prompt,
        ("user", "Is the lantern lit, FelysNeko asked.\n(She nods.)"),
        ("assistant", "It is, and it will be.\nSit with me."),
        ("user", "I will, for a while."),
        ("assistant", "(smiling) For a while, then (or longer)."),
    ]
    # A name that the language lacks reads as the player's, but is not: it goes into parentheses.
    assert said["talk:100008/Cyrene", "Cyrene"][3] == ("user", "(A name that no language has.)")
    voices = [messages for (chat, _), messages in said.items() if chat.startswith("voice:")]
    assert [prompt, ("user", "Greeting"), ("assistant", "There you are, FelysNeko.")] in voices
    assert len(voices) == 3
    assert {scene for scene in chats["scene"] if scene.startswith("voice:")} == {"voice:1415"}


def test_loading_the_configuration_is_light() -> None:
    code = (
        "import sys; from pathlib import Path; from cyrene_assets.corpus import config\n"
        "config.load_corpus(Path(sys.argv[1])); print(*{'polars', 'numpy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(SHIPPED)]
    root = SHIPPED.parents[1]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_the_shipped_configuration_is_sound(corpus: Corpus) -> None:
    assert list(corpus.languages) == list(LANGUAGES)
    assert {corpus.languages[code].player for code in LANGUAGES} == {"银河猫猫侠", "FelysNeko"}
    report = lint(SHIPPED)
    assert report.ok
    unknown = [str(w) for w in report.warnings if "unknown placeholder" in str(w)]
    assert any("{AETHER#7} in 100009005" in warning for warning in unknown)
    for token in ("{TEXTJOIN#4}", "{TEXTJOIN#99}"):
        assert any(f"{token} in 100010003" in warning for warning in unknown)
    assert any("skipped in an entry (2): a line without a TalkSentenceID" in str(w)
               for w in report.warnings)  # fmt: skip


def _used(corpus: Corpus) -> dict[str, set[str | None]]:
    """Return what the lines of each scene are for."""
    used: dict[str, set[str | None]] = {}
    for row in _rows(corpus, "en", "dialog"):
        used.setdefault(row["scene"], set()).add(row.get("only"))
    return used


def test_chats_have_a_selection_of_their_own() -> None:
    alone = _used(_changed(select={"speakers": [TAILOR]}))
    assert set().union(*alone.values()) == {None}
    both = _used(_changed(select={"speakers": [TAILOR], "chats": {"speakers": "character"}}))
    of_names = _used(
        _changed(
            select={
                "speakers": yaml.safe_load((SHIPPED / "corpus.yaml").read_text("utf-8"))["source"][
                    "character"
                ]["names"]
            }
        )
    )
    for scene in both.keys() | alone.keys() | of_names.keys():
        expected = {
            (True, True): None,
            (True, False): "documents",
            (False, True): "chats",
        }[scene in alone, scene in of_names]
        assert both[scene] == {expected}, scene
    assert {"chats", None} <= set().union(*both.values())
    listed = _used(_changed(select={"speakers": [TAILOR], "chats": {"speakers": [SCRIBE]}}))
    assert listed.keys() >= alone.keys()
    assert any(found == {"documents"} for found in listed.values())


def test_voices_have_a_selection_of_their_own_for_chats() -> None:
    def voices(**select: Any) -> dict[str, set[str | None]]:
        found: dict[str, set[str | None]] = {}
        for row in _rows(_changed(select=select), "en", "voice"):
            found.setdefault(row["scene"], set()).add(row.get("only"))
        return found

    everybody = voices()
    avatars = [int(scene.removeprefix("voice:")) for scene in everybody]
    assert len(avatars) > 1
    first, *others = avatars
    found = voices(avatars=[first], chats={"avatars": others})
    assert found[f"voice:{first}"] == {"documents"}
    assert all(found[f"voice:{other}"] == {"chats"} for other in others)


def test_a_speaker_of_chats_that_nobody_is_called_is_reported() -> None:
    corpus = _changed(select={"chats": {"speakers": [12345]}})
    assert any("source.select.chats.speakers" in problem for problem in _skipped(corpus))
    with pytest.raises(ValueError, match=r"select\.chats\.speakers"):
        _changed(select={"chats": {"speakers": "nobody"}})
