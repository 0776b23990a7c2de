"""What corpus.yaml takes for a name and for a system prompt, and what no text may contain."""

import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator

# What Qwen3.5's tokenizer (its added tokens) or ms-swift's templates take for more than text, and
# what is written like it: ``<|name|>`` is any tokenizer's. No alternative holds white space or a
# backslash, so none comes about where lines are joined, and none is hidden by JSON's escapes.
# ms-swift reads ``<img>path</img>`` even in data without images, and replaces ``{{QUERY}}`` and its
# kin in prompts. Full-width letters or invisible characters inside make a token plain text.
CONTROL_MARKUP = (
    r"<\|[!-;=?-\[\]-{}~]+\|>"
    r"|</?(?:think|tool_call|tool_response|image|video|audio|img)>"
    r"|<(?:tts_pad|tts_text_bos|tts_text_bos_single|tts_text_eod)>"
    r"|<(?:bbox|ref-object|cot-process|start-image)>"
    r"|\{\{(?:SYSTEM|QUERY|RESPONSE|ROUND0|ROUND1)\}\}"
)


def _name(value: str) -> str:
    name = unicodedata.normalize("NFC", value.strip())
    if not name:
        raise ValueError("must not be blank; write a name")
    if re.search(r"[<>{}\n]", name):
        raise ValueError("must not contain < > { } or a line break; remove it")
    return name


def _without_control_tokens(value: str) -> str:
    if found := re.search(CONTROL_MARKUP, value):
        raise ValueError(f"must not contain the control token {found[0]}; remove it")
    if not value.strip():
        raise ValueError("must not be blank; write a sentence")
    return value


Name = Annotated[str, AfterValidator(_name)]
Prompt = Annotated[str, AfterValidator(_without_control_tokens)]


def with_player(value: Any) -> Any:
    """Return a corpus.yaml whose ``player`` is that of the languages that name none of their own.

    What is not as a corpus.yaml should be is left as it is.
    """
    languages = value.get("languages") if isinstance(value, dict) else None
    if not isinstance(languages, dict) or value.get("player") is None:
        return value
    player = value["player"]

    def named(code: Any, entry: Any) -> Any:
        name = player.get(code) if isinstance(player, dict) else player
        lacks = isinstance(entry, dict) and "player" not in entry and name is not None
        return {**entry, "player": name} if lacks else entry

    return {**value, "languages": {code: named(code, entry) for code, entry in languages.items()}}
