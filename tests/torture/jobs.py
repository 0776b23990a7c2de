"""What can be done to a project, one row of results each, and in which order it is done."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .bench import HEAVY, LIGHT, REPORTS, Bench

Row = dict[str, Any]
# A job, the stage that it is done to, and how often.
Part = tuple[str, str, int]
Job = Callable[[Bench, str, int, int], Row]


def kills(bench: Bench, stage: str, times: int, seed: int) -> Row:
    """Kill builds of a stage at random moments."""
    from .kills import torment

    light = stage in LIGHT or stage in REPORTS
    bench.prepare((stage,))
    place = bench.folder / f"kills-{os.getpid()}"
    # What is light is built by copies of this process, what is heavy by the command itself.
    in_a_row = 3 if light else 5
    return torment(bench, stage, times, seed, place, in_a_row=in_a_row, command=not light).as_dict()


def commands(bench: Bench, stage: str, times: int, seed: int) -> Row:
    """Kill the command `cyrene build` itself at random moments, its start included."""
    from .kills import torment

    bench.prepare((stage,))
    place = bench.folder / f"commands-{os.getpid()}"
    return torment(bench, stage, times, seed, place, in_a_row=3, command=True).as_dict()


def disks(bench: Bench, stage: str, times: int, seed: int) -> Row:
    """Build on disks that are full, or turn read-only, at a random write."""
    from .disks import start

    bench.prepare((stage,))
    return start(bench, stage, times, seed)


def crowds(bench: Bench, stage: str, times: int, seed: int) -> Row:
    """Let builds, literal runs and collectors work on one partition at once."""
    from .crowd import gather

    bench.prepare((stage,))
    return gather(bench, stage, times, seed).as_dict()


def cancel(bench: Bench, stage: str, times: int, seed: int) -> Row:
    """Cancel runs in the UI while their tools work."""
    from .cancel import cancel as cancelling

    bench.prepare((stage,))
    return cancelling(bench, stage, times, seed).as_dict()


def cuts(bench: Bench, stage: str, times: int, seed: int) -> Row:
    """Cut the power while something is at work: an act of its own, a build, the collector."""
    from torture.power_cut.cuts import cut, recorded
    from torture.power_cut.projects import after_build, project_of

    folder = bench.folder / "cuts"
    record = recorded(stage, folder, project_of(bench, stage))
    after = after_build(bench, stage, folder)
    return cut(stage, record, times, seed, folder, after=after, every=REBUILT_EVERY).as_dict()


def clock(bench: Bench, stage: str, times: int, seed: int) -> Row:
    """Set the clock back by a year between two builds."""
    from .clock import STAGE, set_back

    bench.prepare((STAGE,))
    return {"stage": STAGE, "lost": [wrong for _ in range(times) for wrong in set_back(bench)]}


def fuzz(bench: Bench, stage: str, times: int, seed: int) -> Row:
    """Harm corpora, settings and manifests, and read them."""
    import shutil

    from . import fuzz as fuzzing

    folder = bench.folder / "fuzz"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kinds = []
    for kind in fuzzing.kinds(folder):
        started = time.monotonic()
        outcomes = fuzzing.run(kind, 0, round(times * kind.share), seed)
        kinds.append(outcomes.as_dict() | {"seconds": round(time.monotonic() - started)})
    return {"kinds": kinds, "lost": [crash for kind in kinds for crash in kind["crashes"]]}


def soak(bench: Bench, stage: str, times: int, seed: int) -> Row:
    """Rebuild a changing corpus again and again in one process."""
    import logging

    from . import soak as soaking

    logging.getLogger("dagster").setLevel(logging.ERROR)
    rows = list(soaking.soak(bench.folder / "soak", times, seed))
    lost = [f"{name} grows" for name in soaking.grown(rows)]
    return {"rebuilds": rows, "growth": soaking.growth(rows), "lost": lost}


# A build resumes after one of so many power cuts: it takes longer than looking.
REBUILT_EVERY = 10
JOBS: dict[str, Job] = {
    job.__name__: job for job in (kills, commands, disks, crowds, cancel, cuts, clock, fuzz, soak)
}
# A process that has read tables cannot be copied any more: what reads them itself comes last.
FULL: Sequence[Part] = (
    *(("kills", stage, 22) for stage in LIGHT),
    *(("kills", stage, times) for stage, times in zip(HEAVY, (20, 15, 5, 5, 5), strict=True)),
    *(("kills", stage, 4) for stage in REPORTS),
    *(("commands", stage, 5) for stage in ("raw_dialog", "sft_chat")),
    # Every write of an artifact (30 to 50, of both kinds), and as many of Dagster's thousands.
    *(("disks", stage, 200) for stage in ("raw_dialog", "parallel_corpus", "sft_chat")),
    *(("disks", stage, 16) for stage in ("base_model", "packed_cpt")),
    *(("crowds", stage, 5) for stage in ("raw_dialog", "parallel_corpus", "sft_chat")),
    *(("cancel", stage, 3) for stage in ("base_model", "cpt_checkpoint", "fp8_model")),
    *(("cuts", act, 200) for act in ("publish", "settings", "trash", "checkpoints")),
    *(("cuts", f"build {stage}", 120) for stage in ("raw_dialog", "sft_chat", "base_model")),
    ("cuts", "collect", 120),
    ("clock", "", 1),
    ("fuzz", "", 100_000),
    ("soak", "", 50),
)
SAMPLE: Sequence[Part] = (
    ("kills", "raw_dialog", 2),
    ("kills", "base_model", 1),
    ("disks", "sft_chat", 2),
    ("crowds", "sft_chat", 1),
    ("cancel", "base_model", 1),
    ("cuts", "build raw_dialog", 20),
    ("clock", "", 1),
    ("fuzz", "", 500),
    ("soak", "", 2),
)


def scaled(plan: Sequence[Part], scale: float) -> list[Part]:
    """Return a plan in which everything is done ``scale`` times as often, and at least once."""
    return [(job, stage, max(1, round(times * scale))) for job, stage, times in plan]


def run(folder: Path, plan: Sequence[Part], seed: int) -> Iterator[Row]:
    """Do what a plan says, in a folder; yield a row for each part of it, with what was lost."""
    bench = Bench(folder)
    bench.load_code_location()
    for job, stage, times in plan:
        started = time.monotonic()
        row = JOBS[job](bench, stage, times, seed)
        seconds = round(time.monotonic() - started)
        yield {"job": job, "stage": stage, "times": times, "seed": seed, **row, "seconds": seconds}
