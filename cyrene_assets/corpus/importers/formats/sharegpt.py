"""ShareGPT: records with ``conversations``, a list of ``{"from": "human", "value": "..."}``.

The roles are ``human`` (or ``user``), ``gpt`` (or ``assistant``, ``chatgpt``, ``bot``, ``model``,
``char``) and ``system``; a record's own ``system`` is its system prompt too. Calls and results of
tools are skipped.
"""

from pathlib import Path

from cyrene_assets.corpus.importers.chats import ASSISTANT, USER, Conversations, records, role_of
from cyrene_assets.corpus.importers.files import one_problem
from cyrene_assets.corpus.importers.imported import Imported, ImportHints, Progress
from cyrene_assets.corpus.importers.imported import NoOptions as Options

SUMMARY = "ShareGPT conversations, .jsonl or a .json array"
EXAMPLES = ("cyrene corpus import sharegpt chats.jsonl --character Ada --player Wayfarer",)
_ROLES = {
    USER: ("human", "user", "prompter"),
    ASSISTANT: ("gpt", "assistant", "chatgpt", "bot", "model", "char", "bing", "bard"),
    "system": ("system",),
}


def read(path: Path, options: Options, hints: ImportHints, progress: Progress) -> Imported:  # noqa: ARG001
    """Read the conversations, a scene each.

    Raises:
        SourceError: a record has no list of turns.
    """
    chats = Conversations(path)
    for file, number, record in records(path, progress):
        turns = record.get("conversations", record.get("conversation"))
        if not isinstance(turns, list):
            raise one_problem(
                file,
                number,
                "no list `conversations`",
                'write {"conversations": [{"from": "human", "value": "..."}, ...]}; '
                "`messages` with `role` are the format openai-messages",
            )
        chats.begin(file, number, record.get("id"))
        chats.prompt(record.get("system"))
        for turn in turns:
            said = turn if isinstance(turn, dict) else {}
            text = said.get("value")
            role = role_of(said.get("from"), _ROLES)
            if role == "system":
                chats.tally.read["system prompts"] += 1
                chats.prompt(text)
            elif role is None:
                what = f"no turn of user or assistant (from: {said.get('from')!r})"
                chats.tally.skip(what, str(file), number, str(text))
            else:
                chats.say(role, text, file, number)
    return chats.imported(hints, players=(USER,), unnamed=ASSISTANT)
