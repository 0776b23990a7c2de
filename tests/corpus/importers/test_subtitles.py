from pathlib import Path

import pytest

from cyrene_assets.corpus.importers.imported import ImportHints
from cyrene_assets.utils.errors import UserError

from .importing import bring, write

SRT_EN = """1
00:00:01,000 --> 00:00:02,500
ADA: <i>Who</i> goes there?

2
00:00:03,000 --> 00:00:05,000
BOB: It is me,
with the goats.

3
00:00:40,000 --> 00:00:42,000
(Rain falls.)

4
00:00:43,000 --> 00:00:44,000
ADA: Come in.
"""
SRT_DE = """1
00:00:01,200 --> 00:00:02,600
Wer ist da?

2
00:00:03,100 --> 00:00:04,000
Ich bin es,

3
00:00:04,100 --> 00:00:05,000
mit den Ziegen.

4
00:00:43,100 --> 00:00:44,500
Komm herein.
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,20,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,2,2,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Ada,0,0,0,,{\\i1}Who{\\i0} goes\\Nthere?
Comment: 0,0:00:02.00,0:00:02.50,Default,,0,0,0,,checked by nobody
Dialogue: 0,0:00:02.60,0:00:02.90,Default,sign,0,0,0,,{\\p1}m 0 0 l 10 0 10 10{\\p0}
Dialogue: 0,0:00:03.00,0:00:05.00,Default,Bob,0,0,0,,It is me, with the goats: all of them.
"""  # noqa: E501


def test_read_srt_translations_share_ids_by_time(tmp_path: Path) -> None:
    write(tmp_path / "in" / "ep1.en.srt", SRT_EN)
    write(tmp_path / "in" / "ep1.de.srt", SRT_DE)
    done = bring(
        "subtitles", tmp_path / "in", tmp_path / "out", character=("ADA",), players=("BOB",)
    )
    assert done.rows["en"] == [
        ("ep1-001", "ep1-0001", "ADA", "Who goes there?"),
        ("ep1-001", "ep1-0002", "BOB", "It is me,\nwith the goats."),
        ("ep1-002", "ep1-0003", None, "(Rain falls.)"),
        ("ep1-002", "ep1-0004", "ADA", "Come in."),
    ]
    assert done.rows["de"] == [
        ("ep1-001", "ep1-0001", "ADA", "Wer ist da?"),
        ("ep1-001", "ep1-0002", "BOB", "Ich bin es,"),
        ("ep1-001", "ep1-de-0003", None, "mit den Ziegen."),
        ("ep1-002", "ep1-0004", "ADA", "Komm herein."),
    ]
    kept = "events of de that the original has no line for (kept)"
    assert done.report.imported.tally.read[kept] == 1


def test_read_ass_takes_actors_and_counts_what_is_no_line(tmp_path: Path) -> None:
    path = write(tmp_path / "ep1.ass", ASS)
    done = bring("subtitles", path, tmp_path / "out", hints=ImportHints(language="en"))
    assert done.said["en"] == [
        ("Ada", "Who goes\nthere?"),
        ("Bob", "It is me, with the goats: all of them."),
    ]
    assert done.skipped == {"a comment": 1, "a drawing": 1}


def test_read_scene_gap_says_what_a_pause_is(tmp_path: Path) -> None:
    path = write(tmp_path / "ep1.en.srt", SRT_EN)
    done = bring("subtitles", path, tmp_path / "out", character=("ADA",), scene_gap=60.0)
    assert {row[0] for row in done.rows["en"]} == {"ep1-001"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.en.srt", "just text\n", "no srt event was found"),
        ("a.en.ass", "[Events]\nnonsense", "ass event was found"),
        ("a.en.srt", SRT_DE.replace("Wer", "Who"), "no line says who speaks"),
    ],
)
def test_read_what_cannot_be_used_is_one_message(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    with pytest.raises(UserError) as error:
        bring("subtitles", write(tmp_path / name, text), tmp_path / "out")
    [message] = str(error.value).splitlines()
    assert said in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_read_encodings_are_read_or_named(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.de.srt", SRT_EN.replace("goes", "gräbt"), encoding)
    if encoding.startswith(("utf-8", "utf-16")):
        done = bring("subtitles", path, tmp_path / "out", character=("ADA",))
        assert done.said["de"][0] == ("ADA", "Who gräbt there?")
        return
    with pytest.raises(UserError, match=r"not UTF-8 .*; save it as UTF-8"):
        bring("subtitles", path, tmp_path / "out", character=("ADA",))


def test_read_times_that_are_none_are_counted_or_refused(tmp_path: Path) -> None:
    srt = SRT_EN.replace("00:00:43,000 -->", "00:00 -->")
    done = bring("subtitles", write(tmp_path / "a.en.srt", srt), tmp_path / "a", character=("ADA",))
    assert done.skipped == {"an event that cannot be read": 1}
    path = write(tmp_path / "b.en.ass", ASS.replace("0:00:03.00", "nonsense"))
    with pytest.raises(UserError, match="Failed to parse timestamp: 'nonsense'"):
        bring("subtitles", path, tmp_path / "b")


def test_read_two_files_of_one_language_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "in" / "ep1.en.srt", SRT_EN)
    write(tmp_path / "in" / "ep1_en.srt", SRT_EN)
    with pytest.raises(UserError, match="has subtitles in en already"):
        bring("subtitles", tmp_path / "in", tmp_path / "out", character=("ADA",))
