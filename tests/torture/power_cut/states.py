"""What a power cut may leave of recorded changes.

The rules are those of POSIX and no more (as in Pillai et al., "All file systems are not created
equal", 2014, and in SQLite's crash tests): bytes are safe once their file was synced after the
write, a name is safe once its folder was synced after the name changed; a rename happens completely
or not at all. Any subset of the rest may be there, in any order; a write may be torn at sectors of
512 bytes, and a file may be as long as it would be with zeros where its bytes were to be. A folder
whose own name is not there is lost with all that it holds.
"""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .changes import Change, Record, Thing

SECTOR = 512
# What becomes of a change that is not safe: dropped, made, or made in some of its sectors alone.
DROPPED, MADE, TORN = range(3)
Choice = Callable[[Change, random.Random], int]
POLICIES: dict[str, Choice] = {
    "all dropped": lambda _change, _draw: DROPPED,
    "all made": lambda _change, _draw: MADE,
    "names, no bytes": lambda change, _draw: DROPPED if change.kind == "write" else MADE,
    "names, torn bytes": lambda change, _draw: TORN if change.kind == "write" else MADE,
    "bytes, no names": lambda change, _draw: MADE if change.kind == "write" else DROPPED,
    "some, in any order": lambda _change, draw: draw.choice((DROPPED, MADE)),
    "some, torn": lambda change, draw: (
        TORN if change.kind == "write" else draw.choice((DROPPED, MADE))
    ),
}

_DRAWING = ("names, torn bytes", "some, in any order", "some, torn")


@dataclass(frozen=True)
class Cut:
    """A power cut ahead of the change with this number, and what becomes of what is not safe."""

    at: int
    policy: str
    seed: int = 0

    def __str__(self) -> str:
        return f"cut {self.at} ({self.policy}, {self.seed})"


class CrashStates:
    """The states that power cuts leave of one record.

    ``ignored`` are numbers of syncs that are taken out of the record, as if the code did without.
    """

    def __init__(self, record: Record, ignored: frozenset[int] = frozenset()) -> None:
        self.record = record
        never = len(record.changes)
        next_sync: dict[Thing | None, int] = {}
        safe = [never] * never
        for number in range(never - 1, -1, -1):
            change = record.changes[number]
            if change.kind == "sync":
                if number not in ignored:
                    next_sync[change.thing] = number
            elif change.kind != "mark":
                safe[number] = next_sync.get(change.waits_for, never)
        self._safe = safe

    def promised(self, cut: Cut) -> list[str]:
        """Return the marks that were said before the cut."""
        return [c.name for c in self.record.changes[: cut.at] if c.kind == "mark"]

    def write(self, cut: Cut, place: Path) -> None:
        """Write the state that a cut leaves into ``place``, which is not there yet."""
        choose, draw = POLICIES[cut.policy], random.Random(f"{cut}")
        entries: dict[Thing, dict[str, Thing]] = {}
        location: dict[Thing, tuple[Thing, str]] = {}
        contents: dict[Thing, bytearray] = {}
        _remember(self.record.root, entries, location)
        for number, change in enumerate(self.record.changes[: cut.at]):
            if change.kind in ("sync", "mark"):
                continue
            fate = MADE if self._safe[number] < cut.at else choose(change, draw)
            if change.kind == "write":
                if fate != DROPPED:
                    _write_bytes(change, contents, draw if fate == TORN else None)
            elif fate != DROPPED:
                _name(change, entries, location)
        _lay_out(self.record.root, place, entries, contents)


def _remember(
    folder: Thing, entries: dict[Thing, dict[str, Thing]], location: dict[Thing, tuple[Thing, str]]
) -> None:
    entries[folder] = dict(folder.entries)
    for name, thing in folder.entries.items():
        location[thing] = folder, name
        if thing.kind == "folder":
            _remember(thing, entries, location)


def _name(
    change: Change,
    entries: dict[Thing, dict[str, Thing]],
    location: dict[Thing, tuple[Thing, str]],
) -> None:
    assert change.folder is not None
    named = entries.setdefault(change.folder, {})
    if change.kind == "remove":
        named.pop(change.name, None)
        return
    assert change.thing is not None
    if change.kind == "rename":
        # Wherever it is: where its earlier names were lost, this one may not have been.
        folder, name = location.get(change.thing, (change.folder, ""))
        if entries.get(folder, {}).get(name) is change.thing:
            del entries[folder][name]
    named[change.name] = change.thing
    location[change.thing] = change.folder, change.name


def _write_bytes(
    change: Change, contents: dict[Thing, bytearray], torn: random.Random | None
) -> None:
    assert change.thing is not None
    if change.thing not in contents:
        contents[change.thing] = bytearray(change.thing.content)
    content, at, data = contents[change.thing], change.at, change.data
    if data is None:
        size = at
        if torn is not None and torn.random() < 0.5:
            return
        del content[size:]
        content.extend(bytes(size - len(content)))
        return
    end = at + len(data)
    content.extend(bytes(max(0, end - len(content))))
    if torn is None:
        content[at:end] = data
        return
    kept = torn.choice((0.0, 0.5, 0.9))
    for start in range(at - at % SECTOR, end, SECTOR):
        if torn.random() < kept:
            first, last = max(start, at), min(start + SECTOR, end)
            content[first:last] = data[first - at : last - at]


def _lay_out(
    folder: Thing,
    place: Path,
    entries: dict[Thing, dict[str, Thing]],
    contents: dict[Thing, bytearray],
) -> None:
    place.mkdir()
    for name, thing in entries.get(folder, {}).items():
        path = place / name
        if thing.kind == "folder":
            _lay_out(thing, path, entries, contents)
        elif thing.kind == "link":
            path.symlink_to(os.fsdecode(thing.content))
        else:
            path.write_bytes(contents.get(thing, thing.content))


def unrecorded(states: CrashStates, now: Path, place: Path) -> list[str]:
    """Return where the complete record does not lead to what is on the disk.

    SQLite maps its index of the log (``-shm``), which it makes again after every cut; what runs
    print (``compute_logs``) is nobody's promise.
    """
    states.write(Cut(len(states.record.changes), "all made"), place)
    there, replayed = (dict(_files(folder)) for folder in (now, place))
    names = there.keys() | replayed.keys()
    return sorted(name for name in names if there.get(name) != replayed.get(name))


def _files(folder: Path) -> Iterator[tuple[str, bytes | str]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name.endswith("-shm") or "compute_logs" in path.parts:
            continue
        if path.is_symlink():
            yield name, str(path.readlink())
        else:
            yield name, "a folder" if path.is_dir() else path.read_bytes()


def sync_points(record: Record) -> tuple[list[int], list[int]]:
    """Return the numbers of changes that a cut just before, or just after, may matter at.

    First come the points of the project's own files, then those of Dagster's databases.
    """
    own: set[int] = set()
    others: set[int] = set()
    for number, change in enumerate(record.changes):
        if change.kind in ("sync", "rename", "remove", "mark"):
            near = others if change.path.startswith("dagster/") else own
            near |= {number, number + 1}
    return sorted(own), sorted(others - own)


def drawn_cuts(
    points: tuple[list[int], list[int]], count: int, draw: random.Random
) -> Iterator[Cut]:
    """Yield ``count`` cuts, all different, spread over the points and the policies.

    Half of them are at the project's own points, where there are others. Where there are not as
    many, the policies that draw do so again.
    """
    own, others = points
    if others:
        yield from _drawn(others, count // 2, draw)
        count -= count // 2
    yield from _drawn(own, count, draw)


def _drawn(points: list[int], count: int, draw: random.Random) -> list[Cut]:
    cuts = [Cut(at, policy) for at in points for policy in POLICIES]
    seed = 1
    while len(cuts) < count:
        cuts += [Cut(at, policy, seed) for at in points for policy in _DRAWING]
        seed += 1
    return draw.sample(cuts, count)
