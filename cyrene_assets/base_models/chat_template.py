"""Whether a base model's chat template renders the prompts that are trained on and served.

Training renders conversations as Qwen3.5's own template does, without think blocks
(:func:`cyrene_assets.serving.chat_template.trained_template`, which a trained model carries on top
of its base's own). Where a base model brings another template, or none, the prompts of training
would not be those of serving.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cyrene_assets.checkpoints import files
from cyrene_assets.serving.chat_template import character_template, own_template, trained_template
from cyrene_assets.utils.chat import Message
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.sequences import common_prefix

TEMPLATE = "chat_template.jinja"
_TOKENIZER = "tokenizer_config.json"
_SYSTEM: Message = {"role": "system", "content": "You are Ovelle.\nYou keep the light."}
_ASKS: Message = {"role": "user", "content": "Who's there?"}
_ANSWERS: Message = {"role": "assistant", "content": "The lamp, and I."}
_ASKS_AGAIN: Message = {"role": "user", "content": "灯还亮着吗? <1 & 2>"}
PROBES = ([_SYSTEM, _ASKS], [_SYSTEM, _ASKS, _ANSWERS, _ASKS_AGAIN])
_AROUND = 40
# The family's, which the embedded model has: contents trimmed, an earlier answer without its
# thoughts, the answer in progress behind a think block that `enable_thinking: false` closes.
CHAT_TEMPLATE = """\
{%- macro render(content) -%}
    {%- if content is string -%}
        {{- content -}}
    {%- else -%}
        {%- for item in content -%}
            {%- if item.type == 'image' -%}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
            {%- elif item.type == 'video' -%}
                {{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
            {%- else -%}
                {{- item.text -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- set ns = namespace(last_query_index=-1) -%}
{%- for message in messages -%}
    {%- if message.role == 'user' -%}
        {%- set ns.last_query_index = loop.index0 -%}
    {%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
    {%- set content = render(message.content)|trim -%}
    {%- if message.role == 'system' and not loop.first -%}
        {{- raise_exception('System message must be at the beginning.') -}}
    {%- elif message.role == 'assistant' -%}
        {%- set thoughts = '' -%}
        {%- if '</think>' in content -%}
            {%- set thoughts = content.split('</think>')[0].split('<think>')[-1]|trim -%}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
        {%- endif -%}
        {{- '<|im_start|>assistant\\n' -}}
        {%- if loop.index0 > ns.last_query_index -%}
            {{- '<think>\\n' + thoughts + '\\n</think>\\n\\n' -}}
        {%- endif -%}
        {{- content + '<|im_end|>\\n' -}}
    {%- else -%}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- if enable_thinking is defined and enable_thinking is false -%}
        {{- '<think>\\n\\n</think>\\n\\n' -}}
    {%- else -%}
        {{- '<think>\\n' -}}
    {%- endif -%}
{%- endif -%}
"""


class _Generation(Extension):
    """Lets ``{% generation %}`` through, which marks answers for transformers' trainers."""

    tags = {"generation"}  # noqa: RUF012  # jinja2 declares it as an attribute of the instance

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def stored_template(folder: Path) -> str | None:
    """Return the chat template in a model's folder, or None where there is none that counts.

    Raises:
        CheckpointError: ``tokenizer_config.json`` is missing or no JSON object.
    """
    files.read_json(folder / _TOKENIZER)
    try:
        return own_template(folder)
    except UserError:
        return None


def template_problem(folder: Path, template: str) -> str | None:
    """Return in which way a template renders other prompts than the family's, or None.

    Both are compared as a model that was trained from them is served. So a model that this project
    exported, whose template has no think blocks any more, is a base like any other.
    """
    tokens = _special_tokens(folder)
    template = trained_template(template)
    try:
        render(template, [_ASKS], tokens)
        for messages in PROBES:
            wanted = render(trained_template(CHAT_TEMPLATE), messages, tokens)
            served = character_template(template, {"en": _SYSTEM["content"]}, "en")
            for rendered in (
                render(template, messages, tokens),
                render(served, messages, tokens),
                render(served, messages[1:], tokens),
            ):
                if rendered != wanted:
                    return _difference(wanted, rendered)
    # A template is a program of somebody else's: it can fail in any way.
    except Exception as error:
        kind = "" if isinstance(error, TemplateError) else f"{type(error).__name__}: "
        return f"it cannot render a conversation ({kind}{' '.join(str(error).split())[:200]})"
    return None


def render(template: str, messages: list[Message], tokens: dict[str, str]) -> str:
    """Return the prompt of a conversation, thinking off, as transformers and vLLM render it.

    Args:
        template: a chat template.
        messages: the conversation.
        tokens: the tokenizer's special tokens by name, which templates may name.

    Raises:
        TemplateError: the template is no valid one, or refuses the conversation.
    """

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.globals["raise_exception"] = refuse
    # Jinja's own escapes for HTML.
    environment.filters["tojson"] = lambda value, **options: json.dumps(
        value, **{"ensure_ascii": False, **options}
    )
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template).render(
        messages=messages,
        tools=None,
        documents=None,
        add_generation_prompt=True,
        enable_thinking=False,
        **tokens,
    )


def _special_tokens(folder: Path) -> dict[str, str]:
    config = files.read_json(folder / _TOKENIZER)
    found = {name: token_text(config.get(name)) for name in ("bos_token", "eos_token", "pad_token")}
    return {name: text for name, text in found.items() if text is not None}


def token_text(entry: Any) -> str | None:
    """Return the text of a token as ``tokenizer_config.json`` has it: a string or an object."""
    text = entry.get("content") if isinstance(entry, dict) else entry
    return text if isinstance(text, str) else None


def _difference(wanted: str, rendered: str) -> str:
    at = common_prefix(wanted, rendered)
    start = max(0, at - _AROUND)
    return (
        f"it renders {rendered[start : at + _AROUND]!r} where training has "
        f"{wanted[start : at + _AROUND]!r}"
    )
