"""A chat template that speaks as the character where a request says nothing else.

It is the model's own template with a preamble: a conversation without a system message gets the
character's system prompt of the language asked for, byte for byte, and thinking is off unless
asked for. Any server that renders chat templates then serves the character, and any client talks
to it; the language is a parameter of the template, ``chat_template_kwargs: {"language": "jp"}``.

Qwen's own templates refuse what many clients send: several system messages, system messages later
on, the role ``developer``. Before they see it,

- ``developer`` is ``system``;
- system messages at the beginning become one, a blank line between them;
- a later one stays where it is, as a note in the user's turn: ``[System note: ...]``, or as it
  stands where it is in brackets already. It joins the user's message next to it, since the model
  was trained on turns that alternate;
- without any user's turn, the last of several messages at the beginning is such a note.

A conversation with at most one system message, at its beginning, is rendered as ever.

What lies under it in a trained model is :func:`trained_template`: the base's template, without
think blocks where thinking is off. Qwen's own puts an empty one before the answer in progress and
none before earlier answers, so that one conversation cannot show a model in training what it is
served with; see docs/chat-format.md.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyrene_assets.utils.errors import UserError

TEMPLATE = "chat_template.jinja"
# Other files in which a checkpoint may hold its template, under ``chat_template``.
_ALSO_IN = ("tokenizer_config.json", "chat_template.json")

_TEXT = """\
{%- macro character_text(content) -%}
    {%- if content is string -%}
        {{- content -}}
    {%- else -%}
        {%- for part in content or [] -%}
            {%- if part.text is string -%}
                {{- part.text -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
"""

_ROLES = (
    _TEXT
    + """\
{%- macro character_note(text) -%}
    {{- text if text.startswith('[') else '[System note: ' + text + ']' -}}
{%- endmacro -%}
{%- set said = namespace(first=[], texts=[], turns=[], note=false, user=false) -%}
{%- for message in messages or [] -%}
    {%- if message.role in ['system', 'developer'] -%}
        {%- set text = character_text(message.content) -%}
        {%- if not said.turns -%}
            {%- set said.first = said.first + [message] -%}
            {%- if text | trim -%}
                {%- set said.texts = said.texts + [text] -%}
            {%- endif -%}
        {%- elif text | trim -%}
            {%- set note = character_note(text | trim) -%}
            {%- set before = said.turns[-1] -%}
            {%- if before.role == 'user' -%}
                {%- if before.content is string -%}
                    {%- set joined = before.content + '\\n\\n' + note -%}
                {%- else -%}
                    {%- set part = {'type': 'text', 'text': '\\n\\n' + note} -%}
                    {%- set joined = (before.content or []) + [part] -%}
                {%- endif -%}
                {%- set said.turns = said.turns[:-1] + [{'role': 'user', 'content': joined}] -%}
            {%- else -%}
                {%- set said.turns = said.turns + [{'role': 'user', 'content': note}] -%}
                {%- set said.note = true -%}
            {%- endif -%}
            {%- set said.user = true -%}
        {%- endif -%}
    {%- elif message.role == 'user' and said.note -%}
        {%- set before = said.turns[-1].content + '\\n\\n' -%}
        {%- if message.content is string -%}
            {%- set joined = before + message.content -%}
        {%- else -%}
            {%- set joined = [{'type': 'text', 'text': before}] + (message.content or []) -%}
        {%- endif -%}
        {%- set said.turns = said.turns[:-1] + [{'role': 'user', 'content': joined}] -%}
        {%- set said.note = false -%}
    {%- else -%}
        {%- set said.turns = said.turns + [message] -%}
        {%- set said.note = false -%}
        {%- set said.user = said.user or message.role == 'user' -%}
    {%- endif -%}
{%- endfor -%}
{%- if not said.user and said.texts | length > 1 -%}
    {%- set note = character_note(said.texts[-1] | trim) -%}
    {%- set said.turns = [{'role': 'user', 'content': note}] + said.turns -%}
    {%- set said.texts = said.texts[:-1] -%}
{%- endif -%}
{%- if said.first | length > 1 -%}
    {%- set system = [{'role': 'system', 'content': said.texts | join('\\n\\n')}] -%}
{%- elif said.first -%}
    {%- set system = [{'role': 'system', 'content': said.first[0].content}] -%}
{%- else -%}
    {%- set system = [] -%}
{%- endif -%}
{%- set messages = system + said.turns -%}
"""
)

_PREAMBLE = """\
{{%- set character_prompts = {prompts} -%}}
{{%- set character_language = language | default({language}, true) -%}}
{{%- if character_language not in character_prompts -%}}
    {{{{- raise_exception('language ' + character_language + ' is none of {codes}') -}}}}
{{%- endif -%}}
{{%- if enable_thinking is not defined -%}}
    {{%- set enable_thinking = false -%}}
{{%- endif -%}}
{{%- if not messages or messages[0].role != 'system' -%}}
    {{%- set messages = [{{'role': 'system', 'content': character_prompts[character_language]}}] \
+ messages -%}}
{{%- endif -%}}
"""

# With thinking off the original sees neither the answers at the end nor that one is to come: it
# would put think blocks there. What it sees ends with a turn of the user, or of a tool.
_BEFORE = (
    _TEXT
    + """\
{%- set enable_thinking = enable_thinking | default(false, true) -%}
{%- set preserve_thinking = enable_thinking and preserve_thinking | default(false, true) -%}
{%- set messages = messages or [] -%}
{%- if messages and messages[0].role == 'system' \
and not character_text(messages[0].content) | trim -%}
    {%- set messages = messages[1:] -%}
{%- endif -%}
{%- set answers = namespace(start=messages | length, trailing=not enable_thinking) -%}
{%- for message in messages[::-1] -%}
    {%- if answers.trailing and message.role == 'assistant' and not message.tool_calls -%}
        {%- set answers.start = answers.start - 1 -%}
    {%- else -%}
        {%- set answers.trailing = false -%}
    {%- endif -%}
{%- endfor -%}
{%- set character_answers = messages[answers.start:] -%}
{%- set messages = messages[:answers.start] -%}
{%- set character_speaks = add_generation_prompt and not enable_thinking -%}
{%- if not enable_thinking -%}
    {%- set add_generation_prompt = false -%}
{%- endif -%}
"""
)
_AFTER = """\
{%- for message in character_answers -%}
    {%- set text = character_text(message.content) | trim -%}
    {%- if '</think>' in text -%}
        {%- set text = text.split('</think>')[-1].lstrip('\\n') -%}
    {%- endif -%}
    {{- '<|im_start|>assistant\\n' + text + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if character_speaks -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def trained_template(original: str) -> str:
    """Return the chat template that a model was trained with, given its base's own.

    Thinking is off unless a request turns it on. While it is off there is no think block anywhere:
    each answer follows ``<|im_start|>assistant`` and a line break, as each follows them in training
    (:class:`cyrene_assets.training.swift_args.StageCommand`), and a prompt is the beginning of
    the next turn's prompt. While it is on, and around calls of tools, the original decides. A blank
    system prompt is left out, as ms-swift leaves it out.
    """
    return original if _BEFORE in original else _BEFORE + original + _AFTER


def character_template(original: str, prompts: Mapping[str, str], language: str) -> str:
    """Return a model's chat template with the character's system prompts as defaults.

    Args:
        original: the model's own template.
        prompts: the system prompt of each language.
        language: the one for requests that name none.

    Raises:
        UserError: there is no prompt in ``language``.
    """
    if language not in prompts:
        raise UserError(
            f"the character has no system prompt in {language!r}: the languages are "
            f"{', '.join(prompts)}"
        )
    # JSON's strings are Jinja's: both escape quotes, backslashes and line breaks alike.
    return (
        _ROLES
        + _PREAMBLE.format(
            prompts=json.dumps(dict(prompts), ensure_ascii=False),
            language=json.dumps(language),
            codes=", ".join(prompts),
        )
        + original
    )


def own_template(model: Path) -> str:
    """Return the chat template that lies in a model's folder.

    Raises:
        UserError: there is none.
    """
    file = model / TEMPLATE
    if file.is_file():
        return file.read_text(encoding="utf-8")
    config = model / "tokenizer_config.json"
    entry = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
    if not isinstance(entry, str):
        raise UserError(
            f"{model} has no chat template (no {file.name}, no `chat_template` in {config.name}): "
            "a model without one cannot chat"
        )
    return entry


def with_template(model: Path, template: str) -> dict[str, dict[str, Any]]:
    """Return the JSON files of a model's folder that hold a chat template too, with ``template``.

    Some libraries read it there, whatever ``chat_template.jinja`` says.
    """
    found = {}
    for path in (model / name for name in _ALSO_IN):
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            if "chat_template" in content:
                found[path.name] = content | {"chat_template": template}
    return found


def write_template(model: Path, template: str) -> None:
    """Have a model's folder hold ``template``, wherever a library may look for it."""
    (model / TEMPLATE).write_text(template, encoding="utf-8", newline="")
    for name, content in with_template(model, template).items():
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        (model / name).write_text(text, encoding="utf-8", newline="")
