"""Several at work at once on one project: builds, literal runs, collectors."""

import os
import random
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .bench import Bench, build, environment
from .kills import finish
from .processes import fork, result

# Who is at work, each in a process of its own.
WORKERS = ("build", "build", "literal run", "literal run", "gc", "gc")


@dataclass
class Crowds:
    """What became of crowds; ``lost`` says of each thing lost what it was."""

    stage: str
    crowds: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the results as a JSON value."""
        return vars(self)


def gather(bench: Bench, stage: str, crowds: int, seed: int) -> Crowds:
    """Let builds, literal runs and collectors loose on one stage, and look at what is left."""
    draw, found, place = random.Random(f"{stage}{seed}"), Crowds(stage), bench.folder / "crowd"
    seconds = bench.reference(stage).seconds
    for _ in range(crowds):
        bench.restore(stage, place)
        children = []
        for number, worker in enumerate(WORKERS):
            folder = place / f"worker {number}"
            wait = draw.uniform(0, seconds)
            children.append(
                (worker, folder, fork(folder, partial(_work, place, stage, worker, wait)))
            )
        for worker, folder, child in children:
            try:
                end = f"{worker}: {result(folder, child)}"
                found.ends[end] = found.ends.get(end, 0) + 1
            except RuntimeError as error:
                found.lost.append(f"{stage}, {worker}: {error}")
        found.crowds += 1
        found.lost += finish(bench, stage, place)
    return found


def _work(place: Path, stage: str, worker: str, wait: float) -> str:
    """Do one worker's part after a while; return how it ended."""
    from cyrene_assets.utils.errors import BuildError

    time.sleep(wait)
    try:
        if worker == "build":
            build(place, stage)
        elif worker == "gc":
            _collect(place)
        elif not _literal_run(place, stage):
            return "ended in words"
    except BuildError:
        return "ended in words"
    return "done"


def _literal_run(place: Path, stage: str) -> bool:
    """Materialize the first partition of the stage as Dagster's own command does."""
    import dagster as dg
    from helpers import code_location

    from cyrene_assets.orchestration.artifact_spec import SPECS
    from cyrene_assets.project.instance import open_instance, prepare
    from cyrene_assets.project.project import Project

    os.environ.update(environment(place))
    project = Project.load()
    prepare(project, place)
    keys_of = SPECS[stage].partitions_def
    partition = keys_of.get_partition_keys()[0] if keys_of is not None else None
    keys = [dg.AssetKey(stage)]
    job = code_location().resolve_implicit_job_def_def_for_assets(keys)
    assert job is not None
    with open_instance(project) as instance:
        done = job.execute_in_process(
            instance=instance,
            partition_key=partition,
            asset_selection=keys,
            raise_on_error=False,
        )
    return done.success


def _collect(place: Path) -> None:
    from cyrene_assets.definitions import defs
    from cyrene_assets.orchestration.garbage_collector import collect
    from cyrene_assets.project.instance import open_instance, prepare
    from cyrene_assets.project.project import Project

    defs()
    os.environ.update(environment(place))
    project = Project.load()
    prepare(project, place)
    with open_instance(project) as instance:
        collect(project, instance, dry_run=False)
