from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mini_corpus import write_jsonl

from cyrene_assets.corpus.check import Report, lint
from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.shapes import markup_tokens, shapes
from cyrene_assets.corpus.unknown import preset_for

from .miniature import PEOPLE, dialog, read_parallel, settings, write_corpus

COLUMNS = {"unit": pl.String, "kind": pl.String, "speaker": pl.String, "title": pl.String}


def _units(texts: dict[str, str]) -> pl.DataFrame:
    rows = [
        {"unit": unit, "kind": "dialog", "speaker": None, "title": None, "text": text}
        for unit, text in texts.items()
    ]
    return pl.DataFrame(rows, schema=COLUMNS | {"text": pl.String})


def _tokens(*languages: dict[str, str], itself: tuple[str, ...] = ()) -> list[str]:
    units = [_units(texts) for texts in languages]
    found = [shapes(one, itself) for one in units]
    return markup_tokens(found, lambda index: units[index]["unit"]).to_list()


@pytest.mark.parametrize(
    "token",
    [
        *("$unit.name|", "$ally_name", "${who}", "[player_name]", "[b.c]", "[/b]", "[color=red]"),
        *("%s", "%1$s", "%(name)s", "%PLAYER%", "<x=1>", "</x>", "<br>", "<i>", "<#ff0000>"),
        *("<span color='red'>", "\\V[2]", "\\n<Bo>", "&amp;", "&#233;"),
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
    ],
)
def test_prose_in_one_language_is_no_markup(text: str) -> None:
    assert _tokens({"a": text}) == []


def test_a_likely_shape_is_markup_where_translations_have_it_alike() -> None:
    english = {"a": "[Sighs] [hero] is here.", "b": "[hero]!", "c": "[OK]"}
    german = {"a": "[Seufzt] [hero] ist da.", "b": "[hero]!"}
    french = {"a": "[Soupire] [hero] est là.", "b": "[hero] !"}
    assert _tokens(english, german, french) == ["[hero]"]
    assert _tokens(english, german, french, itself=(r"\[hero\]",)) == []


def test_a_likely_shape_that_one_language_of_many_has_is_text() -> None:
    assert _tokens({"a": "<Non>"}, {"a": "<Non>"}, {"a": "No"}, {"a": "Nein"}) == []


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
    assert parallel.unknown.over(0.4) == []
    assert parallel.unknown.over(0.3) == ["en", "tlh"]
    assert load_corpus(tmp_path).unknown_markup == 0.4
    assert not any("markup" in error for error in _errors(lint(tmp_path)))


def test_a_few_lines_stop_no_build_unless_none_is_allowed(tmp_path: Path) -> None:
    lines = dialog(0)
    lines[0]["text"] += " %s"
    write_jsonl(write_corpus(tmp_path) / "dialog" / "en.jsonl", lines)
    _, parallel = read_parallel(tmp_path)
    assert parallel.unknown.over(0.01) == []
    assert parallel.unknown.over(0) == ["en"]


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


@pytest.mark.parametrize("token", ["@hero@", "[hero]", "<Hero>", "$Hero", "\\hero", "&hero;"])
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
    assert preset_for("<br>") == "html"
    assert preset_for("\\C[2]") == "rpgmaker"
    assert preset_for("<color=red>") == "unity"


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
