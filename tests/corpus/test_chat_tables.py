import json
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyrene_assets.corpus.chat_tables import (
    MESSAGES,
    ROWS_WRITTEN_AT_ONCE,
    chatml_text,
    chatml_texts,
    decode_chats,
    encode_chats,
    last_contents,
    messages_json,
    messages_series,
    spoken_texts,
    write_messages_jsonl,
)
from cyrene_assets.utils.chat import Message

CHAT: list[Message] = [
    {"role": "system", "content": "S "},
    {"role": "user", "content": 'Who?\n"Bo"'},
    {"role": "assistant", "content": "\nMe."},
]
TEXTS = st.text(
    st.sampled_from('"\\\n\t\x00\x1f\x7f\u2028\ufeffé雨\u0301😀') | st.characters(codec="utf-8")
)
CHATS = st.lists(
    st.lists(
        st.builds(
            lambda role, content: Message(role=role, content=content),
            st.sampled_from(["system", "user", "assistant"]),
            TEXTS,
        ),
        max_size=4,
    ),
    max_size=4,
)


@given(CHATS)
def test_messages_json_of_any_chats_is_pythons_and_decodes_to_them(
    chats: list[list[Message]],
) -> None:
    table = messages_series(chats).to_frame()
    encoded = encode_chats(table)
    assert encoded["messages"].to_list() == [json.dumps(c, ensure_ascii=False) for c in chats]
    assert decode_chats(encoded).equals(table)
    assert decode_chats(encoded).schema == {"messages": MESSAGES}


def test_messages_json_of_every_character_is_pythons() -> None:
    text = "".join(chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)
    chat: list[Message] = [{"role": "assistant", "content": text}]
    assert messages_json(messages_series([chat])).item() == json.dumps(chat, ensure_ascii=False)


@pytest.mark.parametrize("rows", [0, ROWS_WRITTEN_AT_ONCE, ROWS_WRITTEN_AT_ONCE + 1])
def test_write_messages_jsonl_writes_all_rows_in_their_order(tmp_path: Path, rows: int) -> None:
    messages = messages_series([[{"role": "user", "content": str(n)}] for n in range(rows)])
    write_messages_jsonl(messages, tmp_path / "lines.jsonl")
    expected = "".join(
        f'{{"messages": [{{"role": "user", "content": "{n}"}}]}}\n' for n in range(rows)
    )
    assert (tmp_path / "lines.jsonl").read_text(encoding="utf-8") == expected


def test_chatml_text_of_a_chat_is_what_the_template_renders_in_training() -> None:
    assert chatml_text(CHAT) == (
        '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nWho?\n"Bo"<|im_end|>\n'
        "<|im_start|>assistant\nMe.<|im_end|>\n"
    )


def test_chatml_text_of_an_empty_system_prompt_has_no_such_message() -> None:
    chat: list[Message] = [{"role": "system", "content": " "}, {"role": "user", "content": ""}]
    assert chatml_text(chat) == "<|im_start|>user\n<|im_end|>\n"


@given(TEXTS)
def test_chatml_text_of_any_content_loses_what_python_strips(text: str) -> None:
    chat: list[Message] = [{"role": "user", "content": text}]
    assert chatml_text(chat) == f"<|im_start|>user\n{text.strip()}<|im_end|>\n"


def test_spoken_texts_of_chats_are_what_is_said_without_the_system_prompt() -> None:
    chats = messages_series([CHAT, CHAT[:1]])
    assert spoken_texts(chats).to_list() == ['Who?\n"Bo"\n\nMe.', ""]
    assert spoken_texts(chats, system_prompt=True).to_list() == ['S \nWho?\n"Bo"\n\nMe.', "S "]
    assert last_contents(chats).to_list() == ["\nMe.", "S "]


def test_texts_of_no_chats_are_empty_columns_of_strings() -> None:
    nothing = messages_series([])
    for texts in (chatml_texts(nothing), spoken_texts(nothing), messages_json(nothing)):
        assert texts.dtype == pl.String
        assert texts.is_empty()
