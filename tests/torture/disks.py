"""A disk that is full, or turns read-only, at any write of a build.

This module runs in a process with ``failing_disk.c`` preloaded; each trial is a copy of it.
"""

import ctypes
import errno
import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .bench import Bench, build
from .preloaded import compiled, run
from .processes import in_child

ERRORS = {"full": errno.ENOSPC, "read-only": errno.EROFS}
# Where it fails: under the artifacts, or under Dagster's databases, which write far oftener.
AREAS = ("store", "dagster")


@dataclass
class Disks:
    """What became of builds on a failing disk; ``lost`` says of each thing lost what it was."""

    stage: str
    writes: dict[str, int] = field(default_factory=dict)
    trials: dict[str, int] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the results as a JSON value."""
        return {**vars(self), "ends": dict(self.ends)}


def start(bench: Bench, stage: str, trials: int, seed: int) -> dict[str, Any]:
    """Run the trials in a process with the failing disk; return the results as a JSON value."""
    library = compiled("failing_disk", bench.folder)
    done = run(library, "disks", bench.folder, stage, trials, seed)
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results


def fail(bench: Bench, stage: str, trials: int, seed: int) -> Disks:
    """Build a stage on a disk that fails at a write; then on one that does not.

    The writes are random ones, none twice: with enough trials, every one.
    """
    from .kills import finish

    place, draw, disks = bench.folder / "failing", random.Random(f"{stage}{seed}"), Disks(stage)
    for area in AREAS:
        bench.restore(stage, place)
        counted = in_child(bench.folder / "attempt", partial(_attempt, place, stage, area, 0, 0))
        disks.writes[area] = counted["writes"]
    for area, kind, at in _chosen(disks.writes, trials, draw):
        bench.restore(stage, place)
        attempt = partial(_attempt, place, stage, area, at, ERRORS[kind])
        ended = in_child(bench.folder / "attempt", attempt)
        disks.trials[kind] = disks.trials.get(kind, 0) + 1
        disks.ends[ended["end"]] += 1
        where = f"{stage}, disk {kind} at write {at} of {disks.writes[area]} below {area}"
        if ended["end"] == "a crash":
            disks.lost.append(f"{where}: {ended['said']}")
        disks.lost += [f"{where}: {problem}" for problem in finish(bench, stage, place)]
    return disks


def _chosen(
    writes: dict[str, int], trials: int, draw: random.Random
) -> Iterator[tuple[str, str, int]]:
    """Yield area, kind and write of each trial; two are of both areas and kinds, four of all."""
    left = {
        (area, kind): draw.sample(range(1, writes[area] + 1), writes[area])
        for area in AREAS
        for kind in ERRORS
    }
    kinds = list(ERRORS)
    turns = [(AREAS[turn % 2], kinds[(turn + turn // 2) % 2]) for turn in range(4)]
    for turn in itertools.islice((t for t in itertools.cycle(turns) if left[t]), trials):
        yield *turn, left[turn].pop()
        if not any(left.values()):
            return


def _attempt(place: Path, stage: str, area: str, at: int, number: int) -> dict[str, Any]:
    """Build with the disk failing at a write; return how that ended, and how many writes it made.

    An end in words is an error of ours; a run that failed has words too.
    """
    from cyrene_assets.utils.errors import CyreneError

    library = ctypes.CDLL(None)
    library.disk_writes.restype = ctypes.c_long
    library.disk_fails(str(place / "home" / area).encode(), ctypes.c_long(at), number)
    end, said = "done all the same", ""
    try:
        build(place, stage)
    except CyreneError as error:
        end, said = "an error in words", str(error)
    except Exception as error:
        end, said = "a crash", repr(error)
    writes = library.disk_writes()
    library.disk_fails(b"", ctypes.c_long(0), 0)
    return {"end": end, "said": said[-1500:], "writes": writes}


def main() -> None:
    """Run trials in this process and print them."""
    folder, stage, trials, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    bench = Bench(folder)
    bench.load_code_location()
    print(json.dumps(fail(bench, stage, trials, seed).as_dict()))


if __name__ == "__main__":
    main()
