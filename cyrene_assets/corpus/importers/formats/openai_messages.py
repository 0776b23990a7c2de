"""OpenAI's messages: records with ``messages``, a list of ``{"role": "user", "content": "..."}``.

``system`` and ``developer`` are system prompts. Content may be a list of parts, of which the text
is taken. Tools' calls and results are skipped. Messages with a ``name`` go under that name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyrene_assets.corpus.importers.chats import (
    ASSISTANT,
    USER,
    Conversations,
    parts_text,
    records,
    role_of,
)
from cyrene_assets.corpus.importers.files import one_problem
from cyrene_assets.corpus.importers.imported import Imported, ImportHints, Progress, plain_name
from cyrene_assets.corpus.importers.imported import NoOptions as Options

SUMMARY = "OpenAI-style messages, .jsonl or a .json array"
EXAMPLES = ("cyrene corpus import openai-messages train.jsonl --character Ada",)
_ROLES = {USER: ("user",), ASSISTANT: ("assistant",), "system": ("system", "developer")}


def read(path: Path, options: Options, hints: ImportHints, progress: Progress) -> Imported:  # noqa: ARG001
    """Read the conversations, a scene each.

    Raises:
        SourceError: a record has no list of messages.
    """
    chats = Conversations(path)
    for file, number, record in records(path, progress):
        messages = record.get("messages")
        if not isinstance(messages, list):
            raise one_problem(
                file,
                number,
                "no list `messages`",
                'write {"messages": [{"role": "user", "content": "..."}, ...]}; '
                "`conversations` with `from` are the format sharegpt",
            )
        chats.begin(file, number, record.get("id"))
        for message in messages:
            _add(chats, message if isinstance(message, dict) else {}, file, number)
    return chats.imported(hints, players=(USER,), unnamed=ASSISTANT)


def _add(chats: Conversations, message: Mapping[str, Any], file: Path, number: int) -> None:
    role = role_of(message.get("role"), _ROLES)
    content = parts_text(message.get("content"), chats.tally, file, number)
    if role == "system":
        chats.tally.read["system prompts"] += 1
        chats.prompt(content)
    elif role is None:
        what = f"no message of user or assistant (role: {message.get('role')!r})"
        chats.tally.skip(what, str(file), number, str(content))
    elif content is None and message.get("tool_calls"):
        chats.tally.skip("a call of a tool", str(file), number, str(message["tool_calls"]))
    else:
        name = message.get("name")
        named = plain_name(name) if isinstance(name, str) else None
        chats.say(named or role, content, file, number)
