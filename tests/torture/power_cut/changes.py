"""What ``recorder.c`` recorded, read back: the changes below a folder in the order they were made.

Files and folders are objects here, not names: an inode's number may be given again to another file.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["file", "folder", "link"]


@dataclass(frozen=True)
class Thing:
    """A file, a folder or a link, and what it held before the record begins."""

    number: int
    kind: Kind
    content: bytes = b""
    entries: "dict[str, Thing]" = field(default_factory=dict, compare=False)

    def __hash__(self) -> int:
        return self.number


@dataclass(frozen=True)
class Change:
    """One change, or a sync, or a mark.

    ``thing`` is what is created, written, renamed or synced; ``folder`` and ``name`` say where an
    entry is made or removed; ``data`` is None in a truncation to ``at`` bytes.
    """

    kind: Literal["create", "rename", "remove", "write", "sync", "mark"]
    thing: Thing | None = None
    folder: Thing | None = None
    name: str = ""
    at: int = 0
    data: bytes | None = None
    path: str = ""

    @property
    def waits_for(self) -> Thing | None:
        """What has to be synced before this is safe: a name's folder, the bytes' file."""
        return self.thing if self.kind == "write" else self.folder


@dataclass(frozen=True)
class Record:
    """All changes below a folder, and what was there before them."""

    root: Thing
    changes: tuple[Change, ...]


def tree(folder: Path) -> tuple[Thing, dict[int, Thing]]:
    """Return a folder as it is, and its objects by inode."""
    found: dict[int, Thing] = {}

    def read(path: Path) -> Thing:
        number = path.lstat().st_ino
        if number in found:
            return found[number]
        if path.is_symlink():
            thing = Thing(len(found), "link", os.fsencode(path.readlink()))
        elif path.is_dir():
            thing = Thing(len(found), "folder")
        else:
            thing = Thing(len(found), "file", path.read_bytes())
        found[number] = thing
        if thing.kind == "folder":
            thing.entries.update({child.name: read(child) for child in sorted(path.iterdir())})
        return thing

    return read(folder), found


def read_record(file: Path, before: tuple[Thing, dict[int, Thing]]) -> Record:
    """Read a record of changes to the tree that ``before`` is of."""
    root, inodes = before
    things = dict(inodes)
    count = len(things)
    paths: dict[Thing, str] = {}

    _name_all(root, "", paths)
    paths[root] = ""
    changes: list[Change] = []
    for kind, words, data in _lines(file.read_bytes()):
        match kind, words:
            case "mark", [text]:
                changes.append(Change("mark", name=text))
            case "create", [folder, name, inode, what, *rest]:
                holder = things[int(folder)]
                if what == "again":
                    thing = things[int(inode)]
                else:
                    content = os.fsencode(rest[0]) if what == "link" else b""
                    thing = Thing(count, _KINDS[what], content)
                    count += 1
                    things[int(inode)] = thing
                paths[thing] = f"{paths[holder]}/{name}".lstrip("/")
                changes.append(Change("create", thing, holder, name, path=paths[thing]))
            case "rename", [_, _, new_folder, new_name, inode]:
                thing, target = things[int(inode)], things[int(new_folder)]
                old = paths[thing]
                new = f"{paths[target]}/{new_name}".lstrip("/")
                for inner, path in list(paths.items()):
                    if path == old or path.startswith(f"{old}/"):
                        paths[inner] = new + path.removeprefix(old)
                changes.append(Change("rename", thing, target, new_name, path=new))
            case "remove", [folder, name]:
                holder = things[int(folder)]
                path = f"{paths[holder]}/{name}".lstrip("/")
                changes.append(Change("remove", None, holder, name, path=path))
            case (("write" | "truncate"), [inode, at, *_]):
                thing, written = things[int(inode)], data if kind == "write" else None
                change = Change("write", thing, at=int(at), data=written, path=paths[thing])
                changes.append(change)
            case "sync", [inode, *place]:
                thing = things[int(inode)]
                changes += _renamed_unseen(thing, place, things, paths)
                changes.append(Change("sync", thing, path=paths[thing]))
            case _:
                raise ValueError(f"{file}: {kind} {words}")
    return Record(root, tuple(changes))


def _renamed_unseen(
    thing: Thing, place: list[str], things: dict[int, Thing], paths: dict[Thing, str]
) -> list[Change]:
    """Return the rename of a file that has another name by its sync than the record has."""
    if thing.kind != "file" or not place:
        return []
    folder, name = things[int(place[0])], place[1]
    path = f"{paths[folder]}/{name}".lstrip("/")
    if paths[thing] == path:
        return []
    paths[thing] = path
    return [Change("rename", thing, folder, name, path=path)]


def _name_all(folder: Thing, path: str, paths: dict[Thing, str]) -> None:
    for name, thing in folder.entries.items():
        paths[thing] = f"{path}/{name}".lstrip("/")
        _name_all(thing, paths[thing], paths)


_KINDS: dict[str, Kind] = {"file": "file", "folder": "folder", "link": "link"}


def _lines(text: bytes) -> Iterator[tuple[str, list[str], bytes]]:
    at = 0
    while at < len(text):
        end = text.index(b"\n", at)
        kind, *words = os.fsdecode(text[at:end]).split("\t")
        at = end + 1
        size = int(words[2]) if kind == "write" else 0
        yield kind, words, text[at : at + size]
        at += size
