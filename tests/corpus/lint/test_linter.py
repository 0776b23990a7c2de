import json
import re
from pathlib import Path
from typing import Any

import pytest
from mini_corpus import write_jsonl

from corpus.miniature import Record, dialog, documents, settings, write_corpus
from cyrene_assets.cli.commands._corpus_report import print_report
from cyrene_assets.corpus.lint.corpus_warnings import Counts
from cyrene_assets.corpus.lint.linter import Report, lint
from cyrene_assets.utils import formatting


def _lint(root: Path, code: str, lines: list[Record]) -> Report:
    write_jsonl(write_corpus(root) / "dialog" / f"{code}.jsonl", lines)
    return lint(root)


def _warnings(report: Report) -> list[str]:
    assert report.ok
    return [str(warning) for warning in report.warnings]


def test_a_good_corpus_has_counts_and_no_findings(tmp_path: Path) -> None:
    report = lint(write_corpus(tmp_path))
    assert _warnings(report) == []
    counts = report.languages["en"]
    assert counts == Counts(
        lines=14, scenes=4, documents=2, characters=387, character_lines=6, translatable=16
    )
    as_dict = json.loads(json.dumps(report.as_dict()))
    assert as_dict["ok"] is True
    assert as_dict["languages"]["tlh"]["lines"] == 14


def test_missing_or_wrong_corpus_yaml_is_one_error(tmp_path: Path) -> None:
    [error] = lint(tmp_path / "none").errors
    assert "no such corpus folder" in error.message
    report = lint(write_corpus(tmp_path, settings(languages={})))
    [error] = report.errors
    assert "languages: {} does not fit; give 1" in str(error)
    assert report.as_dict()["ok"] is False


def test_what_is_wrong_in_corpus_yaml_is_a_line_each(tmp_path: Path) -> None:
    write_corpus(tmp_path, settings(gendered="neither", chats="all"))
    found = [str(error) for error in lint(tmp_path).errors]
    assert [one.splitlines() for one in found] == [[one] for one in found]
    assert [one.split(": ")[1] for one in found] == ["gendered", "chats.assistant"]
    (tmp_path / "corpus.yaml").write_text("name: a\n  b: [c\n", encoding="utf-8")
    [error] = lint(tmp_path).errors
    assert error.line == 2
    assert "not valid YAML" in error.message
    assert "\n" not in error.message


def test_a_rule_of_several_keys_is_said_without_all_of_the_file(tmp_path: Path) -> None:
    prompts = {"assistant": "everyone", "prompts": {"Bo": {"fr": "x"}}}
    [error] = lint(write_corpus(tmp_path, settings(chats=prompts))).errors
    before, _, _ = (tmp_path / "corpus.yaml").read_text().partition("chats:")
    assert str(error) == (
        f"corpus.yaml:{before.count(chr(10)) + 1}: `chats` names fr, which is no language of "
        "`languages`; write some of en, tlh"
    )


def test_files_of_a_language_that_is_not_listed_are_a_warning(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    (tmp_path / "documents" / "fr.jsonl").write_text("", encoding="utf-8")
    [warning] = [str(one) for one in lint(tmp_path).warnings if "fr" in one.message]
    assert warning == (
        "documents/fr.jsonl: is not read: 'fr' is no language of corpus.yaml; add 'fr' to "
        "`languages` there, or remove the file"
    )


def test_one_bad_file_does_not_hide_the_rest(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    (tmp_path / "dialog" / "en.jsonl").write_text("?\n?\n")
    lines = dialog(1)
    lines[0]["text"] = "{AETHER#7}"
    write_jsonl(tmp_path / "dialog" / "tlh.jsonl", lines)
    report = lint(tmp_path)
    assert [(e.file, e.line) for e in report.errors] == [
        ("dialog/en.jsonl", 1),
    ]
    assert report.errors[0].message.endswith("(and 1 more line of the file)")
    assert list(report.languages) == ["tlh"]
    assert "unknown placeholder {AETHER#7} in s1-0" in report.warnings[0].message


def test_no_readable_language(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    for path in tmp_path.glob("*/*.jsonl"):
        path.unlink()
    assert [e.file for e in lint(tmp_path).errors] == ["corpus.yaml"] * 2


def test_misaligned_units_are_errors(tmp_path: Path) -> None:
    lines = dialog(1)
    lines[0]["scene"] = "s3"
    report = _lint(tmp_path, "tlh", lines)
    [error] = report.errors
    assert (error.file, error.line) == ("dialog/tlh.jsonl", 1)


def test_missing_translations_and_thin_languages(tmp_path: Path) -> None:
    assert _warnings(_lint(tmp_path, "tlh", dialog(1)[:-2])) == [
        "corpus.yaml: tlh has 14 units, 88% of en's; translate the missing ones",
        "dialog/en.jsonl:13: missing translation: s3-1 is not in tlh; translate it into tlh",
        "dialog/en.jsonl:14: missing translation: s4-0 is not in tlh; translate it into tlh",
    ]


def test_many_missing_translations_are_summed_up(tmp_path: Path) -> None:
    more = [
        {"scene": "s8", "line": f"s8-{n}", "speaker": None, "text": f"Number {n}."}
        for n in range(30)
    ]
    warnings = _warnings(_lint(tmp_path, "en", dialog(0) + more))
    assert len(warnings) == 22
    assert warnings[-1] == "corpus.yaml: 10 more units are not in tlh; translate them"


def test_a_unit_that_several_languages_lack_is_one_warning(tmp_path: Path) -> None:
    people = settings()["languages"]
    people["qx"] = people["tlh"]
    write_corpus(tmp_path, settings(languages=people))
    write_jsonl(tmp_path / "dialog" / "tlh.jsonl", dialog(1)[:-1])
    write_jsonl(tmp_path / "dialog" / "qx.jsonl", dialog(1)[:-2])
    write_jsonl(tmp_path / "documents" / "qx.jsonl", documents(1))
    missing = [str(one) for one in lint(tmp_path).warnings if "missing translation" in str(one)]
    assert missing == [
        "dialog/en.jsonl:13: missing translation: s3-1 is not in qx; translate it into qx",
        "dialog/en.jsonl:14: missing translation: s4-0 is not in qx, tlh; translate it into "
        "qx, tlh",
    ]


def test_people_who_never_speak(tmp_path: Path) -> None:
    lines = [line for line in dialog(0) if line["speaker"] not in {"The Stranger", "You"}]
    warnings = _warnings(_lint(tmp_path, "en", lines))
    assert any("languages.en.speakers: 'The Stranger' never speaks" in w for w in warnings)
    assert any("languages.en.player: 'You' never speaks" in w for w in warnings)


def test_what_stands_in_the_lines(tmp_path: Path) -> None:
    lines = dialog(0)
    lines[0]["text"] = "<|im_start|>Rain <b>falls</b>{X}{X}."
    lines[1]["text"] = "{F#}"
    lines[2]["text"] = "<|im_<i></i>end|>Only."
    assert _warnings(_lint(tmp_path, "en", lines)) == [
        "dialog/en.jsonl:1: unknown placeholder {X} in s1-0; add `{text: '{X}', becomes: leave "
        "out}`, or what else it is, to `markup`; until then the line is not trained on",
        "corpus.yaml: en has 15 units, 94% of tlh's; translate the missing ones",
        "dialog/tlh.jsonl:2: missing translation: s1-1 is not in en; translate it into en",
        "dialog/en.jsonl:1: control tokens in s1-0: <|im_start|>; remove them from the text, "
        "as cleaning does",
        "dialog/en.jsonl:2: no text is left in s1-1; write it, or remove it",
        "dialog/en.jsonl:3: control tokens in s1-2: assembled by cleaning; remove them from the "
        "text, as cleaning does",
    ]


def test_duplicates_and_copies_name_what_they_repeat(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    for column, code in enumerate(("en", "tlh")):
        lines = dialog(column)
        second = [line for line in lines if line["scene"] == "s3"]
        again = [x | {"scene": "s9", "line": f"s9-{n}"} for n, x in enumerate(second)]
        lines[7]["text"] = "The rain and the sea are here."
        write_jsonl(tmp_path / "dialog" / f"{code}.jsonl", lines + again)
    write_jsonl(tmp_path / "documents" / "en.jsonl", documents(0))
    assert _warnings(lint(tmp_path)) == [
        "dialog/en.jsonl:15: duplicate: s9 repeats s3 word for word in en, tlh; remove one of "
        "them, or leave it: only the first is trained on",
        "dialog/tlh.jsonl:8: untranslated copy: s2-1 reads as in en; translate it into tlh",
    ]


def test_lint_extra_keys_that_are_ignored_are_counted(tmp_path: Path) -> None:
    lines = [{**line, "voice": "a.ogg"} for line in dialog(1)]
    write_jsonl(write_corpus(tmp_path, settings(extra="ignore")) / "dialog" / "tlh.jsonl", lines)
    [warning] = _warnings(lint(tmp_path))
    assert warning.startswith(
        "dialog/tlh.jsonl: keys that are ignored, with their lines: `voice` (14);"
    )


def test_a_unit_wrong_in_several_languages_is_one_warning(tmp_path: Path) -> None:
    people = settings()["languages"]
    people["qx"] = people["tlh"]
    write_corpus(tmp_path, settings(languages=people))
    write_jsonl(tmp_path / "documents" / "qx.jsonl", documents(1))
    for code in ("tlh", "qx"):
        lines = dialog(1)
        lines[2]["text"] = "Only the weather and I came in here."
        lines[3]["text"] = "GÃ¤rten Ã¼ber GÃ¤rten"
        write_jsonl(tmp_path / "dialog" / f"{code}.jsonl", lines)
    found = [w for w in _warnings(lint(tmp_path)) if "s1-3" in w]
    assert found == [
        "dialog/tlh.jsonl:4: misread characters in s1-3: 'GÃ¤rten Ã¼ber GÃ¤rten' (in tlh and qx); "
        "write it again from a source that was read as UTF-8"
    ]


def test_names_that_nobody_has_are_one_warning_for_all_languages(tmp_path: Path) -> None:
    people = settings()["languages"]
    for code in people:
        people[code]["player_names"] = [f"Nobody {code}"]
    silent = _warnings(lint(write_corpus(tmp_path, settings(languages=people))))
    assert silent == [
        "corpus.yaml:13: languages.en.player_names: 'Nobody en' (en), 'Nobody tlh' (tlh) never "
        "speak; write the names as the dialog does, or leave them if that is meant"
    ]


def test_every_column_of_the_tables_has_a_heading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = []
    real = formatting.table

    def table(title: str, columns: list[str], rows: list[list[str]], **options: Any) -> Any:
        tables.append((columns, rows))
        return real(title, columns, rows, **options)

    monkeypatch.setattr(formatting, "table", table)
    monkeypatch.setenv("COLUMNS", "200")
    print_report(lint(write_corpus(tmp_path)))
    assert len(tables) == 2
    for columns, rows in tables:
        assert all(columns)
        assert {len(row) for row in rows} == {len(columns)}
    out = capsys.readouterr().out
    assert "translatable units" in out
    assert out.splitlines()[-1] == "0 errors, 0 warnings"
    broken = dialog(1)
    broken[0]["text"] = "<|im_end|>" + broken[0]["text"]
    write_jsonl(tmp_path / "dialog" / "tlh.jsonl", broken)
    print_report(lint(tmp_path))
    assert capsys.readouterr().out.splitlines()[-1] == "0 errors, 1 warning"


def test_lint_language_without_lines_is_one_error(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    for folder in ("dialog", "documents"):
        (tmp_path / folder / "tlh.jsonl").write_text("", encoding="utf-8")
    report = lint(tmp_path)
    assert [str(error) for error in report.errors] == [
        "corpus.yaml:13: tlh has no lines; give it some text, or take 'tlh' off the languages"
    ]
    assert report.warnings == []


def test_lint_language_with_the_originals_text_is_a_warning(tmp_path: Path) -> None:
    people = settings()["languages"]
    people["tlh"] |= {"speakers": ["Ada", "The Stranger"], "player": "You"}
    write_corpus(tmp_path, settings(languages=people))
    write_jsonl(tmp_path / "dialog" / "tlh.jsonl", dialog(0))
    write_jsonl(tmp_path / "documents" / "tlh.jsonl", documents(0))
    [warning] = _warnings(lint(tmp_path))
    assert re.fullmatch(
        r"corpus.yaml:\d+: (\d+) of \1 units of tlh read as in en; translate them, or take 'tlh' "
        "off the languages",
        warning,
    )


def test_lint_languages_without_a_unit_in_common_are_one_warning(tmp_path: Path) -> None:
    lines = [{**one, "scene": f"x{one['scene']}", "line": f"x{one['line']}"} for one in dialog(1)]
    write_corpus(tmp_path)
    write_jsonl(tmp_path / "documents" / "tlh.jsonl", [])
    write_jsonl(tmp_path / "dialog" / "tlh.jsonl", lines)
    thin, unaligned = _warnings(lint(tmp_path))
    assert "tlh has 14 units" in thin
    assert "tlh has no unit that en has; give a line the same id in all languages" in unaligned


def test_lint_one_mistake_of_a_file_with_many_values_is_one_error(tmp_path: Path) -> None:
    lines = [{**line, "line": number} for number, line in enumerate(dialog(1))]
    [error] = _lint(tmp_path, "tlh", lines).errors
    assert str(error) == (
        "dialog/tlh.jsonl:1: `line` is a number (0) (and 13 more lines of the file); write a string"
    )
    lines = [{**line, "scene": "s1"} for line in dialog(1)]
    [error] = _lint(tmp_path, "tlh", lines).errors
    assert error.line == 7
    assert "(and 7 more lines of the file)" in error.message
    lines = [{**line, "line": number} if number < 3 else line for number, line in enumerate(lines)]
    assert len(_lint(tmp_path, "tlh", lines).errors) == 3
