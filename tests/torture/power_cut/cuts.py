"""Cut the power at every point of an act, and look at what a fresh process finds after it."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cyrene_assets.utils.process_identity import boot
from torture.preloaded import compiled, run
from torture.processes import in_child

from .acts import filled
from .changes import Record, read_record, tree
from .look import look
from .states import POLICIES, CrashStates, Cut, drawn_cuts, sync_points, unrecorded


@dataclass
class Cuts:
    """What became of the power cuts of one act; ``lost`` says of each thing lost what it was.

    ``changes`` counts what was recorded, ``points`` the moments just before or after a sync, a
    rename or a removal, ``syncs`` the syncs among them; ``rebuilds`` the builds that resumed.
    """

    act: str
    changes: int = 0
    syncs: int = 0
    points: int = 0
    cuts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(POLICIES, 0))
    rebuilds: int = 0
    lost: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the results as a JSON value."""
        return vars(self)


def recorded(act: str, folder: Path, prepare: Callable[[Path], object] | None = None) -> Record:
    """Do an act in ``folder / "home"`` and return the record of it.

    ``prepare`` makes the home ahead of the act, in the folder that it is given.

    Raises:
        RuntimeError: the record is not all that happened.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    home = folder.resolve() / "home"
    if prepare is not None:
        prepare(folder)
    else:
        home.mkdir()
    if act == "trash":
        filled(home)
    before, file = tree(home), folder / "record"
    library = compiled("power_cut/recorder", folder)
    run(library, "power_cut.acts", act, home, file)
    record = read_record(file, before)
    missed = unrecorded(CrashStates(record), home, folder / "replayed")
    if missed:
        raise RuntimeError(f"{act}: changes were not recorded: {missed[:5]}")
    return record


def cut(
    act: str,
    record: Record,
    times: int,
    seed: int,
    folder: Path,
    *,
    ignored: frozenset[int] = frozenset(),
    after: Callable[[], list[str]] | None = None,
    every: int = 1,
) -> Cuts:
    """Cut the power ``times`` times; ``after`` each n-th one, look further.

    States are laid out in ``folder``, where the record was made: paths are part of what is written.
    """
    states, points = CrashStates(record, ignored), sync_points(record)
    kinds = Counter(change.kind for change in record.changes)
    found = Cuts(act, len(record.changes), kinds["sync"], sum(map(len, points)))
    draw = random.Random(f"{act}{seed}")
    for number, power_cut in enumerate(drawn_cuts(points, times, draw)):
        wrong = wrong_after(states, power_cut, folder)
        if after is not None and number % every == 0:
            found.rebuilds += 1
            wrong += after()
        found.cuts[power_cut.policy] += 1
        found.lost += [f"{act}, {power_cut}: {problem}" for problem in wrong]
    return found


def wrong_after(states: CrashStates, power_cut: Cut, folder: Path) -> list[str]:
    """Return what a fresh process finds wrong in ``folder / "home"`` after one cut."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    states.write(power_cut, folder / "home")
    states.write(Cut(power_cut.at, "all made"), folder / "made")
    for attempt in (folder / "home").glob("work/*/*/*/*/attempt.json"):
        # The machine is started again after a power cut; here it was not.
        text = attempt.read_text(encoding="utf-8", errors="replace")
        attempt.write_text(text.replace(boot(), "before"), encoding="utf-8")
    marks = [json.loads(text) for text in states.promised(power_cut)]
    child = partial(look, folder / "home", folder / "made", marks)
    problems: list[str] = in_child(folder / "look", child)
    shutil.rmtree(folder / "made")
    return problems
