"""A chat template that speaks as the character where a request says nothing else.

It is the model's own template with a preamble: a conversation without a system message gets the
character's system prompt of the language asked for, byte for byte, and thinking is off unless
asked for. Any server that renders chat templates then serves the character, and any client talks
to it; the language is a parameter of the template, ``chat_template_kwargs: {"language": "jp"}``.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from cyrene_assets.errors import UserError

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
        _PREAMBLE.format(
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
