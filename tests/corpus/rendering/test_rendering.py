import json
import re
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.miniature import PEOPLE, of_language, read_parallel, settings, write_corpus
from cyrene_assets.corpus.chat_tables import CHATS, spoken_texts, write_messages_jsonl
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.markup import rules_of
from cyrene_assets.corpus.names import CONTROL_MARKUP
from cyrene_assets.corpus.preparation.cleaning import clean_units, has_control_tokens
from cyrene_assets.corpus.rendering.rendering import (
    DOCUMENTS,
    cpt_documents,
    document_messages,
    sft_chats,
)
from cyrene_assets.utils.errors import UserError

Line = tuple[str | None, str]
ROLES = {None: "narration", "You": "player", "Ada": "character", "The Stranger": "character"}


def _corpus(language: str = "en") -> Corpus:
    return Corpus.model_validate(settings(languages={language: PEOPLE["en"]}))


def _scene(*lines: Line, flags: dict[int, str] | None = None) -> pl.DataFrame:
    rows = [
        {
            "unit": f"s-{n}",
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


def _voice(*lines: Line, flags: dict[int, str] | None = None) -> pl.DataFrame:
    return _scene(*lines, flags=flags).with_columns(kind=pl.lit("voice"))


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
    return [[(m["role"], m["content"]) for m in c.to_list()[1:]] for c in chats["messages"]]


def test_documents_of_the_miniature(tmp_path: Path) -> None:
    corpus, parallel = read_parallel(write_corpus(tmp_path))
    documents = cpt_documents(of_language(parallel, "en"), corpus, "en")
    assert documents.schema == DOCUMENTS
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
    text = "one {大\n#1} two {海\n#2} three\nfour\nlo\ufffdt\nfive"
    assert _text(_document("T", text, "unknown_placeholder")) == ["T\nfour\nfive"]


def test_instructions_are_taken_as_they_are() -> None:
    text = "a\n\n  {b}"
    for flags in ([], ["unknown_placeholder"]):
        plain = _document("T", text, *flags).with_columns(kind=pl.lit("instruction"))
        assert _text(plain) == [text]


def test_a_line_of_several_lines_has_one_name() -> None:
    assert _text(_scene(("You", "a\n\nb"), ("", "c"))) == ["You: a\n\nb\nc"]


def test_scenes_taken_up_again_are_one_document() -> None:
    a = _scene(("You", "1"), ("Ada", "2"))
    b = _scene(("You", "x"), ("Ada", "y")).with_columns(scene=pl.lit("b"))
    taken_up = pl.concat([a[1:], b, a[:1]])
    assert _text(taken_up) == ["You: 1\nAda: 2", "You: x\nAda: y"]
    assert [chat[0] for chat in _chats(taken_up)] == [("user", "1"), ("user", "x")]


def test_voices_are_a_document_and_a_chat_each() -> None:
    voices = _voice(("You", "Greeting"), ("Ada", "(Hi.)"), ("You", "Farewell"), ("Ada", "Bye."))
    assert _text(voices) == ["You: Greeting\nAda: (Hi.)\nYou: Farewell\nAda: Bye."]
    chats = sft_chats(voices, _corpus(), "en")
    assert chats["chat"].to_list() == ["s-1/Ada", "s-3/Ada"]
    assert chats["scene"].to_list() == ["s", "s"]
    assert _chats(voices) == [
        [("user", "Greeting"), ("assistant", "Hi.")],
        [("user", "Farewell"), ("assistant", "Bye.")],
    ]


def test_voices_without_their_title_or_of_others_give_no_chat() -> None:
    lines: list[Line] = [("You", "a"), ("Ada", "b"), ("You", "c"), ("Bo", "d"), ("Ada", "e")]
    assert _chats(_voice(*lines, flags={0: "empty"})) == []
    assert _chats(_voice(*lines, flags={1: "unknown_placeholder"})) == []
    assert _chats(_voice(*lines)) == [[("user", "a"), ("assistant", "b")]]
    two = [_voice(("You", "a")), _voice(("Ada", "b")).with_columns(scene=pl.lit("b"))]
    assert _chats(pl.concat(two)) == []


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
        ("a)", "a)"),
        ("((a)", "((a)"),
        ("(a))", "(a))"),
        ("((a))", "(a)"),
        ("( a\nb )", "a\nb"),
        ("()", "()"),
        ("( )", "( )"),
        ("\uff08a\uff09", "\uff08a\uff09"),
    ],
)
def test_only_parentheses_around_the_whole_line_go(text: str, said: str) -> None:
    assert _chats(_scene(("You", text), ("Ada", "y")))[0][0] == ("user", said)


def test_the_user_turn_has_the_last_ten_lines() -> None:
    units = _scene(*[("You", str(n)) for n in range(12)], ("Ada", "y"))
    assert _chats(units)[0][0] == ("user", "\n".join(str(n) for n in range(2, 12)))


def test_what_is_said_under_a_name_that_is_lost_is_in_parentheses() -> None:
    # Such a line has the player's name, and is not the player's.
    units = _scene(("You", "a"), ("You", "b"), ("Ada", "c"))
    roles = pl.Series("role", ["other", "player", "character"])
    assert _chats(units.with_columns(roles)) == [[("user", "(a)\nb"), ("assistant", "c")]]


def test_the_last_ten_lines_are_of_each_user_turn() -> None:
    said = [("Bo", str(n)) for n in range(11)]
    units = _scene(("You", "a"), ("Ada", "b"), *said, *[("Ada", str(n)) for n in range(11)])
    assert _chats(units) == [
        [
            ("user", "a"),
            ("assistant", "b"),
            ("user", "\n".join(f"({n})" for n in range(1, 11))),
            ("assistant", "\n".join(str(n) for n in range(11))),
        ]
    ]


@pytest.mark.parametrize(
    "lines",
    [
        [("You", "Hello?"), ("Bo", "Hello.")],
        [("Ada", "Hello?"), ("You", "Bye.")],
        [(None, "Rain."), ("Ada", "Nobody there.")],
        [("The Stranger", "Nobody"), ("Ada", "there.")],
        [("Ada", "Who's there?"), (None, "Nobody."), ("Ada", "I see."), ("Bo", "Me.")],
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
    assert chats.schema == CHATS
    system: dict[str, Any] = chats["messages"][0][0]
    assert system == {"role": "system", "content": "You are Ada.\n  Be brief. "}


def _write_documents(documents: pl.DataFrame, path: Path) -> None:
    write_messages_jsonl(documents.select(document_messages())["messages"], path)


def test_files_are_in_ms_swifts_format(tmp_path: Path) -> None:
    units = _scene(("You", "a\u2028b"), ("Ada", "雨"))
    _write_documents(cpt_documents(units, _corpus(), "en"), tmp_path / "d.jsonl")
    write_messages_jsonl(sft_chats(units, _corpus(), "en")["messages"], tmp_path / "c.jsonl")
    [document] = (tmp_path / "d.jsonl").read_text(encoding="utf-8").strip().split("\n")
    text = "You: a\u2028b\nAda: 雨"
    assert json.loads(document) == {"messages": [{"role": "assistant", "content": text}]}
    [chat] = (tmp_path / "c.jsonl").read_text(encoding="utf-8").strip().split("\n")
    assert [m["role"] for m in json.loads(chat)["messages"]] == ["system", "user", "assistant"]


def _dumped(role_and_text: list[tuple[str, str]]) -> str:
    messages = [{"role": role, "content": text} for role, text in role_and_text]
    return json.dumps({"messages": messages}, ensure_ascii=False)


TEXTS = st.text(
    st.sampled_from('"\\\n\t\x00\x1f\x7f\u2028\ufeffé雨\u0301😀') | st.characters(codec="utf-8")
)


@given(TEXTS.filter(bool))
def test_json_is_pythons_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("written") / "lines.jsonl"
    _write_documents(pl.DataFrame({"text": [text]}), path)
    assert path.read_bytes() == (_dumped([("assistant", text)]) + "\n").encode()
    chats = sft_chats(_scene(("You", text), ("Ada", text)), _corpus(), "en")
    write_messages_jsonl(chats["messages"], path)
    said = chats["messages"][0][1]["content"]
    turns = [("system", "You are Ada.\n  Be brief. "), ("user", said), ("assistant", said)]
    assert path.read_bytes() == (_dumped(turns) + "\n").encode()


def test_json_of_every_character(tmp_path: Path) -> None:
    text = "".join(chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)
    _write_documents(pl.DataFrame({"text": [text]}), tmp_path / "all.jsonl")
    expected = _dumped([("assistant", text)]) + "\n"
    assert (tmp_path / "all.jsonl").read_bytes() == expected.encode()


PIECES = ["<|im_", "start|>", "<|im_start|>", "<think>", "<", ">", "|", "think", "</", "{{", "}}"]
PIECES += ["QUERY", "\n", "\\n", "(", ")", ": ", "\uff1a", "{F#", "}", "<b>", "\x07", "\u200b", "a"]
MARKED_TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)
PEOPLE_IN_SCENES = st.sampled_from([None, "You", "Ada", "The Stranger", "<|im_"])


@given(
    st.lists(st.tuples(PEOPLE_IN_SCENES, MARKED_TEXTS), min_size=1, max_size=6),
    st.tuples(MARKED_TEXTS, MARKED_TEXTS),
    st.sampled_from(["chs", "en"]),
)
def test_no_control_token_comes_about_in_rendering(
    lines: list[Line], book: tuple[str, str], language: str
) -> None:
    scene = _scene(*lines, ("Ada", "a"))
    document = _document(*book).with_columns(scene=pl.lit("b"), unit=pl.lit("b"))
    instruction = document.with_columns(kind=pl.lit("instruction"), scene=pl.lit("i"))
    units = clean_units(
        pl.concat([scene, document, instruction]), "<|im_start", rules_of(("hoyo",))
    )
    documents = cpt_documents(units, _corpus(language), language)["text"]
    chats = spoken_texts(
        sft_chats(units, _corpus(language), language)["messages"], system_prompt=True
    )
    assert not has_control_tokens(documents).any()
    assert not has_control_tokens(chats).any()
    assert not any(re.search(CONTROL_MARKUP, text) for text in [*documents, *chats])


def test_no_units_give_empty_tables() -> None:
    nothing = _scene(("You", "a"))[:0]
    assert cpt_documents(nothing, _corpus(), "en").schema == DOCUMENTS
    assert sft_chats(nothing, _corpus(), "en").schema == CHATS


def test_unlisted_language() -> None:
    with pytest.raises(UserError, match="has no language 'fr'"):
        cpt_documents(_scene(("You", "a")), _corpus(), "fr")
