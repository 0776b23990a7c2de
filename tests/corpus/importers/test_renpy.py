import os
from pathlib import Path

import pytest

from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.importers.imported import ImportHints
from cyrene_assets.corpus.importers.renpy_lexer import logical_lines, parse_say
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.preparation.cleaning import clean_units
from cyrene_assets.corpus.sources.registry import read_listed
from cyrene_assets.utils.errors import UserError

from .importing import Done, bring, write

SCRIPT = r'''
# The people of this game.
define e = Character(_("Eileen"), color="#c8ffc8", what_prefix='"', what_suffix='"')
define b = Character("Bob", kind=nvl)
define p = Character("[player_name]")
define dyn = DynamicCharacter("other_name")
define narrator = nvl_narrator
default other_name = "Cy"
image eileen happy = "eileen_happy.png"

init python:
    late = Character("Zoë")
    text = "nobody says this"

label start:
    scene bg room with fade
    play music "tune.ogg" fadein 1.0
    $ renpy.pause(0.5)
    "Rain falls on the {i}town{/i}, and
     nobody   minds."    # two lines, one string
    voice "e01.ogg"
    e happy "Hello, [player_name]! It's \"late\" (#1)." (what_size=20) with dissolve
    e @ sad "I am tired."
    extend " Very tired."
    nvl clear
    b "That is 100%% true." id start_bob
    p "Who are you?"
    dyn "Nobody."
    "The Old Man" "I am older than {b}you{/b}."
    late "Sorry!"

    e """
    This is a monologue.

    It has two parts,
    the second on two lines.
    """

    menu what_now:
        e "Shall we go?"

        "Yes, at once.":
            e "Then come."
            jump .outside

        "No." if tired:
            e "Then stay."

    return

label .outside:
    if tired:
        e "Mind the step."
    else:
        e "Mind the step."
    return

screen notes():
    text "nobody says this either"
'''
GERMAN_LINES = {
    "Rain falls": '"Regen fällt auf die {i}Stadt{/i}, und keinen stört es."',
    "Hello": 'voice "de/e01.ogg"\n    e happy "Hallo, [player_name]! Es ist \\"spät\\" (#1)."',
    "I am tired": 'e @ sad "Ich bin müde."\n    e "So müde."',
    "Very tired": 'extend " Sehr müde."',
    "That is": 'nvl clear\n    b "Das ist 100%% wahr."',
    "Shall we": 'e "Gehen wir?" nointeract',
    "Then come": "pass",
}
STRINGS = """
translate german strings:

    # game/script.rpy:3
    old "Eileen"
    new "Elin"

    # game/script.rpy:52
    old "Yes, at once."
    new "Ja, sofort."

translate german style default:
    font "x.ttf"

translate german start_0badc0de:

    # e "A line of an older script."
    e "Eine Zeile eines alten Skripts."
"""


def _import(root: Path, out: Path) -> Done:
    return bring("renpy", root, out, character=("Eileen",), hints=ImportHints(original="en"))


def _game(root: Path) -> Path:
    """Write a game: its German blocks are called as the script's lines are found to be."""
    write(root / "game" / "script.rpy", SCRIPT)
    first = _import(root / "game", root / "untranslated")
    blocks = [STRINGS]
    for start, translation in GERMAN_LINES.items():
        [name] = [row[1] for row in first.rows["en"] if row[3].strip().startswith(start)]
        blocks.append(f"# game/script.rpy:1\ntranslate german {name}:\n\n    {translation}\n")
    write(root / "game" / "tl" / "german" / "script.rpy", "\ufeff" + "\n".join(blocks))
    return root / "game"


def test_read_script_gives_everything_that_is_said(tmp_path: Path) -> None:
    done = _import(_game(tmp_path), tmp_path / "out")
    assert done.said["en"] == [
        (None, "Rain falls on the {i}town{/i}, and nobody minds."),
        ("Eileen", 'Hello, [player_name]! It\'s "late" (#1).'),
        ("Eileen", "I am tired."),
        ("Eileen", " Very tired."),
        ("Bob", "That is 100%% true."),
        ("[player_name]", "Who are you?"),
        ("[other_name]", "Nobody."),
        ("The Old Man", "I am older than {b}you{/b}."),
        ("Zoë", "Sorry!"),
        ("Eileen", "This is a monologue."),
        ("Eileen", "It has two parts, the second on two lines."),
        ("Eileen", "Shall we go?"),
        ("Eileen", "Then come."),
        ("Eileen", "Then stay."),
        ("Eileen", "Mind the step."),
        ("Eileen", "Mind the step."),
    ]
    scenes = list(dict.fromkeys(row[0] for row in done.rows["en"]))
    assert scenes == ["start", "what_now", "what_now.outside"]
    assert done.corpus.markup == ("renpy",)


def test_read_translations_are_found_by_identifier(tmp_path: Path) -> None:
    done = _import(_game(tmp_path), tmp_path / "out")
    assert done.said["de"] == [
        (None, "Regen fällt auf die {i}Stadt{/i}, und keinen stört es."),
        ("Elin", 'Hallo, [player_name]! Es ist "spät" (#1).'),
        ("Elin", "Ich bin müde.\nSo müde."),
        ("Elin", " Sehr müde."),
        ("Bob", "Das ist 100%% wahr."),
        ("Elin", "Gehen wir?"),
    ]
    english = {row[1]: row for row in done.rows["en"]}
    assert all(row[0] == english[row[1]][0] for row in done.rows["de"])
    assert done.corpus.languages["de"].speakers == ("Elin",)
    skipped = done.skipped
    assert skipped["not translated (tl/german)"] == 9
    assert skipped["a translation of a line that the script does not have (tl/german)"] == 1
    assert skipped["a translation that says nothing (tl/german)"] == 1
    assert skipped["a choice of a menu"] == 2
    assert skipped["a block of style in a translation"] == 1


@pytest.mark.skipif("RENPY_GAME" not in os.environ, reason="RENPY_GAME names no game")
def test_read_real_game_finds_its_translations(tmp_path: Path) -> None:
    """A game with the engine's own identifiers: /usr/share/games/renpy/demo/game of Debian's."""
    done = _import(Path(os.environ["RENPY_GAME"]), tmp_path / "out")
    english = len(done.rows["en"])
    assert len(done.rows) > 1
    for rows in done.rows.values():
        assert len(rows) > 0.99 * english


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("e   happy -wet  'It\\'s  me.'", 'e happy -wet "It\'s me."'),
        ('e "a\\n b" nointeract', 'e "a\\n b" nointeract'),
        ('e @ vhappy "a" (b = 1,c=2) with dissolve', 'e @ vhappy "a" (b=1, c=2) with dissolve'),
        ('"Lucy" "Hi \\{there\\}\\ \\ you"', '"Lucy" "Hi {{there} \\ you"'),
        ('e "x" id some_id', 'e "x" id some_id'),
        ("show text 'x'", None),
        ('play sound "x.ogg"', None),
        ('$ x = "a"', None),
        ('e "x" nonsense here', None),
        ("jump there", None),
    ],
)
def test_parse_say_code_is_as_the_engine_writes_it(written: str, code: str | None) -> None:
    [logical] = logical_lines(written)
    says = parse_say(logical)
    if code is None:
        assert not says
    else:
        assert says is not None
        assert says[0].code == code


def test_read_translations_beside_the_script_count_too(tmp_path: Path) -> None:
    root = _game(tmp_path)
    translation = root / "tl" / "german" / "script.rpy"
    expected = _import(root, tmp_path / "a").rows
    (root / "german.rpy").write_bytes(translation.read_bytes())
    translation.unlink()
    assert _import(root, tmp_path / "b").rows == expected


ONE_LANGUAGE = "".join(
    f"""label day{day}:
    b "Is the road to day {day} open, and may I go there?"
    e "It is open, [player], but mind the [[Sign] on hill {day}."
    e "You have [bag[0]] and [purse.gold:.1f] coins on day {day}."
"""
    for day in range(4)
)


def test_read_variables_of_one_language_stop_the_build_until_they_are_named(
    tmp_path: Path,
) -> None:
    people = 'define e = Character("Eileen")\ndefine b = Character("Bob")\n'
    write(tmp_path / "game" / "script.rpy", people + ONE_LANGUAGE)
    done = _import(tmp_path / "game", tmp_path / "out")
    assert done.report.imported.tally.notes[1] == (
        "the text has 3 variables: [player] (4), [bag[0]] (4), [purse.gold:.1f] (4); say in "
        "corpus.yaml what they stand for (`markup`): until then these lines are not trained on"
    )
    report = lint(tmp_path / "out")
    assert report.errors[0].message == (
        "8 of 12 lines of en (66.7%) have markup that `markup` does not name: [player] (4, first "
        "in dialog/en.jsonl:2), [bag[0]] (4, first in dialog/en.jsonl:3), [purse.gold:.1f] (4, "
        "first in dialog/en.jsonl:3)"
    )
    config = tmp_path / "out" / "corpus.yaml"
    named = (
        "markup:\n- renpy\n- {text: '[player]', becomes: player}\n"
        "- {pattern: '\\[(?:bag|purse)[^ ]*\\]', becomes: {text: five}}\n"
    )
    config.write_text(config.read_text("utf-8").replace("markup:\n- renpy\n", named), "utf-8")
    report = lint(tmp_path / "out")
    assert not [str(one) for one in (*report.errors, *report.warnings) if "[" in str(one)]
    rows, _ = read_listed(tmp_path / "out", load_corpus(tmp_path / "out"), "en")
    cleaned = clean_units(rows, "Bob", load_corpus(tmp_path / "out").rules())
    assert cleaned["text"][1:3].to_list() == [
        "It is open, Bob, but mind the [Sign] on hill 0.",
        "You have five and five coins on day 0.",
    ]


def test_read_compiled_scripts_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "game" / "script.rpyc", "RENPY RPC2")
    with pytest.raises(UserError, match="only compiled scripts"):
        _import(tmp_path / "game", tmp_path / "out")


def test_read_scripts_without_dialog_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "game" / "gui.rpy", "define gui.text_color = '#fff'\n")
    with pytest.raises(UserError, match="nobody says anything"):
        _import(tmp_path / "game", tmp_path / "out")


def test_read_unbalanced_quotes_do_not_hang(tmp_path: Path) -> None:
    script = 'define e = Character("E")\nlabel start:\n    e "Hello."\n    e "oops\n' + "(" * 5000
    write(tmp_path / "game" / "script.rpy", script)
    original = ImportHints(original="en")
    done = bring("renpy", tmp_path / "game", tmp_path / "out", character=("E",), hints=original)
    assert done.said["en"] == [("E", "Hello.")]
