import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mini_corpus import write_jsonl

from corpus.miniature import PEOPLE, dialog, read_parallel, settings, write_corpus
from corpus.sources.mangling import QUICK
from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.lint.linter import Report, lint
from cyrene_assets.corpus.markup import Rules, rules_of
from cyrene_assets.corpus.preparation.cleaning import clean_units
from cyrene_assets.corpus.preparation.markup_shapes import find_shapes, markup_tokens
from cyrene_assets.corpus.preparation.named_markup import find_preset

RULES = Rules()
COLUMNS = {"unit": pl.String, "kind": pl.String, "speaker": pl.String, "title": pl.String}


def _units(texts: dict[str, str]) -> pl.DataFrame:
    rows = [
        {"unit": unit, "kind": "dialog", "speaker": None, "title": None, "text": text}
        for unit, text in texts.items()
    ]
    return pl.DataFrame(rows, schema=COLUMNS | {"text": pl.String})


def _tokens(*languages: dict[str, str], rules: Rules = RULES) -> list[str]:
    units = [_units(texts) for texts in languages]
    found = [find_shapes(one, rules) for one in units]
    return markup_tokens(found, lambda index: units[index]["unit"]).to_list()


@pytest.mark.parametrize(
    "token",
    [
        *("$unit.name|", "$ally_name", "${who}", "[player_name]", "[b.c]", "[/b]", "[color=red]"),
        *("%s", "%1$s", "%(name)s", "%PLAYER%", "<x=1>", "</x>", "<br>", "<i>", "<#ff0000>"),
        *("<span color='red'>", "\\V[2]", "\\n<Bo>", "&amp;", "&#233;"),
        *("#name#", "#PLAYER_NAME#", "%hero_name%", "|cffffd100", "|r", "|r|", "~n~", "~INPUT_X~"),
        *("|Hitem:1:2|h", "|TInterface\\Icons:16|t"),
    ],
)
def test_a_sure_shape_is_markup_in_one_language_alone(token: str) -> None:
    assert _tokens({"a": f"so {token} it is"}) == [token]


@pytest.mark.parametrize(
    "text",
    [
        *("[Sighs] No.", "<<Bonjour>> dit-elle", "3 < 4 > 2", "it costs $5, or US$ 7", "50% off"),
        *(
            "100% sure",
            "[1] [...] [?]",
            "R&D; Tom & Jerry",
            "a\\b",
            "A$AP",
            "<3 >_<",
            "50% discount",
        ),
        *("[sic]", "{大地獣, 数学}", "[laughs quietly]", "<Radio>"),
        *("#winning #1 C# F#", "x^2 + 10^7 = (a+b)^2", "^_^ ^^ ^3^", "~sigh~", "~200 m", "a|b|c"),
        *("|x| < 1", "#one#two", "#1# 50%off%", "|name|", "T_T ~~ o|O"),
    ],
)
def test_prose_in_one_language_is_no_markup(text: str) -> None:
    assert _tokens({"a": text}) == []


def test_a_likely_shape_is_markup_where_translations_have_it_alike() -> None:
    english = {"a": "[Sighs] [hero] is here.", "b": "[hero]!", "c": "[OK]"}
    german = {"a": "[Seufzt] [hero] ist da.", "b": "[hero]!"}
    french = {"a": "[Soupire] [hero] est là.", "b": "[hero] !"}
    assert _tokens(english, german, french) == ["[hero]"]
    assert _tokens(english, german, french, rules=Rules(itself=(r"\[hero\]",))) == []


def test_a_likely_shape_that_one_language_of_many_has_is_text() -> None:
    assert _tokens({"a": "<Non>"}, {"a": "<Non>"}, {"a": "No"}, {"a": "Nein"}) == []


def test_a_colour_before_a_letter_makes_all_of_its_text_markup() -> None:
    assert _tokens({"a": "^1Red^7, and 2^3", "b": "x^2"}) == ["^1", "^3", "^7"]
    assert _tokens({"a": "你好^1红^7"}) == ["^1", "^7"]


def test_powers_are_text_in_all_languages() -> None:
    assert _tokens({"a": "It has 10^7 of them."}, {"a": "Es hat 10^7 davon."}) == []


def test_variables_of_the_named_engine_are_markup_in_one_language_alone() -> None:
    text = "Hello [name]! [[Sighs] [a.b!t] [items[0]] [[[hero] [имя]"
    units = _units({"a": text}).with_columns(raw_text=pl.lit(None, pl.String))
    cleaned = clean_units(
        units.with_columns(role=pl.lit("other")).drop("raw_text"), "You", rules_of(("renpy",))
    )
    assert cleaned["text"][0] == "Hello [name]! [Sighs] [a.b!t] [items[0]] [[hero] [имя]"
    found = find_shapes(cleaned, rules_of(("renpy",)))
    tokens = markup_tokens([found], lambda _: cleaned["unit"]).to_list()
    assert tokens == ["[a.b!t]", "[hero]", "[items[0]]", "[name]", "[имя]"]
    # Another engine's, or none: it is prose as likely as not.
    assert "[name]" not in _tokens({"a": text})


def test_doubled_braces_are_reported_as_they_stand_and_leave_nothing(tmp_path: Path) -> None:
    lines = dialog(0)
    lines[0]["text"] += " {{user}}, {{ char }}"
    write_jsonl(write_corpus(tmp_path) / "dialog" / "en.jsonl", lines)
    found = [str(one) for one in lint(tmp_path).warnings if "placeholder {" in one.message]
    assert [one.split("; ")[0].split(": ")[1] for one in found] == [
        "unknown placeholder {{user}} in s1-0",
        "unknown placeholder {{ char }} in s1-0",
    ]
    assert "add `{text: '{{user}}', becomes: player}`" in found[0]
    markup = [
        {"text": "{{user}}", "becomes": "player"},
        {"text": "{{ char }}", "becomes": {"text": "Ada"}},
    ]
    write_jsonl(write_corpus(tmp_path, settings(markup=markup)) / "dialog" / "en.jsonl", lines)
    _, parallel = read_parallel(tmp_path)
    assert parallel.units("en")["text"][0].endswith(" You, Ada")


def test_colours_are_one_warning_whose_pattern_is_the_remedy(tmp_path: Path) -> None:
    lines = dialog(0)
    lines[0]["text"] += " |cff00ff00green|r, |r|cffff0000red|r, ^1r^2g"
    write_jsonl(write_corpus(tmp_path) / "dialog" / "en.jsonl", lines)
    found = [str(one) for one in lint(tmp_path).warnings if "placeholder" in one.message]
    assert [one.partition(": ")[2][:48] for one in found] == [
        "2 unknown placeholders that one pattern finds, 2",
        "2 unknown placeholders that one pattern finds, 2",
    ]
    patterns = [re.findall(r"\{pattern: '([^']+)', becomes: nothing\}", one)[0] for one in found]
    markup = [{"pattern": one, "becomes": "nothing"} for one in patterns]
    write_jsonl(write_corpus(tmp_path, settings(markup=markup)) / "dialog" / "en.jsonl", lines)
    _, parallel = read_parallel(tmp_path)
    assert parallel.units("en")["text"][0].endswith(" green, red, rg")
    assert not [one for one in lint(tmp_path).warnings if "|" in one.message or "^" in one.message]


def test_a_speaker_that_is_a_variable_is_told_once_and_stops_the_build(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    for column, code in enumerate(PEOPLE):
        lines = [
            one | {"speaker": "$ally_name" if one["speaker"] in ("Bo", "bo") else one["speaker"]}
            for one in dialog(column)
        ]
        lines[0]["text"] += " $place_name"
        write_jsonl(tmp_path / "dialog" / f"{code}.jsonl", lines)
    report = lint(tmp_path)
    told = [one.message for one in report.warnings if "$" in one.message]
    assert told == [
        "the speaker '$ally_name' looks like a variable or an id: 6 lines in en, tlh",
        "unknown placeholder $place_name in s1-0 of en, tlh",
    ]
    _, parallel = read_parallel(tmp_path)
    assert parallel.unknown.lines == {"en": 4, "tlh": 4}
    flags = parallel.units("en").filter(speaker="$ally_name")["flags"].to_list()
    assert flags == [["unknown_placeholder"]] * 3
    none = parallel.unknown.refusals(0)[0]
    assert "the speaker $ally_name (6, first in dialog/en.jsonl:2)" in none.message
    assert none.remedy.startswith(
        "say who it is: `speakers: {'$ally_name': NAME}` in corpus.yaml; say what it stands for: "
        "add `{text: '$place_name', becomes: leave out}` to `markup`"
    )


# What prose is made of, and nothing that begins or ends a code.
_WORDS = st.text(
    st.characters(categories=["L", "M", "Nd", "Po", "Pd", "Zs"], exclude_characters="#%&@\\|*"),
    max_size=20,
)
_CODES = st.one_of(
    *(
        st.from_regex(pattern, fullmatch=True)
        for pattern in (
            *(r"#[A-Za-z_][A-Za-z0-9_]{0,9}#", r"%[a-z][A-Za-z0-9_]{3,9}%", r"~[A-Za-z]~"),
            *(r"\|c[0-9A-Fa-f]{8}", r"~[A-Z][A-Z0-9]{0,5}_[A-Z0-9]{1,5}~", r"\^[0-9](?=a)a"),
        )
    )
)


@QUICK
@given(before=_WORDS, code=_CODES, after=_WORDS)
def test_a_code_in_whatever_prose_is_found_and_the_prose_is_not(
    before: str, code: str, after: str
) -> None:
    token = code.removesuffix("a") if code.startswith("^") else code
    assert _tokens({"a": f"{before} {code} {after}"}) == [token]
    assert _tokens({"a": f"{before} {after}"}) == []


def _write(root: Path, **changes: Any) -> Path:
    """A corpus in which six lines of each language have a variable, and one has more."""
    write_corpus(root, settings(**changes))
    for column, code in enumerate(PEOPLE):
        lines = dialog(column)
        for line in lines[:6]:
            line["text"] += " [player_name]"
        lines[0]["text"] += " $unit.name|"
        write_jsonl(root / "dialog" / f"{code}.jsonl", lines)
    return root


def _errors(report: Report) -> list[str]:
    return [str(error) for error in report.errors]


def test_a_build_stops_over_the_share_and_says_lines_and_remedy(tmp_path: Path) -> None:
    errors = _errors(lint(_write(tmp_path)))
    assert errors[0] == (
        "corpus.yaml:21: 6 of 16 lines of en (37.5%), 6 of 16 lines of tlh (37.5%) have markup "
        "that `markup` does not name: [player_name] (12, first in dialog/en.jsonl:1), $unit.name| "
        "(2, first in dialog/en.jsonl:1); say what it stands for: add `{text: '[player_name]', "
        "becomes: player}`, `{text: '$unit.name|', becomes: leave out}` to `markup` in "
        "corpus.yaml, `becomes: nothing`, `player`, `{text: ...}`, `leave out` or, where it is "
        "text, `itself` (docs/markup.md); or allow more by `unknown_markup`"
    )
    assert not any("markup" in error for error in errors[1:])


def test_what_the_message_says_to_write_is_the_remedy(tmp_path: Path) -> None:
    markup = [
        "hoyo",
        {"text": "[player_name]", "becomes": "player"},
        {"text": "$unit.name|", "becomes": "leave out"},
    ]
    report = lint(_write(tmp_path, markup=markup))
    assert not any("markup" in error for error in _errors(report))
    assert not any("unknown" in str(warning) for warning in report.warnings)
    _, parallel = read_parallel(tmp_path)
    units = parallel.units("en").filter(pl.col("scene") == "s1")
    assert units["text"][1] == "Is somebody at the door? You"
    assert units["flags"][0].to_list() == ["left_out"]
    assert parallel.unknown.tokens.is_empty()


def test_the_share_is_what_one_sets(tmp_path: Path) -> None:
    _write(tmp_path, unknown_markup=0.4)
    _, parallel = read_parallel(tmp_path)
    assert parallel.unknown.lines == {"en": 6, "tlh": 6}
    assert parallel.unknown.languages_over(0.4) == []
    assert parallel.unknown.languages_over(0.3) == ["en", "tlh"]
    assert load_corpus(tmp_path).unknown_markup == 0.4
    assert not any("markup" in error for error in _errors(lint(tmp_path)))


def test_a_few_lines_stop_no_build_unless_none_is_allowed(tmp_path: Path) -> None:
    lines = dialog(0)
    lines[0]["text"] += " %s"
    write_jsonl(write_corpus(tmp_path) / "dialog" / "en.jsonl", lines)
    _, parallel = read_parallel(tmp_path)
    assert parallel.unknown.languages_over(0.01) == []
    assert parallel.unknown.languages_over(0) == ["en"]


def test_unknown_markup_is_not_trained_on_and_documents_keep_their_other_lines(
    tmp_path: Path,
) -> None:
    write_corpus(tmp_path)
    book = {
        "document": "b1",
        "kind": "book",
        "title": "Of %s",
        "text": "Water.\n[a_b] goes.\nMore.",
    }
    write_jsonl(tmp_path / "documents" / "en.jsonl", [book])
    _, parallel = read_parallel(tmp_path)
    row = parallel.units("en").filter(unit="b1").row(0, named=True)
    assert (row["text"], row["title"]) == ("Water.\nMore.", None)
    assert row["raw_text"] == book["text"]
    assert row["flags"] == ["unknown_placeholder"]
    assert sorted(parallel.unknown.tokens["token"]) == ["%s", "[a_b]"]


def test_what_a_preset_knows_is_one_warning_that_names_it(tmp_path: Path) -> None:
    lines = dialog(0)
    lines[0]["text"] += " {i}a{/i} {b}c{/b} {alpha=.5}d{/alpha}"
    write_jsonl(write_corpus(tmp_path) / "dialog" / "en.jsonl", lines)
    [warning] = [str(one) for one in lint(tmp_path).warnings if "placeholder" in str(one)]
    assert warning.startswith(
        "dialog/en.jsonl:1: 6 unknown placeholders that the preset renpy knows, 6 times: {i}, "
        "{/i}, {b}, ... (first in s1-0); add `renpy`"
    )


@pytest.mark.parametrize(
    "token",
    ["|hero|", "~hero~", "^1", "|n", "@hero@", "[hero]", "<Hero>", "$Hero", "\\hero", "&hero;"],
)
def test_a_likely_shape_is_found_in_a_text_without_any_other(token: str) -> None:
    assert _tokens({"a": f"{token} is here"}, {"a": f"{token} ist da"}) == [token]


def test_what_opens_a_tag_is_markup_where_what_closes_it_is() -> None:
    text = "[wave]Hello[/wave] [Radio] <x>there</x> <Radio>"
    assert _tokens({"a": text}) == ["</x>", "<x>", "[/wave]", "[wave]"]


def test_a_variable_is_told_once_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    lines = dialog(0)
    lines[0]["text"] += " ${who} {$place}"
    write_jsonl(write_corpus(tmp_path) / "dialog" / "en.jsonl", lines)
    warnings = [one.message for one in lint(tmp_path).warnings if "placeholder {" in one.message]
    warnings += [one.message for one in lint(tmp_path).warnings if "placeholder $" in one.message]
    assert warnings == [
        "unknown placeholder {$place} in s1-0",
        "unknown placeholder ${who} in s1-0",
    ]


def test_a_line_break_of_html_is_not_said_to_be_another_engines() -> None:
    assert find_preset("<br>") == "html"
    assert find_preset("\\C[2]") == "rpgmaker"
    assert find_preset("<color=red>") == "unity"


def test_an_escaped_tag_is_text_to_be_named_so_and_not_by_its_preset(tmp_path: Path) -> None:
    lines = dialog(0)
    lines[0]["text"] += " {{b} is {b}bold{/b}"
    itself = {"text": "{b}", "becomes": "itself"}
    for markup, expected in ((["renpy"], True), ([itself, "renpy"], False)):
        root = write_corpus(tmp_path, settings(markup=markup))
        write_jsonl(root / "dialog" / "en.jsonl", lines)
        warnings = [str(one) for one in lint(root).warnings]
        told = any("add `{text: '{b}', becomes: itself}`" in one for one in warnings)
        assert told is expected
    _, parallel = read_parallel(tmp_path)
    assert parallel.units("en")["text"][0].endswith("{b} is bold")
    assert parallel.units("en")["flags"][0].to_list() == []
