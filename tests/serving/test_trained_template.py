"""What a trained model's template renders: every turn's prompt as training has it."""

import json
from functools import cache
from pathlib import Path
from typing import Any, cast

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cyrene_assets.base_models.chat_template import CHAT_TEMPLATE
from cyrene_assets.corpus.chat_tables import chatml_text
from cyrene_assets.serving.chat_template import (
    TEMPLATE,
    character_template,
    own_template,
    trained_template,
    write_template,
)
from cyrene_assets.utils.chat import Message

ENVIRONMENT = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
AFTER_QUERY = "loop.index0 > ns.last_query_index"
# Qwen3.5's models differ in whether they think where a request says nothing; later ones keep
# thoughts.
BASES = {
    "thinks": CHAT_TEMPLATE,
    "thinks if told to": CHAT_TEMPLATE.replace("enable_thinking is false", "not enable_thinking"),
    "keeps thoughts": CHAT_TEMPLATE.replace(
        AFTER_QUERY, f"preserve_thinking is undefined or preserve_thinking or {AFTER_QUERY}"
    ),
}


@cache
def compiled(template: str) -> jinja2.Template:
    return ENVIRONMENT.from_string(template)


def render(template: str, messages: list[dict[str, Any]], **options: Any) -> str:
    """Render as transformers and vLLM do."""
    return compiled(template).render(messages=messages, **options)


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


SYSTEM, HELLO = turn("system", "You are Ovelle."), turn("user", "Hello.")
OPEN = "<|im_start|>assistant\n"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
    lambda text: "</think>" not in text
)


def plain(messages: list[dict[str, Any]]) -> str:
    return chatml_text(cast(list[Message], messages))


@st.composite
def chats(draw: st.DrawFn) -> list[dict[str, str]]:
    texts = draw(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
    said = [
        turn(role, text)
        for user, answer in texts
        for role, text in (("user", user), ("assistant", answer))
    ]
    return [turn("system", draw(st.sampled_from(["", " \n", "You are Ovelle.\n"]))), *said]


@pytest.fixture(params=BASES)
def base(request: pytest.FixtureRequest) -> str:
    return BASES[request.param]


@pytest.mark.parametrize("name", BASES)
@given(chat=chats())
@settings(deadline=None, max_examples=50)
def test_every_turn_follows_the_text_of_the_turns_before_it(
    name: str, chat: list[dict[str, Any]]
) -> None:
    template = trained_template(BASES[name])
    character = character_template(template, {"en": chat[0]["content"]}, "en")
    for at in range(2, len(chat), 2):
        prompt = plain(chat[:at]) + OPEN
        for options in ({}, {"enable_thinking": False}, {"enable_thinking": None}):
            asked = {"add_generation_prompt": True, **options}
            assert render(template, chat[:at], **asked) == prompt
            assert render(character, chat[:at], **asked) == prompt
            assert render(character, chat[1:at], **asked) == prompt
        thinking = render(template, chat[:at], add_generation_prompt=True, enable_thinking=True)
        assert thinking == prompt + "<think>\n"
    assert render(template, chat) == render(character, chat[1:]) == plain(chat)


def test_the_base_s_own_template_is_another(base: str) -> None:
    """Were it none, the tests above would show nothing."""
    chat = [SYSTEM, HELLO, turn("assistant", "Hi."), HELLO]
    options = {"add_generation_prompt": True, "enable_thinking": False}
    assert render(base, chat, **options) != plain(chat) + OPEN


def test_an_answer_to_be_gone_on_with_has_no_think_block(base: str) -> None:
    chat = [SYSTEM, HELLO, turn("assistant", "It was")]
    assert render(trained_template(base), chat) == plain(chat)
    parts = [{"type": "text", "text": "It "}, {"type": "text", "text": "was"}]
    said = [*chat[:2], turn("assistant", parts)]
    assert render(trained_template(base), said) == plain(chat)


def test_thoughts_that_a_client_sends_back_are_gone_in_the_next_turn(base: str) -> None:
    thought = turn("assistant", "<think>\nHm.\n</think>\n\nHi.")
    said, template = turn("assistant", "Hi."), trained_template(base)
    for chat, expected in (
        ([SYSTEM, HELLO, thought, HELLO], [SYSTEM, HELLO, said, HELLO]),
        ([SYSTEM, HELLO, thought], [SYSTEM, HELLO, said]),
    ):
        assert render(template, chat, preserve_thinking=True) == plain(expected)
    kept = render(template, [SYSTEM, HELLO, thought], enable_thinking=True)
    assert kept.endswith("<think>\nHm.\n</think>\n\nHi.<|im_end|>\n")


def test_calls_of_tools_are_rendered_as_the_base_does() -> None:
    called = {**turn("assistant", ""), "tool_calls": [{"function": {"name": "look"}}]}
    chat = [SYSTEM, HELLO, called, turn("tool", "Rain.")]
    options = {"enable_thinking": False}
    template, own = trained_template(CHAT_TEMPLATE), render(CHAT_TEMPLATE, chat, **options)
    assert render(template, chat, add_generation_prompt=True, **options) == own + OPEN
    answered = render(template, [*chat, turn("assistant", "It rains.")], **options)
    assert answered == f"{own}{OPEN}It rains.<|im_end|>\n"


def test_a_trained_template_stays_as_it_is(base: str) -> None:
    """An exported model may be the next base."""
    template = trained_template(base)
    assert trained_template(template) == template
    exported = character_template(template, {"en": "You are Mira."}, "en")
    again = character_template(trained_template(exported), {"en": SYSTEM["content"]}, "en")
    prompt = render(again, [HELLO], add_generation_prompt=True)
    assert prompt == plain([SYSTEM, HELLO]) + OPEN


def test_every_file_that_holds_a_template_gets_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"a": "\u96e8", "chat_template": "old"}')
    (tmp_path / "chat_template.json").write_text('{"chat_template": "old"}')
    write_template(tmp_path, "new\n\u96e8")
    assert own_template(tmp_path) == "new\n\u96e8"
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config == {"a": "\u96e8", "chat_template": "new\n\u96e8"}
    (tmp_path / TEMPLATE).unlink()
    assert own_template(tmp_path) == "new\n\u96e8"
    assert json.loads((tmp_path / "chat_template.json").read_text()) == {
        "chat_template": "new\n\u96e8"
    }
    other = tmp_path / "other"
    other.mkdir()
    (other / "tokenizer_config.json").write_text("{}")
    write_template(other, "new")
    assert (other / "tokenizer_config.json").read_text() == "{}"
