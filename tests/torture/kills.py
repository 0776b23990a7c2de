"""Kill builds at random moments, and look at what is left and what the next build makes."""

import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cyrene_assets.store.artifact_key import ArtifactKey

from .bench import INDETERMINATE, Bench, build, environment
from .processes import (
    TAG,
    end_within,
    fork,
    gone_within,
    in_child,
    kill,
    start,
    tagged,
)
from .secrets import SECRETS, holding

Victim = Literal["orchestrator", "tool", "both"]
VICTIMS: tuple[Victim, ...] = ("orchestrator", "tool", "both")
GONE_SECONDS = 10.0
# A build whose tool was killed says so and ends.
ENDS_SECONDS = 90.0


@dataclass
class Tally:
    """What became of the kills of one stage; ``lost`` says of each thing lost what it was."""

    stage: str
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    in_a_run: int = 0
    rebuilds: int = 0
    longest_end: float = 0.0
    lost: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the tally as a JSON value."""
        return asdict(self)


def torment(
    bench: Bench, stage: str, kills: int, seed: int, place: Path, *, in_a_row: int, command: bool
) -> Tally:
    """Kill the builds of a stage ``kills`` times; after up to ``in_a_row`` kills let one finish.

    ``command`` starts `cyrene build` each time; otherwise a copy of this process builds.
    """
    draw, tally = random.Random(f"{stage}{seed}"), Tally(stage)
    usual = bench.reference(stage).seconds + (4.0 if command else 0.0)
    while sum(tally.kills.values()) < kills:
        bench.restore(stage, place)
        left = min(draw.randint(1, in_a_row), kills - sum(tally.kills.values()))
        for _ in range(left):
            moment, victim = draw.uniform(0, usual), draw.choice(VICTIMS)
            if not _kill_one(stage, place, moment, victim, tally, draw, command=command):
                break
        tally.rebuilds += 1
        tally.lost += finish(bench, stage, place)
    return tally


def _kill_one(
    stage: str,
    place: Path,
    moment: float,
    victim: Victim,
    tally: Tally,
    draw: random.Random,
    *,
    command: bool,
) -> bool:
    """Start a build and kill it; false where it had ended before."""
    tag = f"{os.getpid()}-{time.monotonic_ns()}"
    if command:
        from helpers import CYRENE, linked_root

        # The command writes the .env of the project's root: of a root of its own.
        root = place.parent / "root"
        if not root.is_dir():
            linked_root(root)
        line = [str(CYRENE), "build", "--to", stage]
        variables = {**os.environ, **SECRETS, **environment(place), TAG: tag}
        variables["PYTHONPATH"] = str(root)
        child = start(place / "run", line, variables)
    else:
        os.environ[TAG] = tag
        child = fork(place / "run", lambda: build(place, stage))
    status = end_within(child, moment)
    if status is not None:
        if status != 0:
            tally.lost.append(f"{stage}: a build that nobody killed ended with {status}")
        return False
    tools = [p for p in tagged(tag) if p != child and not _serves_nothing(p)]
    victim = victim if tools else "orchestrator"
    if victim != "tool":
        kill(child)
    if victim != "orchestrator":
        for tool in tools if victim == "both" else [draw.choice(tools)]:
            kill(tool)
    killed = time.monotonic()
    status = end_within(child, ENDS_SECONDS if victim == "tool" else GONE_SECONDS)
    if status is None:
        tally.lost.append(f"{stage}: the build was still there after its {victim} was killed")
        kill(child)
        os.waitpid(child, 0)
    elif victim != "tool" and not os.WIFSIGNALED(status):
        return False
    for process in gone_within(tag, GONE_SECONDS):
        name = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
        tally.lost.append(f"{stage}: {name} outlived its {victim}")
        kill(process)
    if victim != "tool":
        tally.longest_end = max(tally.longest_end, round(time.monotonic() - killed, 2))
    tally.kills[victim] += 1
    tally.in_a_run += _unfinished(place)
    return victim == "orchestrator" or status is None or not os.WIFEXITED(status) or bool(status)


def _serves_nothing(process: int) -> bool:
    """Return whether a process is a fork server without a fork, whose end nobody notices."""
    folder = Path(f"/proc/{process}")
    try:
        server = b"workers.common.fork_server" in (folder / "cmdline").read_bytes()
        return server and not (folder / "task" / str(process) / "children").read_text().strip()
    except OSError:
        return False


def _unfinished(place: Path) -> bool:
    """Return whether the killed build was in a run, as the instance says."""
    return bool(in_child(place / "look", lambda: len(_unfinished_runs(place)) > 0))


def _unfinished_runs(place: Path) -> list[str]:
    import dagster as dg

    from cyrene_assets.orchestration.run_retention import UNFINISHED
    from cyrene_assets.project.instance import open_instance, prepare
    from cyrene_assets.project.project import Project

    os.environ.update(environment(place))
    project = Project.load()
    prepare(project, place)
    with open_instance(project) as instance:
        return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))]


def finish(bench: Bench, stage: str, place: Path) -> list[str]:
    """Build undisturbed, and return all that is not as it would be had nobody killed anything."""
    try:
        found = in_child(place / "finish", lambda: _look(place, stage))
    except RuntimeError as error:
        return [f"{stage}: the next build failed: {error}"]
    lost = [f"{stage}: {problem}" for problem in found["problems"]]
    for name, digest in bench.reference(stage).digests.items():
        made = found["digests"].get(name)
        indeterminate = ArtifactKey.parse(name).asset in INDETERMINATE
        if made is None or (made != digest and not indeterminate):
            lost.append(f"{stage}: {name} is {made}, undisturbed it was {digest}")
    return lost


def _look(place: Path, stage: str) -> dict[str, Any]:
    from helpers import Sandbox, code_location

    from cyrene_assets.definitions import defs
    from cyrene_assets.orchestration import builder
    from cyrene_assets.orchestration.garbage_collector import collect
    from cyrene_assets.project.instance import open_instance, prepare
    from cyrene_assets.project.project import Project

    defs()
    os.environ.update(environment(place))
    project = Project.load()
    prepare(project, place)
    with open_instance(project) as instance:
        sandbox = Sandbox(project.home, project.corpus_folder, instance)
        problems = [f"after the kill: {said}" for said in invisible_damage(sandbox)]
        builder.build(project, instance, code_location(), stage, "tiny", print)
        problems += [f"after the rebuild: {said}" for said in invisible_damage(sandbox)]
        waiting = [name for name, reason in sandbox.plan(stage).items() if reason is not None]
        problems += [f"{name} is out of date after a build" for name in waiting]
        problems += [f"run {run} is unfinished for ever" for run in _unfinished_runs(place)]
        for pool in instance.event_log_storage.get_concurrency_keys():
            info = instance.event_log_storage.get_concurrency_info(pool)
            if info.active_slot_count or info.pending_step_count:
                problems.append(f"a slot of pool {pool} is stuck")
        collect(project, instance, dry_run=False)
        problems += [f"{path} holds a secret" for path in holding(project.home, SECRETS.values())]
        problems += [
            f"{folder} is left after `cyrene gc`" for folder in project.store.root.glob(".st*/*")
        ]
        return {"problems": problems, "digests": sandbox.digests()}


def invisible_damage(sandbox: Any) -> Iterator[str]:
    """Yield what is wrong with the artifacts that the store shows and the instance names."""
    from cyrene_assets.store.artifact_store import CorruptArtifactError

    store = sandbox.project.store
    seen = set()
    for artifact in store.artifacts():
        seen.add((str(artifact.key), artifact.digest))
        try:
            artifact.verify(contents=True)
        except CorruptArtifactError as error:
            yield str(error)
    for name, digest in sandbox.digests().items():
        if (name, digest) not in seen:
            yield f"{name} {digest} is recorded and not there"
