import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.render import (
    CHAT_SCHEMA,
    DOCUMENT_SCHEMA,
    cpt_documents,
    sft_chats,
    write_chat_jsonl,
    write_document_jsonl,
)
from cyrene_assets.errors import UserError

from .miniature import PEOPLE, of_language, read_parallel, settings, write_corpus

Line = tuple[str | None, str]
ROLES = {None: "narration", "You": "player", "Ada": "character", "The Stranger": "character"}


def _corpus(language: str = "en") -> Corpus:
    return Corpus.model_validate(settings(languages={language: PEOPLE["en"]}))


def _scene(*lines: Line, flags: dict[int, str] | None = None) -> pl.DataFrame:
    rows = [
        {
            "scene": "s",
            "order": n,
            "kind": "dialog",
            "speaker": speaker,
            "role": ROLES.get(speaker, "other"),
            "title": None,
            "text": text,
            "split": "train",
            "flags": [(flags or {})[n]] if n in (flags or {}) else [],
        }
        for n, (speaker, text) in enumerate(lines)
    ]
    schema: dict[str, Any] = {"title": pl.String, "flags": pl.List(pl.String), "speaker": pl.String}
    return pl.DataFrame(rows, schema_overrides=schema)


def _document(title: str | None, text: str, *flags: str) -> pl.DataFrame:
    return _scene((None, text)).with_columns(
        kind=pl.lit("book"),
        title=pl.lit(title, dtype=pl.String),
        flags=pl.lit(pl.Series([list(flags)], dtype=pl.List(pl.String))),
    )


def _text(units: pl.DataFrame, language: str = "en") -> list[str]:
    texts: list[str] = cpt_documents(units, _corpus(language), language)["text"].to_list()
    return texts


def _chats(units: pl.DataFrame, language: str = "en") -> list[list[tuple[str, str]]]:
    chats = sft_chats(units, _corpus(language), language)
    return [[(m["role"], m["content"]) for m in json.loads(c)[1:]] for c in chats["messages"]]


def test_documents_of_the_miniature(tmp_path: Path) -> None:
    corpus, parallel = read_parallel(write_corpus(tmp_path))
    documents = cpt_documents(of_language(parallel, "en"), corpus, "en")
    assert documents.schema == DOCUMENT_SCHEMA
    assert documents["document"].to_list() == ["s1", "s2", "s3", "s4", "b1", "m1"]
    texts = documents["text"].to_list()
    assert texts[0].startswith("Rain falls on the harbour town.\nBo: Is somebody at the door?\n")
    assert texts[1].split("\n")[2:4] == [
        "Bo: (She says that to everybody.)",
        "Ada: Not to everybody.",
    ]
    assert texts[-1] == "A Note\nDear You,\nbring rope."
    assert documents["characters"].to_list() == [len(text) for text in texts]
    assert documents.filter(split="validation").height == 1


@pytest.mark.parametrize(
    ("language", "line"),
    [("chs", "Ada\uff1ahm"), ("cht", "Ada\uff1ahm"), ("jp", "Ada: hm"), ("tlh", "Ada: hm")],
)
def test_the_colon_is_the_languages(language: str, line: str) -> None:
    assert _text(_scene(("Ada", "hm")), language) == [line]


def test_what_is_flagged_is_left_out() -> None:
    flags = {0: "unknown_placeholder", 1: "empty", 3: "untranslated_copy", 4: "control_tokens"}
    lines = [(None, str(n)) for n in range(5)]
    assert _text(_scene(*lines, flags=flags)) == ["2\n3\n4"]
    assert _text(_scene((None, "x"), flags={0: "duplicate"})) == []


def test_documents_lose_the_lines_with_unknown_placeholders() -> None:
    text = "one\n{AETHER#7} two\nthree {大地, 海}"
    assert _text(_document("T", text, "unknown_placeholder")) == ["T\none\nthree {大地, 海}"]
    assert _text(_document("{X}", "one", "unknown_placeholder")) == ["one"]
    assert _text(_document(None, "{X}", "unknown_placeholder")) == []
    assert _text(_document("", "one")) == ["one"]
    assert _text(_document("T", "", "empty")) == []


def test_scenes_taken_up_again_are_one_document() -> None:
    a = _scene((None, "1"), (None, "2"))
    b = _scene((None, "x")).with_columns(scene=pl.lit("b"))
    assert _text(pl.concat([a[:1], b, a[1:]])) == ["1\n2", "x"]


def test_chats_alternate_from_the_first_user_turn_to_her_last_line() -> None:
    units = _scene(
        ("Ada", "before anybody speaks"),
        (None, "Rain."),
        ("Bo", "(Who is it?)"),
        ("You", "Me."),
        ("Ada", "Come in."),
        ("Ada", "And sit."),
        ("You", "Thanks."),
        ("Ada", "(whispering)"),
        ("You", "What?"),
    )
    assert _chats(units) == [
        [
            ("user", "(Rain.)\n(Who is it?)\nMe."),
            ("assistant", "Come in.\nAnd sit."),
            ("user", "Thanks."),
            ("assistant", "whispering"),
        ]
    ]


def test_parentheses_are_full_width_in_chinese_only() -> None:
    units = _scene(("Bo", "x"), ("Ada", "y"))
    for language in ("chs", "cht"):
        assert _chats(units, language)[0][0] == ("user", "\uff08x\uff09")
    for language in ("jp", "tlh"):
        assert _chats(units, language)[0][0] == ("user", "(x)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(a)", "a"),
        ("(a) b (c)", "(a) b (c)"),
        ("((a) b)", "(a) b"),
        ("(a", "(a"),
        ("()", "()"),
        ("\uff08a\uff09", "\uff08a\uff09"),
    ],
)
def test_only_parentheses_around_the_whole_line_go(text: str, said: str) -> None:
    assert _chats(_scene(("You", text), ("Ada", "y")))[0][0] == ("user", said)


def test_the_user_turn_has_the_last_ten_lines() -> None:
    units = _scene(*[("You", str(n)) for n in range(12)], ("Ada", "y"))
    assert _chats(units)[0][0] == ("user", "\n".join(str(n) for n in range(2, 12)))


@pytest.mark.parametrize(
    "lines",
    [
        [("You", "Hello?"), ("Bo", "Hello.")],
        [("Ada", "Hello?"), ("You", "Bye.")],
        [(None, "Rain."), ("Ada", "Nobody there.")],
        [("The Stranger", "Nobody"), ("Ada", "there.")],
    ],
)
def test_scenes_in_which_nobody_speaks_to_her_give_no_chat(lines: list[Line]) -> None:
    assert _chats(_scene(*lines)) == []


def test_each_of_her_names_has_a_chat_of_its_own() -> None:
    units = _scene(("You", "Who?"), ("The Stranger", "I."), ("You", "You?"), ("Ada", "Ada."))
    chats = sft_chats(units, _corpus(), "en")
    assert chats["chat"].to_list() == ["s/The Stranger", "s/Ada"]
    assert chats["turns"].to_list() == [1, 1]
    assert _chats(units)[1] == [("user", "Who?\nI.\nYou?"), ("assistant", "Ada.")]


def test_flagged_lines_are_not_in_chats() -> None:
    units = _scene(("You", "a"), ("Ada", "b"), ("Ada", "{X}"), flags={2: "unknown_placeholder"})
    assert _chats(units) == [[("user", "a"), ("assistant", "b")]]


def test_the_system_prompt_is_byte_for_byte_the_corpus_files() -> None:
    chats = sft_chats(_scene(("You", "a"), ("Ada", "b")), _corpus(), "en")
    assert chats.schema == CHAT_SCHEMA
    system: dict[str, Any] = json.loads(chats["messages"][0])[0]
    assert system == {"role": "system", "content": "You are Ada.\n  Be brief. "}


def test_files_are_in_ms_swifts_format(tmp_path: Path) -> None:
    units = _scene(("You", "a\u2028b"), ("Ada", "雨"))
    write_document_jsonl(cpt_documents(units, _corpus(), "en"), tmp_path / "d.jsonl")
    write_chat_jsonl(sft_chats(units, _corpus(), "en"), tmp_path / "c.jsonl")
    [document] = (tmp_path / "d.jsonl").read_text(encoding="utf-8").strip().split("\n")
    text = "You: a\u2028b\nAda: 雨"
    assert json.loads(document) == {"messages": [{"role": "assistant", "content": text}]}
    [chat] = (tmp_path / "c.jsonl").read_text(encoding="utf-8").strip().split("\n")
    assert [m["role"] for m in json.loads(chat)["messages"]] == ["system", "user", "assistant"]


def test_no_units_give_empty_tables() -> None:
    nothing = _scene(("You", "a"))[:0]
    assert cpt_documents(nothing, _corpus(), "en").schema == DOCUMENT_SCHEMA
    assert sft_chats(nothing, _corpus(), "en").schema == CHAT_SCHEMA


def test_unlisted_language() -> None:
    with pytest.raises(UserError, match="has no language 'fr'"):
        cpt_documents(_scene(("You", "a")), _corpus(), "fr")
