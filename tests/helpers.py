"""A miniature project for tests: its Dagster instance, builds on it, and the command."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
from mini_corpus import write_project

from cyrene_assets.definitions import defs
from cyrene_assets.orchestration import builder, lineage, planner
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.run_events import Event
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey

ROOT = Path(__file__).parent.parent
CYRENE = Path(sys.executable).with_name("cyrene")


def linked_root(folder: Path) -> Path:
    """Make a project root around this package, so that no test writes to the real one."""
    folder.mkdir(parents=True)
    for name in ("workspace.yaml", "pyproject.toml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    for name in ("cyrene_assets", "corpora"):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    return folder


def folders(root: Path) -> list[str]:
    """Return the artifact folders and staged folders under a store, relative to it."""
    found = [*root.glob("*/*/*"), *root.glob(".staging/*")]
    return sorted(path.relative_to(root).as_posix() for path in found if path.is_dir())


@cache
def code_location() -> dg.Definitions:
    """Return the code location, loaded once."""
    return defs()


@dataclass
class Sandbox:
    """A project in a temporary folder, with its corpus and its open Dagster instance."""

    home: Path
    corpus: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions = field(default_factory=code_location)

    @property
    def project(self) -> Project:
        """The project as it is now on disk."""
        return Project.load()

    def build(self, target: str, size: str = "tiny") -> tuple[list[str], list[Event]]:
        """Build as the command does; return the names of what ran, and every event."""
        events: list[Event] = []
        builder.build(self.project, self.instance, self.definitions, target, size, events.append)
        return [event.step for event in events if event.kind in ("done", "reused")], events

    def plan(self, target: str, size: str = "tiny") -> dict[str, str | None]:
        """Return why each artifact has to be built, by name."""
        steps = planner.plan(self.project, self.instance, target, size)
        return {str(step.key): step.reason for step in steps}

    def steps(self, target: str, size: str = "tiny") -> list[Step]:
        """Return the plan itself."""
        return planner.plan(self.project, self.instance, target, size)

    def run(
        self, assets: Sequence[str], partition: str | None = None, *, tags: Any = None
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets as the UI would, but make what is asked for, needed or not."""
        keys = [dg.AssetKey(asset) for asset in assets]
        job = self.definitions.resolve_implicit_job_def_def_for_assets(keys)
        assert job is not None
        return job.execute_in_process(
            instance=self.instance,
            partition_key=partition,
            asset_selection=keys,
            raise_on_error=False,
            tags={"cyrene/reuse": "false"} if tags is None else tags,
        )

    def failure(
        self, assets: Sequence[str], partition: str | None = None, *, tags: Any = None
    ) -> str:
        """Run assets that must fail; return what the step said."""
        result = self.run(assets, partition, tags=tags)
        assert not result.success
        return failure_text(result)

    def digests(self) -> dict[str, str]:
        """Return the current digest of every artifact, by name."""
        found = {}
        for spec in SPECS.values():
            for key in map(spec.key, spec.partitions):
                record = lineage.latest(self.instance, key)
                if record is not None:
                    found[str(key)] = record.digest
        return found

    def record(self, name: str) -> lineage.Record:
        """Return the record of a current artifact, by its name."""
        record = lineage.latest(self.instance, ArtifactKey.parse(name))
        assert record is not None
        return record

    def artifact(self, asset: str, partition: str | None) -> Path:
        """Return the folder of a current artifact."""
        record = lineage.latest(self.instance, ArtifactKey(asset, partition))
        assert record is not None
        return self.project.store.locate(ArtifactKey(asset, partition), record.digest).path

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        """Rewrite a file of the corpus."""
        path = self.corpus / file
        old = path.read_text(encoding="utf-8")
        new = change(old)
        assert new != old
        path.write_text(new, encoding="utf-8")


def failure_text(result: dg.ExecuteInProcessResult) -> str:
    """Return the description of the failure that ended a run's step."""
    failures = [event.step_failure_data for event in result.get_step_failure_events()]
    said = [data.user_failure_data for data in failures]
    assert said, "no step failed"
    assert said[0] is not None, failures[0].error
    return said[0].description or ""


@dataclass(frozen=True)
class Command:
    """The ``cyrene`` command as a process of its own, in a project root of its own."""

    root: Path
    home: Path
    environment: Mapping[str, str]

    def start(self, *arguments: str, **changes: str) -> "subprocess.Popen[str]":
        """Start the command in a process group of its own."""
        return subprocess.Popen(
            [str(CYRENE), *arguments],
            env={**self.environment, **changes},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end."""
        process = self.start(*arguments, **changes)
        output, errors = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def command(root: Path, home: Path, corpus: Path) -> Command:
    """Return the command for a project whose corpus is ``corpus``."""
    write_project(home, corpus)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CYRENE_", "DAGSTER_"))
    }
    environment = {**inherited, "CYRENE_HOME": str(home), "PYTHONPATH": str(root)}
    # Bytecode is read from the package's folder; a parent may have switched writing it off.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return Command(root, home, environment)
