"""Files: their digests, JSON Lines, and writing what a power cut must not take back.

A system keeps what is written in memory for a while. Bytes are on the disk once their file was
synced, a name once its folder was (POSIX, fsync; Pillai et al., "All file systems are not created
equal", 2014). A rename happens completely or not at all, but may come ahead of the bytes.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DIGEST_LENGTH = 16


def sync_file(path: Path) -> None:
    """Write a file's bytes to the disk."""
    # Windows syncs only what is open for writing.
    with path.open("r+b" if sys.platform == "win32" else "rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Write a folder's list of names to the disk."""
    if sys.platform == "win32":  # which opens no folder, and writes a rename to its journal
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Write all files of a folder to the disk, then its lists of names, its own last."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync_file(path)
        else:
            sync_folder(path)
    sync_folder(folder)


def sync_path(folder: Path, top: Path) -> None:
    """Write the names in ``folder``, and of each folder on the way down from ``top``, to the disk.

    The process that made one of them may have been killed before it synced it.
    """
    sync_folder(folder)
    while folder != top:
        folder = folder.parent
        sync_folder(folder)


def make_folder(folder: Path, top: Path) -> None:
    """Make a folder below ``top``, with those on the way to it; their names are on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    sync_path(folder, top)


def write_durably(file: Path, text: str) -> None:
    """Write a file in place of what is there; a power cut leaves the old one or the new one."""
    partial = file.with_name(f"{file.name}.partial-{os.getpid()}")
    with partial.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)
    sync_folder(file.parent)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_digest(text: str) -> str:
    """Return the SHA-256 of a text, as `DIGEST_LENGTH` hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def read_jsonl(path: Path) -> list[Any]:
    """Return the JSON values of a file's lines."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON values as lines, characters beyond ASCII as they are."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
