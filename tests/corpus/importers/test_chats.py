import json
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.corpus.importers.imported import ImportHints
from cyrene_assets.utils.errors import UserError

from .importing import bring, write

SHAREGPT = [
    {
        "id": "river",
        "conversations": [
            {"from": "system", "value": "You are Ada, keeper of the weir."},
            {"from": "human", "value": "Where does the river end?"},
            {"from": "gpt", "value": "Where the sea has begun.\nOr so they say."},
            {"from": "function_call", "value": "{}"},
            {"from": "human", "value": "  "},
        ],
    },
    {
        "system": "You are Ada, keeper of the weir.",
        "conversations": [
            {"from": "user", "value": "Good morning to you."},
            {"from": "assistant", "value": "It was, until the cat woke up."},
            {"from": "human", "value": 7},
        ],
    },
    {"conversations": [{"from": "system", "value": "Be brief."}, {"from": "gpt", "value": "Yes."}]},
]
OPENAI = [
    {
        "messages": [
            {"role": "developer", "content": "You are Ada."},
            {"role": "user", "content": [{"type": "text", "text": "Look at this,"},
                                         {"type": "image_url", "image_url": {"url": "x"}},
                                         {"type": "text", "text": "please."}]},
            {"role": "assistant", "content": "A fine boat, and a poor painter."},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
            {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
            {"role": "user", "name": "Bob", "content": "I painted it myself."},
        ]
    }
]  # fmt: skip
HEADER = {
    "user_name": "Traveller",
    "character_name": "Ada",
    "create_date": "2026-08-14@10h02m",
    "chat_metadata": {"note_prompt": ""},
}


def _message(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "is_user": False, "is_system": False, "mes": text, "extra": {}, **more}


TAVERN = [
    HEADER,
    _message("Ada", "Come in, {{user}}, and mind {{char}}'s cat.", swipe_id=1,
             swipes=["Go away.", "Come in, {{user}}, and mind {{char}}'s cat.", "Who is it?"]),
    _message("Traveller", "Is she at home?", is_user=True),
    _message("System", "The chat was renamed.", is_system=True),
    _message("Ada", "She is asleep on the letters."),
]  # fmt: skip


def _jsonl(path: Path, records: list[Any]) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


@pytest.mark.parametrize("array", [False, True])
def test_read_sharegpt_roles_become_people(tmp_path: Path, array: bool) -> None:
    path = tmp_path / "chats.jsonl"
    if array:
        write(path, json.dumps(SHAREGPT, indent=1))
    else:
        _jsonl(path, SHAREGPT)
    done = bring("sharegpt", path, tmp_path / "out", players=("Bob",))
    assert done.rows == {
        "en": [
            ("river", "river-001", "Bob", "Where does the river end?"),
            ("river", "river-002", "Ada", "Where the sea has begun.\nOr so they say."),
            ("chats-2", "chats-2-001", "Bob", "Good morning to you."),
            ("chats-2", "chats-2-002", "Ada", "It was, until the cat woke up."),
            ("chats-3", "chats-3-001", "Ada", "Yes."),
        ]
    }
    assert done.corpus.languages["en"].system_prompt == "You are Ada, keeper of the weir."
    assert done.corpus.languages["en"].player == "Bob"
    assert done.skipped == {
        "no turn of user or assistant (from: 'function_call')": 1,
        "no text": 1,
        "the text is a number": 1,
    }
    assert any("1 other system prompt is not kept" in n for n in done.report.imported.tally.notes)


def test_read_openai_messages_take_text_parts(tmp_path: Path) -> None:
    done = bring("openai-messages", _jsonl(tmp_path / "t.jsonl", OPENAI), tmp_path / "out")
    assert done.said["en"] == [
        ("user", "Look at this,\nplease."),
        ("Ada", "A fine boat, and a poor painter."),
        ("Bob", "I painted it myself."),
    ]
    assert done.corpus.languages["en"].player == "user"
    assert done.corpus.languages["en"].system_prompt == "You are Ada."
    assert done.skipped == {
        "a part that is no text (image_url)": 1,
        "a call of a tool": 1,
        "no message of user or assistant (role: 'tool')": 1,
    }


def test_read_sillytavern_finds_everybody_by_itself(tmp_path: Path) -> None:
    _jsonl(tmp_path / "Ada" / "first.jsonl", TAVERN)
    _jsonl(tmp_path / "Ada" / "second.jsonl", [HEADER, *TAVERN[2:]])
    done = bring("sillytavern", tmp_path / "Ada", tmp_path / "out", character=())
    assert done.rows["en"] == [
        ("first", "first-001", "Ada", "Come in, {{user}}, and mind {{char}}'s cat."),
        ("first", "first-002", "Traveller", "Is she at home?"),
        ("first", "first-003", "Ada", "She is asleep on the letters."),
        ("second", "second-001", "Traveller", "Is she at home?"),
        ("second", "second-002", "Ada", "She is asleep on the letters."),
    ]
    assert done.report.character == ["Ada"]
    assert done.corpus.languages["en"].player == "Traveller"
    assert done.skipped == {"another swipe of a message": 2, "a message of the system": 2}
    [user, character] = done.corpus.rules().own
    assert "Ada" in str(character.becomes)
    assert user.becomes is not character.becomes


def test_read_language_is_found_or_given(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "Guten Morgen, wie geht es dir heute?"},
        {"from": "gpt", "value": "Es geht mir gut, danke der Frage."},
    ]
    path = _jsonl(tmp_path / "c.jsonl", [{"conversations": turns}])
    assert list(bring("sharegpt", path, tmp_path / "a").rows) == ["de"]
    given = bring("sharegpt", path, tmp_path / "b", hints=ImportHints(language="xq7"))
    assert list(given.rows) == ["xq7"]


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("sharegpt", '{"conversations": []}\n[1]\n', "c.jsonl:2: not an object but a list"),
        ("sharegpt", "\n{nonsense\n", "c.jsonl:2: not valid JSON"),
        ("sharegpt", '{"messages": []}', "are the format openai-messages"),
        ("openai-messages", '{"conversations": []}', "are the format sharegpt"),
        ("openai-messages", '[{"messages": []}, 3]', "entry 2 is a number"),
        ("openai-messages", '[\n{"messages": []},\n]', "c.jsonl:3: not valid JSON"),
        ("openai-messages", "", "no line of dialog was read"),
        ("sillytavern", json.dumps(TAVERN), "a JSON array, not JSON Lines; write one object per"),
        ("sillytavern", '{"messages": []}', "c.jsonl:1: no header of a SillyTavern chat"),
        ("sillytavern", json.dumps(HEADER) + '\n{"name": "Ada"}', "c.jsonl:2: no message"),
    ],
)
def test_read_what_cannot_be_used_is_one_message(
    tmp_path: Path, form: str, text: str, said: str
) -> None:
    with pytest.raises(UserError) as error:
        bring(form, write(tmp_path / "c.jsonl", text), tmp_path / "out")
    [message] = str(error.value).splitlines()
    assert said in message
    assert not (tmp_path / "out").exists()
