from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from cyrene_assets.corpus.importers.imported import ImportHints
from cyrene_assets.utils.errors import UserError

from .importing import bring, write

YARN = "language,id,text,file,node,lineNumber,lock,comment\n"
YARN_EN = YARN + (
    'en-US,line:0a1,"Ada: Good morning, {0}.",Assets/Start.yarn,Start,4,1c2d3e4f,\n'
    "en-US,line:0a2,Bob: Morning already?,Assets/Start.yarn,Start,5,1c2d3e4f,Line metadata: low\n"
    "en-US,line:0a3,The kettle sings.,Assets/Start.yarn,Start,6,1c2d3e4f,\n"
    'en-US,line:0a4,"Ada: ""Nobody"" sleeps: the cat, too.",Assets/Shop.yarn,Shop,3,1c2d3e4f,\n'
)
YARN_DE = YARN + (
    "de,line:0a2,Bob: Schon Morgen?,Assets/Start.yarn,Start,5,1c2d3e4f,\n"
    'de,line:0a1,"Ada: Guten Morgen, {0}.",Assets/Start.yarn,Start,4,1c2d3e4f,\n'
    "de,line:0a3,,Assets/Start.yarn,Start,6,1c2d3e4f,\n"
)
INK = (
    "ID,Text\n"
    'demo_Start_LH5B,"Ada: This is my ""ink"" file, Bob."\n'
    'demo_Start_TL0V,"Bob: What do you think of it?"\n'
    'demo_Start_Stitch1_C9A9,"Ada: Oh well, that is great!"\n'
)
SHEET: list[list[Any]] = [
    ["Scene", "ID", "Character", "English", "Deutsch (de)", "Notes"],
    ["1", "a", "Ada", "It is late.", "Es ist spät.", "calm"],
    ["1", "b", "Bob", "It is early.\nVery early.", "Es ist früh.", None],
    ["2", "c", None, "Rain falls.", "Es regnet.", None],
    [2, 17, "Ada", "Close the door.", None, None],
]


def _workbook(path: Path, rows: list[list[Any]], merged: str = "") -> Path:
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet("Dialog")
    for number, row in enumerate(rows):
        sheet.write_row(number, 0, row)
    if merged:
        sheet.merge_range(merged, "1")
    book.add_worksheet("Glossary").write_row(0, 0, ["Term", "Meaning"])
    book.close()
    return path


def _error(path: Path, out: Path, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        bring("table", path, out, **options)
    assert not out.exists()
    [message] = str(error.value).splitlines()
    return message


def test_read_yarn_spinner_tables_give_every_line(tmp_path: Path) -> None:
    write(tmp_path / "in" / "Lines.csv", YARN_EN)
    write(tmp_path / "in" / "Lines (de).csv", YARN_DE)
    done = bring("table", tmp_path / "in", tmp_path / "out", hints=ImportHints(original="en"))
    assert done.rows["en"] == [
        ("Start", "line:0a1", "Ada", "Good morning, {0}."),
        ("Start", "line:0a2", "Bob", "Morning already?"),
        ("Start", "line:0a3", None, "The kettle sings."),
        ("Shop", "line:0a4", "Ada", '"Nobody" sleeps: the cat, too.'),
    ]
    # In the order of the original.
    assert done.said["de"] == [("Ada", "Guten Morgen, {0}."), ("Bob", "Schon Morgen?")]
    assert done.skipped == {"no text": 1}
    assert list(done.corpus.languages) == ["en", "de"]
    assert (
        "not used: 'file', 'lineNumber', 'lock', 'comment'" in done.report.imported.tally.notes[0]
    )


def test_read_ink_localiser_table_takes_scenes_from_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "strings.csv", INK)
    done = bring("table", path, tmp_path / "out", players=("Bob",))
    assert done.rows["en"] == [
        ("demo_Start", "demo_Start_LH5B", "Ada", 'This is my "ink" file, Bob.'),
        ("demo_Start", "demo_Start_TL0V", "Bob", "What do you think of it?"),
        ("demo_Start_Stitch1", "demo_Start_Stitch1_C9A9", "Ada", "Oh well, that is great!"),
    ]
    assert done.corpus.languages["en"].player == "Bob"
    assert "language found: en (--language says otherwise)" in done.report.imported.tally.notes


def test_read_spreadsheet_has_a_column_per_language(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "dialog.xlsx", SHEET)
    done = bring("table", path, tmp_path / "out")
    assert done.rows["en"] == [
        ("1", "a", "Ada", "It is late."),
        ("1", "b", "Bob", "It is early.\nVery early."),
        ("2", "c", None, "Rain falls."),
        ("2", "17", "Ada", "Close the door."),
    ]
    assert [row[1] for row in done.rows["de"]] == ["a", "b", "c"]
    assert done.skipped == {"a sheet (give it with --sheet)": 1, "no text": 1}
    assert done.corpus.languages["de"].name == "Deutsch"


@pytest.mark.parametrize(
    ("name", "separator", "encoding"),
    [("a.tsv", "\t", "utf-8-sig"), ("a.csv", ";", "utf-8"), ("a.csv", "\t", "utf-16")],
)
def test_read_separators_and_encodings_are_found(
    tmp_path: Path, name: str, separator: str, encoding: str
) -> None:
    rows = [["Key", "Speaker", "Japanese", "ko-KR"], ["k1", "Ada", "おはよう", "안녕"]]
    text = "\r\n".join(separator.join(row) for row in rows)
    done = bring("table", write(tmp_path / name, text, encoding), tmp_path / "out")
    assert done.said == {"jp": [("Ada", "おはよう")], "kr": [("Ada", "안녕")]}


def test_read_a_sheet_with_german_headings(tmp_path: Path) -> None:
    text = "Nr;Szene;Figur;Deutsch\n1;Hafen;Ada;Guten Abend.\n2;Markt;Bob;Guten Morgen.\n"
    done = bring("table", write(tmp_path / "a.csv", text), tmp_path / "out")
    assert [row[:3] for row in done.rows["de"]] == [("Hafen", "1", "Ada"), ("Markt", "2", "Bob")]


@pytest.mark.parametrize(
    "headings",
    [
        *("Zeile,Charakter,Texte", "Nr,Sprecher,Zeile", "ID;Personnage;Réplique", "编号,角色,台词"),
        *("No.,キャラクター,セリフ", "番号,話者,台詞", "번호,화자,대사", "ID,Character,Line"),
        *("ID,Character,Dialogue", "ключ,Персонаж,Реплика", "ID,PERSONAGGIO,Battuta"),
        *("id,Personaje,Diálogo", "Número,Personagem,Fala", "id,Personnage,Re\u0301plique"),
    ],
)
def test_read_headings_of_other_languages_are_found(tmp_path: Path, headings: str) -> None:
    separator = ";" if ";" in headings else ","
    rows = [headings, separator.join(("7", "Ada", "Good evening."))]
    path = write(tmp_path / "a.csv", "\n".join(rows))
    done = bring("table", path, tmp_path / "out", hints=ImportHints(language="en"))
    assert [row[1:] for row in done.rows["en"]] == [("7", "Ada", "Good evening.")]


def test_read_an_id_that_stands_twice_names_both_files(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.csv", "id,speaker,en\n1,Ada,Hello.\n")
    write(tmp_path / "in" / "b.csv", "id,speaker,en\n2,Ada,Hello.\n1,Ada,Bye.\n")
    message = _error(tmp_path / "in", tmp_path / "out")
    assert f"b.csv:3: the id '1' stands on {tmp_path / 'in' / 'a.csv'}:2 already" in message


def test_read_columns_of_languages_keep_the_original_beside_them(tmp_path: Path) -> None:
    text = "id,角色,台词,English\n1,Ada,早上好今天天气真不错。,Good morning.\n"
    done = bring("table", write(tmp_path / "a.csv", text), tmp_path / "out")
    assert list(done.rows) == ["chs", "en"]


def test_read_columns_given_by_heading_count(tmp_path: Path) -> None:
    text = "Nr;Figur;Satz;Name DE\n1;Ada;Good evening to you all.;Adda\n2;Bob;Hello there.;Bobb\n"
    done = bring(
        "table",
        write(tmp_path / "a.csv", text),
        tmp_path / "out",
        column=("en=Satz", "line=Nr", "speaker=Figur"),
    )
    assert done.rows["en"] == [
        ("a-001", "1", "Ada", "Good evening to you all."),
        ("a-001", "2", "Bob", "Hello there."),
    ]


def test_read_names_per_language_are_found(tmp_path: Path) -> None:
    text = "id,speaker,Name (fr),en,fr\n1,Ada,Adèle,Hello.,Salut.\n2,Bob,Robert,Hi.,Tiens.\n"
    done = bring(
        "table",
        write(tmp_path / "a.csv", text),
        tmp_path / "out",
        column=("speaker.fr=Name (fr)",),
        players=("Bob",),
    )
    assert done.corpus.languages["fr"].speakers == ("Adèle",)
    assert done.corpus.languages["fr"].player == "Robert"


def test_read_blank_rows_end_scenes_where_no_column_does(tmp_path: Path) -> None:
    text = "id,speaker,en\n1,Ada,Hello.\n2,Bob,Hi.\n,,\n3,Ada,Bye.\n"
    done = bring("table", write(tmp_path / "a.csv", text), tmp_path / "out")
    assert [row[0] for row in done.rows["en"]] == ["a-001", "a-001", "a-002"]


def test_read_id_beside_line_is_indonesian(tmp_path: Path) -> None:
    text = "scene,line,speaker,en,id\ns,l1,Ada,Good morning.,Selamat pagi.\n"
    done = bring("table", write(tmp_path / "a.csv", text), tmp_path / "out")
    assert done.rows == {
        "en": [("s", "l1", "Ada", "Good morning.")],
        "id": [("s", "l1", "Ada", "Selamat pagi.")],
    }


def test_read_two_kinds_of_one_language_keep_their_codes(tmp_path: Path) -> None:
    text = "id,speaker,pt-BR,pt-PT\n1,Ada,Bom dia.,Bons dias.\n"
    done = bring("table", write(tmp_path / "a.csv", text), tmp_path / "out")
    assert list(done.rows) == ["pt-BR", "pt-PT"]


def test_read_merged_cells_are_one_message(tmp_path: Path) -> None:
    rows = [SHEET[0], *([None, *row[1:]] for row in SHEET[1:])]
    path = _workbook(tmp_path / "d.xlsx", rows, merged="A2:A3")
    message = _error(path, tmp_path / "out")
    assert "(sheet 'Dialog'):2: merged cells A2:A3: only" in message
    assert message.endswith("unmerge them and fill in every cell")


def test_read_merged_cells_saved_as_csv_are_one_message(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "scene,id,speaker,en\n1,a,Ada,Hi.\n,b,Bob,Ho.\n")
    message = _error(path, tmp_path / "out")
    assert "a.csv:3: the cell of the scene is empty (line 'b')" in message


@pytest.mark.parametrize(
    ("above", "said"),
    [
        (["Scene", "ID", "Speaker", "Source", "Text", ""], ":2: a second row of headings (Scene"),
        (["", "", "", "Text", "", ""], ":2: a second row of headings (Scene, ID"),
        (["My Game", "", "", "", "", ""], ":2: the headings are in this row, and another row"),
    ],
)
def test_read_two_header_rows_are_one_message(tmp_path: Path, above: list[str], said: str) -> None:
    path = _workbook(tmp_path / "d.xlsx", [above, *SHEET])
    message = _error(path, tmp_path / "out")
    assert said in message
    assert "--header-row 2" in message
    done = bring("table", path, tmp_path / "out", header_row=2)
    assert len(done.rows["en"]) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Nr,Figur,Was man hört\n1,Ada,Hi\n",
            "a.csv:1: no column is known to have the text; the headings are 'Nr', 'Figur', "
            "'Was man hört'; say which ones: --column 'text=Was man hört', and in the same way "
            "scene=",
        ),
        (
            "Nr,Wer da,Text\n1,Ada,Hi\n2,Bob,Ho\n",
            "a.csv: no column is known to say who speaks, and no text begins with a name and a "
            "colon; the columns that are not used are 'Wer da': say which one it is, "
            "--column 'speaker=Wer da'",
        ),
        (
            'id,en\n1,"Ada: Hi\nthere."\n1,Bob: Ho.\n',
            "a.csv:4: the id '1' stands on line 2 already; give each line an id of its own",
        ),
        ('id,en\n1,"Ada: Hi."x\n', "a.csv:2: not valid CSV"),
        ("id,en\n", "no line of dialog was read (no text)"),
        ("", "has no rows"),
        ("id,en\n1,Hello.\n", "no line says who speaks"),
        ("id,en\n1,Bob: Hello.\n", "--character 'Ada': nobody is called so; there are 'Bob'"),
        ("id,en\n1,ADA: Hello.\n", "--character 'Ada': nobody is called so; nearly 'ADA'"),
    ],
)
def test_read_what_cannot_be_used_is_one_message(tmp_path: Path, text: str, said: str) -> None:
    assert said in _error(write(tmp_path / "a.csv", text), tmp_path / "out")


def test_read_other_mistakes_name_their_remedy(tmp_path: Path) -> None:
    out = tmp_path / "out"
    latin = write(tmp_path / "a.csv", "id,de\n1,Ada: Grüße\n", "latin-1")
    assert "a.csv:2: not UTF-8 at byte" in _error(latin, out)
    good = write(tmp_path / "b.csv", "id,en\n1,Ada: Hi.\n")
    assert "no column has this heading; there are 'id', 'en'" in _error(good, out, column=("de=X",))
    assert "write WHAT=HEADING" in _error(good, out, column=("speaker",))
    broken = write(tmp_path / "c.xlsx", "PK no workbook")
    assert "cannot be read as a spreadsheet" in _error(broken, out)
    book = _workbook(tmp_path / "d.xlsx", SHEET)
    assert "no sheet 'X'; give one of 'Dialog', 'Glossary'" in _error(book, out, sheet=("X",))
    two = tmp_path / "two"
    write(two / "a.de.csv", "speaker,text\nAda,Hallo.\n")
    write(two / "a.en.csv", "speaker,text\nAda,Hello.\n")
    assert "no column of ids" in _error(two, out)


def test_read_cells_beyond_the_headings_are_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", "scene,id,speaker,text\ns,1,Ada,Well, I say, so,\ns,2,Bo,Yes.\n"
    )
    done = bring("table", path, tmp_path / "out")
    assert done.skipped == {"a cell to the right of the last heading": 2}


def test_read_texts_without_a_letter_are_called_english(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "scene,id,speaker,text\ns,1,Ada,\U0001f600 12\ns,2,Bo,13\n")
    assert list(bring("table", path, tmp_path / "out").rows) == ["en"]
