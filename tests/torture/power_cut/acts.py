"""What is at work when the power goes: each act is a process of its own that is recorded.

An act says marks: what was promised by then holds after every later cut. ``python -m`` runs one
with ``recorder.c`` preloaded.
"""

import ctypes
import json
import os
import random
import sys
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cyrene_assets.project import home_identity
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import ProjectFile
from cyrene_assets.store import records
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import LOG, Artifact, Store
from cyrene_assets.store.records import StoredRecord
from cyrene_assets.store.trash import Trash
from cyrene_assets.utils.files import make_folder
from cyrene_assets.workers.train.resume import LOG as LOG_OF_STEPS
from cyrene_assets.workers.train.resume import prepare_attempt, prune
from cyrene_assets.workers.train.training_log import cut_log

Say = Callable[[str, Any], None]
Act = Callable[[Path, Say], None]
NOW = datetime(2030, 1, 8, tzinfo=UTC)
CORPORA = ("first", "second", "third")
RUN = Path("work/cpt_checkpoint/tiny/0123456789abcdef/train")
COMMAND = ("swift", "pt", "--max_steps", "60")
STEPS = (20, 40, 60)


def publish(home: Path, say: Say) -> None:
    """Publish and record artifacts: new ones, the same again, one in place of a damaged one."""
    store = Store(home / "store")
    for number in (1, 2):
        say("recorded", _make(store, "thing", "en", number))
    say("recorded", _make(store, "thing", "en", 1))
    say("recorded", _make(store, "another", None, 3))
    damaged = _published(store, "thing", "en", 2).path
    say("damaged", damaged.name)
    (damaged / "data.bin").write_bytes(b"half")
    say("recorded", _make(store, "thing", "en", 2))


def _make(store: Store, asset: str, partition: str | None, number: int) -> dict[str, Any]:
    artifact = _published(store, asset, partition, number)
    record = StoredRecord(
        asset=asset,
        partition=partition,
        digest=artifact.digest,
        code_version="1",
        params={"number": number},
        inputs={},
        seconds=1.0,
        checks=[{"name": "good", "passed": True, "blocking": True, "detail": "it is"}],
        sources={},
        run_id="run",
        recorded=float(number),
    )
    records.write(store, record)
    return {"name": str(artifact.key), "digest": artifact.digest, "lineage": record.fingerprint}


def _published(store: Store, asset: str, partition: str | None, number: int) -> Artifact:
    with store.stage(asset) as out:
        (out / "inner").mkdir()
        (out / "data.bin").write_bytes(random.Random(number).randbytes(9000))
        (out / "inner" / "more.txt").write_text(f"{number}\n" * 900, encoding="utf-8")
        (out / LOG).write_text("made\n", encoding="utf-8")
        return store.publish(out, ArtifactKey(asset, partition), {"run_id": "run"})


def settings(home: Path, say: Say) -> None:
    """Name the home, and write ``project.yaml`` again and again."""
    os.environ["DAGSTER_HOME"] = str(home.parent / "elsewhere")
    Path(os.environ["DAGSTER_HOME"]).mkdir(exist_ok=True)
    project = Project(home, ProjectFile())
    home_identity.claim_instance(project)
    say("claimed", (home / ".home-id").read_text(encoding="utf-8"))
    for corpus in CORPORA:
        project = project.save(ProjectFile(corpus=corpus))
        say("project", corpus)


def trash(home: Path, say: Say) -> None:
    """Move artifacts and their records to the trash, and empty some of it."""
    store = Store(home / "store")
    for second in range(2):
        bin_ = Trash(home, (store.root, home / "work"), NOW.replace(second=second))
        for artifact in list(store.artifacts())[:2]:
            bin_.take(artifact.path)
        for file in records.unneeded(store):
            bin_.take(file)
    oldest = bin_.everything()[0]
    gone = [f.name for f in oldest.glob("store/[!.]*/*/*")]
    say("emptied", gone)
    bin_.empty(oldest)


def filled(home: Path) -> None:
    """Make the store that ``trash`` takes from."""
    store = Store(home / "store")
    for number in range(5):
        _make(store, "thing", "en", number)


def checkpoints(home: Path, say: Say) -> None:
    """Train in steps, as ms-swift writes them, with an interruption; drop what is older."""
    run = home / RUN
    make_folder(run.parent, home)  # as the asset does
    done = 0
    for last in (40, 60):
        start = prepare_attempt(run, COMMAND)
        if start.step is not None:
            cut_log(run / LOG_OF_STEPS, start.step)
        for step in STEPS:
            if done < step <= last:
                _train(run, step)
                prune(run, {20})
                say("sealed", step)
        done = last
        if last < STEPS[-1]:
            _train(run, last + 10, complete=False)


def _train(run: Path, step: int, *, complete: bool = True) -> None:
    """Log ten steps and save after them: weights, optimizer, random state, at last the state."""
    for number in range(step - 9, step + 1):
        with (run / LOG_OF_STEPS).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"loss": 1.0, "global_step/max_steps": f"{number}/60"}) + "\n")
    folder, draw = run / f"checkpoint-{step}", random.Random(step)
    folder.mkdir()
    header = json.dumps(
        {"weight": {"dtype": "BF16", "shape": [3000], "data_offsets": [0, 6000]}}
    ).encode()
    content = len(header).to_bytes(8, "little") + header + draw.randbytes(6000)
    (folder / "model.safetensors").write_bytes(content)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("data.pkl", draw.randbytes(3000))
    if complete:
        text = json.dumps({"max_steps": STEPS[-1], "global_step": step, "noise": draw.random()})
        (folder / "trainer_state.json").write_text(text, encoding="utf-8")


def build(home: Path, say: Say, stage: str) -> None:
    """Build a stage of the bench's project, as the command does."""
    from torture import bench

    bench.build(home.parent, stage)
    say("built", stage)


def collect(home: Path, say: Say) -> None:
    """Collect garbage as the command does, then empty the trash."""
    from cyrene_assets.definitions import defs
    from cyrene_assets.orchestration.garbage_collector import collect as collecting
    from cyrene_assets.project.instance import open_instance, prepare
    from torture.bench import environment

    defs()
    os.environ.update(environment(home.parent))
    project = Project.load()
    prepare(project, home.parent)
    with open_instance(project) as instance:
        found = collecting(project, instance, dry_run=False)
        if not any(garbage.path.is_relative_to(project.store.root) for garbage in found):
            raise RuntimeError("there was no garbage: the cuts prove nothing")
        kept = [folder.name for folder in (home / "trash").glob("*/store/[!.]*/*/*")]
        say("emptied", kept)
        collecting(project, instance, dry_run=False, now=True)


ACTS: Mapping[str, Act] = {
    act.__name__: act for act in (publish, settings, trash, checkpoints, collect)
}


def main() -> None:
    """Do one act and record it."""
    name, home, file = sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3]
    act = ACTS.get(name) or partial(build, stage=name.removeprefix("build "))
    recorder = ctypes.CDLL(None)

    def say(kind: str, value: Any) -> None:
        recorder.record_mark(json.dumps([kind, value]).encode())

    if name not in ACTS or name == "collect":
        from helpers import code_location

        from torture.bench import environment

        os.environ.update(environment(home.parent))
        code_location()
    # Programs that are started are recorded, too.
    os.environ |= {"CUT_ROOT": str(home), "CUT_RECORD": file}
    recorder.record_changes(os.fsencode(home), os.fsencode(file))
    act(home, say)
    recorder.record_changes(b"", b"")


if __name__ == "__main__":
    main()
