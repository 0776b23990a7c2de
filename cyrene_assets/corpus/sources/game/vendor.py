"""Text next to a game's own: pages (Markdown or plain text) and instructions (JSON Lines)."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from cyrene_assets.corpus.sources.game.documents import Document
from cyrene_assets.corpus.sources.game.files import (
    Skipped,
    decode,
    read_bytes,
    validate_unique_keys,
)
from cyrene_assets.corpus.sources.raw_files import checked, exists, file_name, is_folder
from cyrene_assets.corpus.sources.types import (
    LONGEST_LINE,
    Problem,
    SourceError,
    config_problem,
    too_long,
)

PAGES = (".md", ".txt")
INSTRUCTIONS = ".jsonl"
LONG = f"a line over {LONGEST_LINE:,} characters"
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "b": "\b", "'": "'", '"': '"', "\\": "\\"}


class Instruction(msgspec.Struct):
    """A line of instructions: the instruction, the example, the answer."""

    instruction: str = ""
    input: str = ""
    output: str = ""


def vendor_paths(folder: Path, names: Iterable[str]) -> tuple[list[Path], list[Problem]]:
    """Return the files that ``names`` (files and folders) stand for, and a problem per absent one.

    Raises:
        SourceError: a name or a link leads out of ``folder``, or a folder cannot be read.
    """
    paths: dict[Path, None] = {}
    absent = []
    root = Path(os.path.realpath(folder))
    for name in names:
        path = folder / name
        if "\0" in name or not Path(os.path.realpath(path)).is_relative_to(root):
            message = f"source.vendor: {name} leads out of {folder}"
            raise SourceError([config_problem(message, "put the file itself into it")])
        if is_folder(path):
            try:
                inside = sorted(path.iterdir())
            except OSError as error:
                message = f"cannot be read: {error.strerror}"
                raise SourceError([Problem(name, 0, message, "make it readable")]) from error
            wanted = [file for file in inside if file.suffix in (*PAGES, INSTRUCTIONS)]
            for file in wanted:
                checked(file, file_name(file, folder), path)
            paths |= dict.fromkeys(wanted)
        elif exists(path):
            paths[path] = None
        else:
            message = f"skipped: source.vendor names {name}, and there is no such file or folder"
            absent.append(config_problem(message, f"put it into {folder}, or remove it"))
    return list(paths), absent


def vendor_documents(paths: Iterable[Path], folder: Path, skipped: Skipped) -> Iterator[Document]:
    """Yield a document per page (kind ``vendor``) and per instruction (kind ``instruction``).

    Pages and instructions with NUL characters or a line over the limit are left out and noted.

    Raises:
        SourceError: a file cannot be read, is not UTF-8, or has a line that is no instruction.
    """
    for path in paths:
        file = file_name(path, folder)
        data = read_bytes(path, file, path.parent)
        if path.suffix == INSTRUCTIONS:
            yield from _instructions(data, file, path.stem, skipped)
            continue
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            message = f"not UTF-8 at byte {error.start}"
            raise SourceError([Problem(file, 0, message, "save it as UTF-8")]) from error
        if "\0" in text:
            skipped.whole(file, "skipped: a page with NUL characters", "remove them")
        elif too_long(text):
            skipped.whole(file, f"skipped: a page with {LONG}", "cut it up")
        else:
            yield Document("vendor", path.stem, None, [], [text], file, 1)


def _instructions(data: bytes, file: str, name: str, skipped: Skipped) -> Iterator[Document]:
    decoder = msgspec.json.Decoder(Instruction)
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = decode(line, file, decoder)
            validate_unique_keys([line], file)
        except SourceError as error:
            wrong = error.problems[0]
            raise SourceError([Problem(file, number, wrong.message, wrong.remedy)]) from error
        content = [record.instruction, _unescaped(record.input), _unescaped(record.output)]
        text = "\n".join(part for part in content if part)
        if "\0" in text:
            skipped.add(file, number, "an instruction with NUL characters", "remove them")
            continue
        if too_long(text):
            skipped.add(file, number, f"an instruction with {LONG}", "cut it up")
            continue
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        yield Document("instruction", f"{name}:{digest}", None, [], [text], file, number)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([ntrfb'\"\\])", lambda match: ESCAPES[match[1]], text)
