from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.corpus.importers.imported import ImportHints
from cyrene_assets.utils.errors import UserError

from .importing import bring, write

PO_DE = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Language: de\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

#. [message]: speaker=Bob
#: scenarios/02_Shop.cfg:31
msgid "The bread is gone."
msgstr "Das Brot ist fort."

#. [message]: speaker=Ada
#: scenarios/01_Start.cfg:40
msgid ""
"Who goes there?\n"
"Speak!"
msgstr ""
"Wer da?\n"
"Sprich!"

#. [message]: speaker=narrator
#: scenarios/01_Start.cfg:12 scenarios/02_Shop.cfg:80
msgid "Rain falls."
msgstr ""

#. [message]: speaker=Ada
#: scenarios/01_Start.cfg:55
#, fuzzy
msgid "Come in."
msgstr "Komm."

#: scenarios/01_Start.cfg:60
msgid "one goat"
msgid_plural "%d goats"
msgstr[0] "eine Ziege"
msgstr[1] "%d Ziegen"

#~ msgid "An old line."
#~ msgstr "Eine alte Zeile."
"""
PLAIN = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"

msgctxt "k2"
msgid "It is me."
msgstr "Ich bin es."

msgctxt "k1"
msgid "Who goes there?"
msgstr "Wer da?"

msgctxt "k9"
msgid "Menu"
msgstr "Menü"
"""
ENGLISH = ImportHints(original="en")


def test_read_places_in_the_source_give_order_and_speaker(tmp_path: Path) -> None:
    done = bring("gettext", write(tmp_path / "de.po", PO_DE), tmp_path / "out", hints=ENGLISH)
    assert done.said["en"] == [
        ("Bob", "The bread is gone."),
        (None, "Rain falls."),
        ("Ada", "Who goes there?\nSpeak!"),
        ("Ada", "Come in."),
    ]
    assert done.said["de"] == [("Bob", "Das Brot ist fort."), ("Ada", "Wer da?\nSprich!")]
    assert [row[0] for row in done.rows["en"]][:2] == ["scenarios/02_Shop", "scenarios/01_Start"]
    assert done.skipped == {
        "an obsolete entry": 1,
        "an entry with plural forms": 1,
        "said again elsewhere, taken once": 1,
        "not translated": 1,
        "a fuzzy translation": 1,
    }


@pytest.mark.parametrize("comment", ["#. speaker=Ada\n", ""])
def test_read_colon_names_a_speaker_only_where_nothing_else_does(
    tmp_path: Path, comment: str
) -> None:
    catalogue = (
        'msgid ""\nmsgstr ""\n"Language: de\\n"\n\n'
        f'{comment}#: a.txt:1\nmsgid "Ada: Come in."\nmsgstr "Ada: Herein."\n\n'
        '#: a.txt:2\nmsgid "Mind you: it rains."\nmsgstr "Wohlgemerkt: es regnet."\n'
    )
    path = write(tmp_path / "de.po", catalogue)
    done = bring("gettext", path, tmp_path / "out", hints=ENGLISH)
    expected = (
        [("Ada", "Ada: Come in."), (None, "Mind you: it rains.")]
        if comment
        else [("Ada", "Come in."), ("Mind you", "it rains.")]
    )
    assert done.said["en"] == expected


def test_read_without_order_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        bring("gettext", write(tmp_path / "de.po", PLAIN), tmp_path / "out", hints=ENGLISH)
    [message] = str(error.value).splitlines()
    assert "a .po file has no order of its own" in message
    assert "give --script TABLE" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "script",
    [
        "scene,speaker,msgid\ns1,Ada,Who goes there?\ns1,Bob,It is me.\ns2,Ada,Nobody says this.\n",
        "scene,speaker,msgctxt\ns1,Ada,k1\ns1,Bob,k2\ns2,Ada,k3\n",
    ],
)
def test_read_script_gives_order_scene_and_speaker(tmp_path: Path, script: str) -> None:
    table = write(tmp_path / "script.csv", script)
    path = write(tmp_path / "po" / "de.po", PLAIN)
    done = bring("gettext", path, tmp_path / "out", hints=ENGLISH, script=table)
    assert done.rows == {
        "en": [("s1", "k1", "Ada", "Who goes there?"), ("s1", "k2", "Bob", "It is me.")],
        "de": [("s1", "k1", "Ada", "Wer da?"), ("s1", "k2", "Bob", "Ich bin es.")],
    }
    assert done.skipped == {
        "a line of the script that no .po has": 1,
        "not in the script, so no order": 1,
    }


def test_read_other_mistakes_are_one_message_each(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def error(path: Path, **options: Any) -> str:
        with pytest.raises(UserError) as caught:
            bring("gettext", path, out, hints=ENGLISH, **options)
        [message] = str(caught.value).splitlines()
        return message

    broken = write(tmp_path / "b" / "de.po", 'msgid "a"\nnonsense\n')
    assert "de.po:2: no .po file" in error(broken)
    nameless = write(tmp_path / "c" / "messages.po", PO_DE.replace('"Language: de\\n"\n', ""))
    assert "which language it is: call it CODE.po" in error(nameless)
    good = write(tmp_path / "d" / "de.po", PLAIN)
    table = write(tmp_path / "s.csv", "scene,who\n1,Ada\n")
    assert "no column of msgid or msgctxt among scene, who" in error(good, script=table)
    other = write(tmp_path / "t.csv", "scene,msgid\n1,Nothing\n")
    assert "none of its lines is an entry" in error(good, script=other)
