import errno
import hashlib
import json
import os
from io import BufferedReader
from pathlib import Path

import polars as pl
import pytest
from mini_corpus import write_jsonl

from corpus.miniature import (
    Record,
    dialog,
    documents,
    read_parallel,
    read_raw,
    settings,
    write_corpus,
)
from cyrene_assets.corpus.chat_tables import spoken_texts
from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.corpus.sources.registry import (
    adapter,
    adapters,
    raw_digest,
    read_listed,
    unread,
)
from cyrene_assets.corpus.sources.types import SourceError
from cyrene_assets.utils.errors import UserError

GOOD = {"scene": "s1", "line": "s1-0", "speaker": "Ada", "text": "Hello."}


def _read(root: Path, language: str = "en") -> list[Record]:
    return read_raw(root, load_corpus(root), language).to_dicts()


def _problems(root: Path, language: str = "en") -> list[str]:
    with pytest.raises(SourceError) as error:
        _read(root, language)
    return str(error.value).split("\n")


def _dialog(root: Path, *lines: bytes | Record) -> Path:
    write_corpus(root)
    raw = [x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines]
    (root / "dialog" / "en.jsonl").write_bytes(b"\n".join(raw) + b"\n")
    return root


def test_rows_are_canonical(tmp_path: Path) -> None:
    rows = _read(write_corpus(tmp_path), "tlh")
    assert rows[0] == {
        "unit": "s1-0",
        "scene": "s1",
        "order": 0,
        "kind": "dialog",
        "speaker": None,
        "role": "narration",
        "title": None,
        "text": "veng DungDaq SIS.",
        "language": "tlh",
        "file": "dialog/tlh.jsonl",
        "line": 1,
        "speaker_id": None,
    }
    assert [row["role"] for row in rows[1:6]] == [
        "other",
        "character",
        "character",
        "player",
        "character",
    ]
    last = rows[-1]
    assert (last["unit"], last["scene"], last["kind"], last["role"]) == (
        "m1",
        "m1",
        "mail",
        "document",
    )
    assert (last["file"], last["line"], last["order"]) == ("documents/tlh.jsonl", 2, 0)


def test_a_scene_may_be_taken_up_again(tmp_path: Path) -> None:
    scenes = ["a", "b", "a"]
    lines = [GOOD | {"scene": scene, "line": str(n)} for n, scene in enumerate(scenes)]
    rows = [row for row in _read(_dialog(tmp_path, *lines)) if row["kind"] == "dialog"]
    assert [(row["scene"], row["order"]) for row in rows] == [("a", 0), ("b", 0), ("a", 1)]


def test_marks_of_single_lines_leave_them_out_of_what_they_are_not_for(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    lines = dialog(0)
    marks = {"s2-1": "nothing", "s2-2": "documents", "s3-1": "chats"}
    marked = [{**one, "only": marks.get(one["line"])} for one in lines]
    write_jsonl(tmp_path / "dialog" / "en.jsonl", marked)
    corpus, parallel = read_parallel(tmp_path)
    units = parallel.units("en")
    assert dict(units.filter(pl.col("only").is_not_null()).select("unit", "only").rows()) == marks
    documents = cpt_documents(units, corpus, "en")["text"].str.join("\n").item()
    chats = spoken_texts(sft_chats(units, corpus, "en")["messages"]).str.join("\n").item()
    said = {one["line"]: one["text"].split(", ")[0] for one in lines}
    here = {name: (said[name] in documents, said[name] in chats) for name in (*marks, "s2-0")}
    assert here == {
        "s2-1": (False, False),
        "s2-2": (True, False),
        "s3-1": (False, True),
        "s2-0": (True, True),
    }
    # The other language has all of its lines, and nothing is missing.
    assert "only" not in parallel.units("tlh").columns
    assert parallel.coverage.is_empty()


def test_names_match_whatever_their_normalization(tmp_path: Path) -> None:
    config = settings()
    config["languages"]["en"]["speakers"] = ["Zoé"]
    write_corpus(tmp_path, config)
    line = GOOD | {"speaker": "Zoe\N{COMBINING ACUTE ACCENT} "}
    write_jsonl(tmp_path / "dialog" / "en.jsonl", [line])
    assert _read(tmp_path)[0]["role"] == "character"


def test_byte_order_mark_windows_line_ends_and_blank_end_are_fine(tmp_path: Path) -> None:
    lines = [json.dumps(GOOD | {"line": str(n)}) for n in range(2)]
    write_corpus(tmp_path)
    data = b"\xef\xbb\xbf" + "\r\n".join([*lines, "", " "]).encode()
    (tmp_path / "dialog" / "en.jsonl").write_bytes(data)
    assert [row["line"] for row in _read(tmp_path)][:2] == [1, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            b"{oops",
            "not valid JSON (Expecting property name enclosed in double quotes at column 2)",
        ),
        (b'{"scene": 1, "scene": 2}', "not valid JSON (a key stands twice in one object)"),
        (b"[" * 100_000, "not valid JSON (nested too deep)"),
        (b"9" * 5000, "not valid JSON"),
        (b"[1]", "not an object but a list; write an object with `scene`, `line`"),
        (
            json.dumps(GOOD | {"only": "chat"}).encode(),
            '`only` is "chat"; write one of "documents", "chats", "nothing", or leave it out',
        ),
        (json.dumps(GOOD | {"only": True}).encode(), "`only` is true; write one of "),
        (
            json.dumps(GOOD)[:-1].encode() + b', "only": "chats", "only": "chats"}',
            "not valid JSON (a key stands twice in one object)",
        ),
        (b"null", "not an object but null"),
        (b"3", "not an object but a number"),
        (b"", "the line is blank; remove it"),
        (b'{"scene": "\xff"}', "of the file; save it as UTF-8"),
        (b'{"scene": "\x00"}', "a NUL byte; remove it"),
        ({**GOOD, "line": "x", "text": "\0"}, "`text` contains a NUL character"),
        ({**GOOD, "line": "x", "text": "\ud800"}, "`text` contains half of a surrogate pair"),
        ({"scene": "s", "line": "x", "speaker": None}, "`text` is missing; give the line `scene`"),
        ({**GOOD, "line": "x", "mood": ""}, "`mood` is no key of this file; keep `scene`"),
        ({**GOOD, "line": 7}, "`line` is a number (7); write a string"),
        ({**GOOD, "line": "x", "text": None}, "`text` is null (null); write a string"),
        ({**GOOD, "line": "x", "speaker": True}, "`speaker` is true or false (true)"),
        ({**GOOD, "line": " "}, "`line` is empty; fill it in"),
        ({**GOOD, "line": "x", "scene": ""}, "`scene` is empty; fill it in"),
        ({**GOOD, "line": "x", "speaker": "A" * 100_001}, "`speaker` has a line over 100,000 char"),
        ({**GOOD, "line": "x", "text": "water " * 900_000}, "`text` has a line over 100,000 char"),
        (b'{"scene": "a", "line": "x", "speaker": null, "text": "b", "text": "c"}', "stands twice"),
        ({**GOOD, "line": "x", "speaker": " \t"}, "`speaker` is blank; name the speaker, or null"),
        (GOOD, "`line` 's1-0' is already on line 1; give each line an id of its own"),
    ],
)
def test_every_problem_names_file_line_and_remedy(
    tmp_path: Path, line: bytes | Record, message: str
) -> None:
    [problem] = _problems(_dialog(tmp_path, GOOD, line, GOOD | {"line": "z"}))
    assert problem.startswith("dialog/en.jsonl:2: ")
    assert message in problem


def test_byte_offset_is_that_of_the_file(tmp_path: Path) -> None:
    root = _dialog(tmp_path, GOOD, b'"\xff"')
    [problem] = _problems(root)
    offset = int(problem.split("byte ")[1].split()[0])
    assert (root / "dialog" / "en.jsonl").read_bytes()[offset] == 0xFF


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"document": "b1"}, "`document` 'b1' is already on line 1"),
        ({"document": ""}, "`document` is empty"),
        ({"kind": " "}, "`kind` is empty"),
        ({"kind": "dialog"}, "`kind` is 'dialog'; put dialog into dialog/en.jsonl"),
        ({"document": "s1"}, "`document` 's1' is also the id of a scene or line"),
        ({"document": "s1-0"}, "`document` 's1-0' is also the id of a scene or line"),
        ({"title": None}, "`title` is null"),
    ],
)
def test_document_problems(tmp_path: Path, document: Record, message: str) -> None:
    write_corpus(tmp_path)
    records = [documents(0)[0], {**documents(0)[1], "document": "new", **document}]
    write_jsonl(tmp_path / "documents" / "en.jsonl", records)
    [problem] = _problems(tmp_path)
    assert problem.startswith("documents/en.jsonl:2: ")
    assert message in problem


def test_all_problems_of_all_files_at_once_up_to_twenty_a_file(tmp_path: Path) -> None:
    root = _dialog(tmp_path, *[b"?"] * 25)
    write_jsonl(root / "documents" / "en.jsonl", [{}])
    problems = _problems(root)
    assert [p.split(":")[1] for p in problems[:20]] == [str(n) for n in range(1, 21)]
    assert problems[20] == "dialog/en.jsonl: 5 more problems; correct the first ones"
    assert [p.split("`")[1] for p in problems[21:]] == ["document", "kind", "title", "text"]


def test_one_file_is_enough_and_none_is_not(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    (tmp_path / "dialog" / "en.jsonl").unlink()
    assert {row["kind"] for row in _read(tmp_path)} == {"book", "mail"}
    (tmp_path / "documents" / "en.jsonl").unlink()
    [problem] = _problems(tmp_path)
    assert "'en', but dialog/en.jsonl and documents/en.jsonl are both missing" in problem
    with pytest.raises(UserError, match="both missing"):
        raw_digest(tmp_path, load_corpus(tmp_path), "en")


def test_a_folder_in_a_files_place(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    (tmp_path / "dialog" / "en.jsonl").unlink()
    (tmp_path / "dialog" / "en.jsonl").mkdir()
    [problem] = _problems(tmp_path)
    assert problem.startswith("dialog/en.jsonl: cannot be read: ")
    with pytest.raises(UserError, match="cannot be read"):
        raw_digest(tmp_path, load_corpus(tmp_path), "en")


def test_what_is_no_file_of_the_folders_own_is_refused(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "corpus")
    path = root / "dialog" / "en.jsonl"
    path.rename(tmp_path / "en.jsonl")
    path.symlink_to(tmp_path / "en.jsonl")
    message = "dialog/en.jsonl: cannot be read: it is a link out of the folder; put the file"
    assert _problems(root)[0].startswith(message)
    path.unlink()
    path.symlink_to(root / "dialog" / "tlh.jsonl")
    assert _read(root)
    path.unlink()
    os.mkfifo(path)
    [problem] = _problems(root)
    assert "it is a pipe, socket or device, not a file" in problem
    with pytest.raises(UserError, match="it is a pipe"):
        raw_digest(root, load_corpus(root), "en")


def test_what_the_system_does_not_show_us_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_corpus(tmp_path)
    corpus = load_corpus(root)
    shown = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if path.parent.name == "dialog":
            raise PermissionError(errno.EACCES, "Permission denied")
        return shown(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(SourceError, match=r"dialog/en.jsonl: cannot be read: Permission denied"):
        read_raw(root, corpus, "en")


def test_utf_16_is_said_once(tmp_path: Path) -> None:
    root = _dialog(tmp_path, GOOD, GOOD | {"line": "z"})
    path = root / "dialog" / "en.jsonl"
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))
    assert _problems(root) == ["dialog/en.jsonl: not UTF-8 but UTF-16; save it as UTF-8"]


def test_many_lines_of_one_scene_are_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyrene_assets.corpus.sources.jsonl.CHUNK", 2)
    lines = [GOOD | {"line": str(n), "text": f'"{n}"' if n % 2 else str(n)} for n in range(5)]
    rows = [row for row in _read(_dialog(tmp_path, *lines)) if row["kind"] == "dialog"]
    assert [(row["order"], row["line"], row["text"]) for row in rows] == [
        (n, n + 1, line["text"]) for n, line in enumerate(lines)
    ]


def test_a_file_is_hashed_once_for_each_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_corpus(tmp_path)
    corpus = load_corpus(root)
    path = root / "dialog" / "en.jsonl"
    hashed: list[str] = []
    digest = hashlib.file_digest

    def counted(file: BufferedReader, name: str) -> object:
        hashed.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    first = raw_digest(root, corpus, "en")
    assert raw_digest(root, corpus, "en") == first
    assert len(hashed) == 4  # Files that have just changed may change again unseen.
    monkeypatch.setattr("cyrene_assets.corpus.sources.raw_files.SETTLED_NS", 0)
    assert raw_digest(root, corpus, "en") == raw_digest(root, corpus, "en") == first
    assert len(hashed) == 6
    path.write_bytes(path.read_bytes().replace(b"Rain", b"Snow"))
    assert raw_digest(root, corpus, "en") != first
    assert len(hashed) == 7


def test_unlisted_language(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no language 'fr'"):
        _read(write_corpus(tmp_path), "fr")


def test_empty_files_give_an_empty_table(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    (tmp_path / "dialog" / "en.jsonl").write_bytes(b"")
    (tmp_path / "documents" / "en.jsonl").write_bytes(b"")
    assert _read(tmp_path) == []


def test_digest_follows_the_languages_files_alone(tmp_path: Path) -> None:
    corpus = load_corpus(write_corpus(tmp_path))
    before = raw_digest(tmp_path, corpus, "en")
    assert len(before) == 16
    config = tmp_path / "corpus.yaml"
    config.write_text("# a comment\n" + config.read_text())
    write_jsonl(tmp_path / "dialog" / "tlh.jsonl", dialog(1)[:3])
    assert raw_digest(tmp_path, load_corpus(tmp_path), "en") == before
    write_jsonl(tmp_path / "dialog" / "en.jsonl", dialog(0)[:3])
    changed = raw_digest(tmp_path, corpus, "en")
    (tmp_path / "documents" / "en.jsonl").unlink()
    assert len({before, changed, raw_digest(tmp_path, corpus, "en")}) == 3


def test_adapters_are_known_by_their_file_names() -> None:
    assert "dialog" in adapters()
    with pytest.raises(UserError, match=r"unknown source adapter '../x'; give one of dialog"):
        adapter("../x")


@pytest.mark.parametrize(
    "array",
    [
        json.dumps([GOOD, GOOD]),
        json.dumps([GOOD, GOOD], indent=2),
        "[\n" + ",\n".join([json.dumps(GOOD)] * 50) + "\n]",
        "\n[]",
    ],
)
def test_read_json_array_is_one_message(tmp_path: Path, array: str) -> None:
    write_corpus(tmp_path)
    (tmp_path / "dialog" / "en.jsonl").write_text(array)
    [problem] = _problems(tmp_path)
    assert "a JSON array, not JSON Lines; write one object per line" in problem


def test_read_extra_keys_are_refused_or_counted(tmp_path: Path) -> None:
    lines = [{**line, "voice": "a.ogg"} for line in dialog(0)]
    lines[0]["mood"] = {"é\\": ["calm"]}
    path = tmp_path / "dialog" / "en.jsonl"
    write_corpus(tmp_path)
    write_jsonl(path, lines)
    assert "`voice` is no key of this file" in _problems(tmp_path)[0]
    assert "write `extra: ignore` in corpus.yaml" in _problems(tmp_path)[0]
    write_corpus(tmp_path, settings(extra="ignore"))
    expected = _read(tmp_path)
    write_jsonl(path, lines)
    rows, counted = read_listed(tmp_path, load_corpus(tmp_path), "en")
    assert rows.to_dicts() == expected
    [problem] = counted
    assert problem.file == "dialog/en.jsonl"
    assert f"`voice` ({len(lines)}), `mood` (1)" in problem.message


def test_read_extra_ignore_does_not_excuse_what_is_missing(tmp_path: Path) -> None:
    write_corpus(tmp_path, settings(extra="ignore"))
    (tmp_path / "dialog" / "en.jsonl").write_text('{"scene": "s", "line": "l", "txt": "a"}\n')
    assert "`text` is missing" in "\n".join(_problems(tmp_path))


def test_source_params_do_not_depend_on_extra(tmp_path: Path) -> None:
    plain = load_corpus(write_corpus(tmp_path / "a"))
    ignoring = load_corpus(write_corpus(tmp_path / "b", settings(extra="ignore")))
    assert plain.source_params("en") == ignoring.source_params("en")


LINES = "".join(json.dumps(GOOD | {"line": str(n)}) + "\n" for n in range(50))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINES.replace(", ", ",\n "), "JSON over several lines"),
        (LINES.replace("\n", "\r"), "its lines end in a carriage return alone; save it with line"),
        (LINES.replace("}\n", "},\n"), "a comma behind the object; remove it, and write one JSON"),
    ],
)
def test_read_file_of_another_layout_names_the_mistake(
    tmp_path: Path, content: str, message: str
) -> None:
    root = write_corpus(tmp_path)
    content = content.replace("{", "{\n", 1) if "several" in message else content
    (root / "dialog" / "en.jsonl").write_bytes(content.encode())
    problems = _problems(root)
    assert problems[0].startswith(f"dialog/en.jsonl:1: {message}")
    assert all(message in one for one in problems[:20])


@pytest.mark.parametrize(
    "name",
    ["dialog/de.json", "Dialog/en.jsonl", "lines.ndjson", "dialog/en/1.JSONL", "dialog/a.csv"],
)
def test_unread_file_that_looks_like_text_is_named(tmp_path: Path, name: str) -> None:
    root = write_corpus(tmp_path)
    for other in ("readme.txt", ".cache/x.jsonl", "voices/a.ogg", "tables/prices.csv"):
        (root / other).parent.mkdir(exist_ok=True)
        (root / other).write_text("", encoding="utf-8")
    assert list(unread(root, load_corpus(root))) == []
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("", encoding="utf-8")
    [problem] = unread(root, load_corpus(root))
    assert str(problem).startswith(f"{name}: is not read: the text of a corpus is in dialog/")
    assert "`cyrene corpus import`" in problem.remedy
