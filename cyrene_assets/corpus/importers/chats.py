"""What the formats of chat logs share: records of JSON, roles, ids, macros."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cyrene_assets.corpus.importers.files import files_at, one_problem, read_text
from cyrene_assets.corpus.importers.imported import Imported, ImportHints, Line, Progress, Tally
from cyrene_assets.corpus.importers.languages import detect
from cyrene_assets.corpus.sources.json_records import reason_of, type_name, unrepeated
from cyrene_assets.utils.counting import counted

_LINES_A_STEP = 5_000
USER, ASSISTANT = "user", "assistant"
# Placeholders that front ends leave in stored chats.
_USER_MACROS = ("{{user}}", "<USER>")
_CHARACTER_MACROS = ("{{char}}", "<BOT>")


def records(
    path: Path, progress: Progress, *, array: bool = True
) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """Yield the objects of the JSON Lines files at ``path``, with file and line.

    With ``array`` a file may be one JSON array of objects; ``line`` is then the entry's number.

    Raises:
        SourceError: a line is no JSON object.
    """
    files = files_at(path, (".jsonl", ".json") if array else (".jsonl",))
    for done, file in enumerate(files):
        progress(file.name, done, len(files))
        text = read_text(file)
        if text.lstrip().startswith("["):
            if not array:
                raise one_problem(
                    file,
                    1,
                    "a JSON array, not JSON Lines",
                    f"write one object per line: jq -c '.[]' {file.name}",
                )
            yield from ((file, *found) for found in _array(file, text))
            continue
        lines = text.split("\n")
        for number, line in enumerate(lines, start=1):
            if number % _LINES_A_STEP == 0:
                progress(file.name, number, len(lines))
            if line.strip():
                yield file, number, _object(file, number, line)


def _array(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        values = json.loads(text, object_pairs_hook=unrepeated)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise one_problem(
            file, line, f"not valid JSON ({reason_of(error)})", "correct the file"
        ) from error
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise one_problem(
                file, 0, f"entry {number} is {type_name(value)}", "write an array of objects"
            )
        yield number, value


def _object(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=unrepeated)
    except (ValueError, RecursionError) as error:
        raise one_problem(
            file,
            number,
            f"not valid JSON ({reason_of(error)}): {line[:60]!r}",
            "write one object per line",
        ) from error
    if not isinstance(value, dict):
        raise one_problem(file, number, f"not an object but {type_name(value)}", "write an object")
    return value


class Conversations:
    """Chats under reading: lines with ids, system prompts, and a tally."""

    def __init__(self, path: Path) -> None:
        self.tally = Tally()
        self.prompts: Counter[str] = Counter()
        self._root = path if path.is_dir() else path.parent
        self._lines: list[Line] = []
        self._scenes: set[str] = set()
        self._macros: set[str] = set()
        self._scene = ""
        self._number = 0

    def begin(self, file: Path, number: int | None, given: Any = None) -> None:
        """Begin a conversation: its id is the one given, or the file's name with its number."""
        self.tally.read["conversations"] += 1
        stem = file.relative_to(self._root).with_suffix("").as_posix()
        own = stem if number is None else f"{stem}-{number}"
        written = str(given).strip() if isinstance(given, (str, int)) else ""
        scene = written if written and "\0" not in written and written.isprintable() else own
        while scene in self._scenes:
            scene += "+"
        self._scenes.add(scene)
        self._scene, self._number = scene, 0

    def say(self, speaker: str, text: Any, file: Path, line: int) -> None:
        """Add a line; what cannot be one is counted."""
        self.tally.read["messages"] += 1
        if not isinstance(text, str):
            self.tally.skip(f"the text is {type_name(text)}", str(file), line, repr(text))
        elif self.tally.usable(text, str(file), line):
            self._number += 1
            found = [macro for macro in (*_USER_MACROS, *_CHARACTER_MACROS) if macro in text]
            self._macros.update(found)
            name = f"{self._scene}-{self._number:03}"
            self._lines.append(Line(self._scene, name, speaker, text))

    def prompt(self, text: Any) -> None:
        """Count a system prompt."""
        if isinstance(text, str) and text.strip():
            self.prompts[text.strip()] += 1

    def imported(self, hints: ImportHints, character: str | None = None, **people: Any) -> Imported:
        """Return what was read, in the language that it is found to be in."""
        if not self._lines:
            return Imported({}, self.tally)
        code = detect((line.text for line in self._lines), hints)
        if hints.language is None:
            self.tally.notes.append(f"language found: {code} (--language says otherwise)")
        prompts = {}
        if self.prompts:
            most, number = self.prompts.most_common(1)[0]
            prompts[code] = most
            others = len(self.prompts) - 1
            if others:
                self.tally.notes.append(
                    f"{counted(others, 'other system prompt is', 'other system prompts are')} not "
                    f"kept: the most frequent one, of {counted(number, 'conversation')}, is the "
                    "corpus's"
                )
        return Imported(
            {code: self._lines},
            self.tally,
            patterns=self._patterns(character),
            character=character,
            prompts=prompts,
            **people,
        )

    def _patterns(self, character: str | None) -> tuple[Mapping[str, Any], ...]:
        """Return what the macros of front ends stand for."""
        found: list[Mapping[str, Any]] = []
        for macro in (*_USER_MACROS, *_CHARACTER_MACROS):
            if macro not in self._macros:
                continue
            if macro in _USER_MACROS:
                found.append({"text": macro, "becomes": "player"})
            else:
                # The name that is chosen is put here when corpus.yaml is written.
                found.append({"text": macro, "becomes": {"text": character or CHARACTER}})
        return tuple(found)


# Stands for the character's name in patterns until it is known.
CHARACTER = "\N{SYMBOL FOR SUBSTITUTE}"


def parts_text(value: Any, tally: Tally, file: Path, line: int) -> Any:
    """Return the text of a message's content: a string, or a list of parts (others are counted)."""
    if not isinstance(value, list):
        return value
    texts: list[str] = []
    for part in value:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            tally.skip(f"a part that is no text ({kind})", str(file), line, json.dumps(part)[:200])
    return "\n".join(texts)


def role_of(role: Any, roles: Mapping[str, Sequence[str]]) -> str | None:
    """Return the role that is called so, whatever the case, or None."""
    written = role.casefold() if isinstance(role, str) else None
    return next((name for name, called in roles.items() if written in called), None)
