import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
from front_ends import REQUESTS
from hostile import PAYLOADS
from jinja2 import meta, sandbox

from cyrene_assets.serving.chat_template import character_template, own_template
from cyrene_assets.utils.errors import UserError

ORIGINAL = (
    "{%- for m in messages -%}[{{ m.role }}|{{ m.content }}]{%- endfor -%}"
    "{%- if enable_thinking -%}think{%- endif -%}"
)
PROMPTS = {
    "en": 'Say "hi", don\'t \\ stop.\n  {{ not.a.variable }} {% raw %} <|x|>',
    "jp": "あなたは\u2028灯守り。🕯",
}


def render(template: str, messages: list[dict[str, str]], **options: Any) -> str:
    """Render as transformers and vLLM do."""
    environment = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(template).render(messages=messages, **options)


@pytest.fixture
def template() -> str:
    return character_template(ORIGINAL, PROMPTS, "en")


HELLO = {"role": "user", "content": "Hello."}


@pytest.mark.parametrize(
    ("options", "language"), [({}, "en"), ({"language": "jp"}, "jp"), ({"language": ""}, "en")]
)
def test_a_request_without_a_system_message_gets_the_character_s(
    template: str, options: dict[str, str], language: str
) -> None:
    shown = render(template, [HELLO], **options)
    assert shown == f"[system|{PROMPTS[language]}][user|Hello.]"


def test_a_request_with_a_system_message_keeps_it(template: str) -> None:
    own = {"role": "system", "content": "Be brief."}
    assert render(template, [own, HELLO], language="jp") == "[system|Be brief.][user|Hello.]"


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


PARTS = [{"type": "text", "text": "Be "}, {"type": "image"}, {"type": "text", "text": "brief."}]
EN = f"[system|{PROMPTS['en']}]"


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        # Several at the beginning are one; empty ones add nothing.
        (
            [turn("system", "A."), turn("system", " "), turn("developer", "B."), HELLO],
            "[system|A.\n\nB.][user|Hello.]",
        ),
        ([turn("developer", "A."), HELLO], "[system|A.][user|Hello.]"),
        (
            [turn("system", PARTS), turn("system", "B."), HELLO],
            "[system|Be brief.\n\nB.][user|Hello.]",
        ),
        # One that is empty keeps the character's prompt out, as ever; so do several.
        ([turn("system", ""), HELLO], "[system|][user|Hello.]"),
        ([turn("system", ""), turn("system", ""), HELLO], "[system|][user|Hello.]"),
        # After the user's turn, before it, between answers, and last.
        ([HELLO, turn("system", "A.")], EN + "[user|Hello.\n\n[System note: A.]]"),
        (
            [HELLO, turn("assistant", "Hi."), turn("system", "A."), turn("system", "[B.]")],
            EN + "[user|Hello.][assistant|Hi.][user|[System note: A.]\n\n[B.]]",
        ),
        (
            [HELLO, turn("assistant", "Hi."), turn("developer", "A."), turn("user", "And?")],
            EN + "[user|Hello.][assistant|Hi.][user|[System note: A.]\n\nAnd?]",
        ),
        (
            [HELLO, turn("assistant", "Hi."), turn("system", PARTS), turn("assistant", "So.")],
            EN + "[user|Hello.][assistant|Hi.][user|[System note: Be brief.]][assistant|So.]",
        ),
        ([HELLO, turn("system", " ")], EN + "[user|Hello.]"),
        # The user's own turns are not joined.
        ([HELLO, HELLO], EN + "[user|Hello.][user|Hello.]"),
        # No user's turn at all: the last instruction is one.
        (
            [turn("system", "A."), turn("system", "[Begin.]"), turn("assistant", "Hi.")],
            "[system|A.][user|[Begin.]][assistant|Hi.]",
        ),
        ([turn("system", "A."), turn("assistant", "Hi.")], "[system|A.][assistant|Hi.]"),
    ],
)
def test_system_messages_anywhere_are_taken_as_they_come(
    template: str, messages: list[dict[str, Any]], expected: str
) -> None:
    assert render(template, messages) == expected


# As strict as Qwen's own.
STRICT = """\
{%- if not messages | selectattr('role', 'equalto', 'user') | list -%}
    {{- raise_exception('No user query found in messages.') -}}
{%- endif -%}
{%- for m in messages -%}
    {%- if m.role == 'system' and not loop.first -%}
        {{- raise_exception('System message must be at the beginning.') -}}
    {%- elif m.role not in ['system', 'user', 'assistant', 'tool'] -%}
        {{- raise_exception('Unexpected message role.') -}}
    {%- endif -%}
    {%- if m.content is string -%}
        {{- [m.role, m.content] | tojson -}}
    {%- else -%}
        {{- [m.role, m.content | map(attribute='text') | join] | tojson -}}
    {%- endif -%}
    {{- '\\n' -}}
{%- endfor -%}
"""


@pytest.mark.parametrize("name", REQUESTS)
def test_a_strict_template_takes_what_front_ends_send(name: str) -> None:
    request, heard = REQUESTS[name]
    shown = render(character_template(STRICT, PROMPTS, "en"), request["messages"])
    found = [tuple(json.loads(line)) for line in shown.splitlines()]
    assert found == [(role, PROMPTS["en"] if text is None else text) for role, text in heard]


def test_what_is_no_system_message_is_not_touched(template: str) -> None:
    original = character_template("{{ messages | tojson }}", PROMPTS, "en")
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    tool = {"role": "tool", "tool_call_id": "1", "content": "Rain."}
    image = turn("user", PARTS)
    messages = [turn("system", "A."), image, called, tool, {**HELLO, "name": "Max"}]
    assert json.loads(render(original, messages)) == messages


def test_a_note_next_to_content_in_parts_is_a_part() -> None:
    original = character_template("{{ messages[1:] | tojson }}", PROMPTS, "en")
    after = json.loads(render(original, [turn("user", PARTS), turn("system", "B.")]))
    note = {"type": "text", "text": "\n\n[System note: B.]"}
    assert after == [turn("user", [*PARTS, note])]
    answer = turn("assistant", "Hi.")
    said = [HELLO, answer, turn("system", "B."), turn("user", PARTS)]
    before = {"type": "text", "text": "[System note: B.]\n\n"}
    assert json.loads(render(original, said)) == [HELLO, answer, turn("user", [before, *PARTS])]


def test_a_prompt_is_text_whatever_it_says() -> None:
    for payload in PAYLOADS:
        shown = render(character_template(ORIGINAL, {"en": payload}, "en"), [HELLO])
        assert shown == f"[system|{payload}][user|Hello.]"


def test_thinking_is_off_unless_asked_for(template: str) -> None:
    assert "think" not in render(template, [HELLO])
    assert "think" in render(template, [HELLO], enable_thinking=True)


def test_an_unknown_language_is_refused(template: str) -> None:
    with pytest.raises(jinja2.exceptions.TemplateError, match="language xx is none of en, jp"):
        render(template, [HELLO], language="xx")


def test_servers_see_what_the_template_takes(template: str) -> None:
    """VLLM passes on only those arguments of a request that a template looks up."""
    parsed = sandbox.ImmutableSandboxedEnvironment().parse(template)
    assert {"language", "enable_thinking", "messages"} <= meta.find_undeclared_variables(parsed)


def test_a_default_language_without_a_prompt_is_refused() -> None:
    with pytest.raises(UserError, match="no system prompt in 'fr'"):
        character_template(ORIGINAL, PROMPTS, "fr")


def test_the_model_s_own_template(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(UserError, match="has no chat template"):
        own_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "old"}))
    assert own_template(tmp_path) == "old"
    (tmp_path / "chat_template.jinja").write_text("new")
    assert own_template(tmp_path) == "new"
