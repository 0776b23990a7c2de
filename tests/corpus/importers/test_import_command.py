"""``cyrene corpus import`` and ``corpus init`` as a person and a program use them."""

import errno
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from cyrene_assets.cli.commands import corpus_import
from cyrene_assets.cli.main import main
from cyrene_assets.corpus.importers import formats as installed
from cyrene_assets.corpus.importers.registry import formats, importer
from cyrene_assets.corpus.importers.write import write_corpus
from cyrene_assets.corpus.lint.linter import lint

from .importing import write

TABLE = "scene,id,speaker,en,de\n" + "".join(
    f"s{n},{n}a,Bob,What happened on day {n}?,Was geschah am Tag {n}?\n"
    f"s{n},{n}b,Ada,{words} and then we slept.,{worte} und dann schliefen wir.\n"
    for n, (words, worte) in enumerate(
        [
            ("We counted the plums", "Wir zählten die Pflaumen"),
            ("The cat objected twice", "Die Katze widersprach zweimal"),
            ("My aunt painted her gate", "Meine Tante strich ihr Tor"),
            ("Nobody crossed the bridge", "Niemand ging über die Brücke"),
            ("It rained on the letters", "Es regnete auf die Briefe"),
        ]
    )
)


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["corpus", *map(str, arguments)])


def _table(folder: Path) -> Path:
    return write(folder / "dialog.csv", TABLE)


def test_import_writes_a_corpus_that_check_accepts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = _run("import", "table", _table(tmp_path), "--out", out, "--character", "Ada",
                "--player", "Bob")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "read: 1 table, 10 rows" in done.output
    assert "character: Ada; player: Bob" in done.output
    assert f"cyrene corpus check {out}" in done.output
    report = lint(out)
    assert report.errors == []
    assert {code: counts.lines for code, counts in report.languages.items()} == {"en": 10, "de": 10}
    config = (out / "corpus.yaml").read_text(encoding="utf-8")
    assert config.startswith("# Made by `cyrene corpus import table` from dialog.csv.")
    assert yaml.safe_load(config)["languages"]["de"]["system_prompt"] == "Du bist Ada."
    assert (out.stat().st_mode & 0o777) == 0o755
    assert {one.name for one in tmp_path.iterdir()} == {"dialog.csv", "out"}


def test_import_without_character_lists_speakers_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = _run("import", "table", _table(tmp_path), "--out", out)
    assert done.exit_code == 2
    assert "which of these is the character?" in done.stderr
    assert "Give --character NAME; nothing was written" in done.stderr
    [ada] = [line for line in done.stdout.splitlines() if " Ada " in line]
    assert ada.split()[1:4] == ["Ada", "5", "50.0%"]
    assert not out.exists()


def test_import_json_is_for_programs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("import", "table", _table(tmp_path), "--out", out, "--json")
    done = _run(*arguments)
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert found["folder"] is None
    assert [one["name"] for one in found["speakers"]] == ["Ada", "Bob"]
    found = json.loads(_run(*arguments, "--character", "Ada").stdout)
    assert found["folder"] == str(out)
    assert found["languages"]["en"] == {"lines": 10, "scenes": 5}
    assert found["character"] == ["Ada"]
    assert found["player"] == ["Player"]
    assert found["skipped"] == []


def test_import_asks_a_person_at_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_import, "_at_terminal", lambda: True)
    for answer, out in (("1\n", tmp_path / "a"), ("Ada\n", tmp_path / "b")):
        done = CliRunner().invoke(
            main,
            ["corpus", "import", "table", str(_table(tmp_path)), "--out", str(out)],
            input=answer,
        )
        assert done.exit_code == 0, done.output
        assert "which of these is the character?" in done.output
        assert "speakers:\n    - Ada" in (out / "corpus.yaml").read_text(encoding="utf-8")


def test_import_refuses_a_folder_that_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    done = _run("import", "table", _table(tmp_path), "--out", out, "--character", "Ada")
    assert done.exit_code == 2
    assert "is there already; give a new folder with --out, or remove it" in done.stderr
    assert list(out.iterdir()) == []


def test_import_names_are_as_corpus_yaml_takes_them(tmp_path: Path) -> None:
    table = write(
        tmp_path / "a.csv", "id,speaker,en\n1,<b>Ada </b>  Lee,Hello to you.\n2,{i},Hi.\n"
    )
    out = tmp_path / "out"
    done = _run("import", "table", table, "--out", out, "--name", "Mini: <one>", "--character",
                "Ada Lee", "--player", "Nobody {x}")  # fmt: skip
    assert done.exit_code == 0, done.output
    config = yaml.safe_load((out / "corpus.yaml").read_text(encoding="utf-8"))
    assert config["name"] == "Mini:"
    assert config["languages"]["en"]["speakers"] == ["Ada Lee"]
    assert config["languages"]["en"]["player"] == "Nobody"


def test_import_default_folder_is_called_as_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYRENE_CORPORA", str(tmp_path / "corpora"))
    done = _run("import", "table", _table(tmp_path), "--character", "Ada")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "corpora" / "dialog" / "dialog" / "en.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("import", "word", "a.csv"),
            "unknown format 'word': give one of gettext, openai-messages",
        ),
        (("import", "table", "nothing.csv"), "nothing.csv: no such file or folder"),
        (("import", "table", "{}", "--language", "d e"), "a code has letters, digits, _ and -"),
        (("import", "table", "{}", "--header-row", "0"), "--header-row 0: Input should be greater"),
        (("import", "table", "{}", "--original", "fr"), "the files have no such language: en, de"),
        (("import", "table", "{}", "--character", "<b>"), "--character: give a name that is not"),
        (("import", "table", "{}", "--character", "Bo"), "nobody is called so; nearly 'Bob'"),
        (("import", "renpy", "{}"), "its name ends in '.csv'; give a .rpy file"),
    ],
)
def test_import_mistakes_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    table = str(_table(tmp_path))
    done = _run(*(one.replace("{}", table) for one in arguments), "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", formats())
def test_import_help_has_examples(form: str) -> None:
    done = _run("import", form, "--help")
    assert done.exit_code == 0
    for example in importer(form).EXAMPLES:
        assert example in done.stdout
    assert "--character NAME" in done.stdout


def test_write_corpus_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("reading"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "out", "name: x\n", {"en": []}, stop)
    assert list(tmp_path.iterdir()) == []


def test_write_corpus_appears_by_one_rename_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def rename(self: Path, target: Path) -> Path:
        seen.append((sorted(one.name for one in self.iterdir()), target, target.exists()))
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "rename", rename)
    done = _run("import", "table", _table(tmp_path), "--character", "Ada", "--out",
                tmp_path / "out")  # fmt: skip
    assert seen == [(["corpus.yaml", "dialog"], tmp_path / "out", False)]
    assert done.exit_code == 1
    assert "is full" in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["dialog.csv"]


def test_import_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    table = _table(tmp_path)
    done = _run("import", "table", table, "--character", "Ada", "--out", table / "out")
    assert done.exit_code in (1, 2)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert len(done.stderr.splitlines()) == 1
    assert "dialog.csv" in done.stderr


@pytest.mark.parametrize("codes", [("en",), ("en", "xq7", "chs")])
def test_init_writes_what_check_accepts(tmp_path: Path, codes: tuple[str, ...]) -> None:
    folder = tmp_path / "mine"
    languages = [part for code in codes for part in ("--language", code)]
    done = _run("init", folder, "--character", "Ovelle", *languages)
    assert done.exit_code == 0, done.output
    assert f"next: cyrene corpus check {folder}" in done.output
    report = lint(folder)
    assert report.errors == []
    assert list(report.languages) == list(codes)
    assert report.summary is not None
    again = _run("init", folder)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_init_mistakes_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for arguments, said in (
        (("--language", "a b"), "a code has letters"),
        (("--character", " "), "--character: give a name that is not blank"),
        (("--character", "Ada", "--player", "Ada"), "is the character too"),
    ):
        done = _run("init", folder, *arguments)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
        assert said in done.stderr
        assert not folder.exists()


def test_format_is_one_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path / "formats" / "plain_notes.py",
        '"""Notes: a line each, said by Ada."""\n'
        "from pydantic import Field\n"
        "from cyrene_assets.corpus.importers.files import read_text\n"
        "from cyrene_assets.corpus.importers.imported import Imported, Line, Tally\n"
        "from cyrene_assets.config.yaml_config import Strict\n"
        'SUMMARY = "notes"\n'
        'EXAMPLES = ("cyrene corpus import plain-notes a.txt",)\n'
        "class Options(Strict):\n"
        '    scene: str = Field(default="s", description="What the scene is called.")\n'
        "def read(path, options, hints, progress):\n"
        "    lines = [Line(options.scene, str(n), 'Ada', text)\n"
        "             for n, text in enumerate(read_text(path).split('\\n'))]\n"
        "    return Imported({'en': lines}, Tally())\n",
    )
    monkeypatch.setattr(installed, "__path__", [*installed.__path__, str(tmp_path / "formats")])
    assert "plain-notes" in _run("import", "--help").stdout
    assert "What the scene is called." in _run("import", "plain-notes", "--help").stdout
    notes = write(tmp_path / "a.txt", "Hello.\nGoodbye.")
    done = _run("import", "plain-notes", notes, "--out", tmp_path / "out", "--scene", "x")
    assert done.exit_code == 0, done.output
    [first, _] = (tmp_path / "out" / "dialog" / "en.jsonl").read_text().splitlines()
    assert json.loads(first) == {"scene": "x", "line": "0", "speaker": "Ada", "text": "Hello."}
