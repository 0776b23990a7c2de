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
"""

import json
from collections.abc import Mapping
from pathlib import Path

from cyrene_assets.errors import UserError

_ROLES = """\
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
    file = model / "chat_template.jinja"
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
