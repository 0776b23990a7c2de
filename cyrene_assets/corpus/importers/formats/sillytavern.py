"""SillyTavern's chats: a header line, then a message per line.

The header has ``user_name`` and ``character_name``; a message has ``name``, ``is_user``,
``is_system``, ``mes`` (the swipe that was chosen) and ``swipes``. A file is a scene. Messages of
the system, which the model never saw, and swipes that were not chosen are skipped and counted.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from cyrene_assets.corpus.importers.chats import Conversations, records
from cyrene_assets.corpus.importers.files import one_problem
from cyrene_assets.corpus.importers.imported import Imported, ImportHints, Progress, plain_name
from cyrene_assets.corpus.importers.imported import NoOptions as Options

SUMMARY = "SillyTavern chats, a .jsonl file or a folder of them"
EXAMPLES = ('cyrene corpus import sillytavern "chats/Ada/"',)
# What the front end writes where it knows no name.
_UNKNOWN = frozenset({"", "unused"})


def read(path: Path, options: Options, hints: ImportHints, progress: Progress) -> Imported:  # noqa: ARG001
    """Read the chats, a scene each.

    Raises:
        SourceError: a file is no chat of SillyTavern.
    """
    chats = Conversations(path)
    users: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    last: Path | None = None
    for file, number, record in records(path, progress, array=False):
        if file != last:
            last = file
            chats.begin(file, None)
            if "mes" not in record:
                _header(record, file, number)
                named = plain_name(_text(record.get("character_name")))
                if named and named not in _UNKNOWN:
                    characters[named] += 1
                continue
        if not isinstance(record.get("mes"), str) or not isinstance(record.get("name"), str):
            raise one_problem(
                file, number, "no message: `name` and `mes` are missing", "export the chat as JSONL"
            )
        if record.get("is_system") is True:
            chats.tally.skip("a message of the system", str(file), number, record["mes"])
            continue
        name = plain_name(record["name"])
        if name is None:
            chats.tally.skip("a message without a name", str(file), number, record["mes"])
            continue
        if record.get("is_user") is True:
            users[name] += 1
        swipes = record.get("swipes")
        if isinstance(swipes, list) and len(swipes) > 1:
            others = len(swipes) - 1
            what = "another swipe of a message"
            chats.tally.skip(what, str(file), number, str(swipes[0]), others)
        chats.say(name, record["mes"], file, number)
    [character] = characters if len(characters) == 1 else [None]
    return chats.imported(hints, character, players=tuple(name for name, _ in users.most_common()))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _header(record: dict[str, Any], file: Path, number: int) -> None:
    if not {"user_name", "character_name", "chat_metadata"} & record.keys():
        raise one_problem(
            file,
            number,
            "no header of a SillyTavern chat: neither `user_name` nor `character_name`",
            "export the chat as JSONL",
        )
