"""Tokens and keys of the environment are in nothing that a build leaves."""

import io
import sys

import dagster as dg
import pytest
from helpers import Sandbox
from rich.console import Console
from torture.secrets import SECRETS, holding

from cyrene_assets.automation.rebuild_rules import AT_ONCE
from cyrene_assets.cli.progress import StepReporter
from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.orchestration import builder, pipes_runner
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.garbage_collector import collect
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.store.outcome import BuildResult
from cyrene_assets.utils.errors import BuildError

# As a tool may: it prints its environment, keeps it among its files, returns it and dies of it.
_TALKATIVE = """
import json, os, sys
from pathlib import Path
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.common.pipes_program import Program, run

def main(program: Program) -> dict:
    seen = json.dumps(dict(os.environ))
    print(seen)
    print(seen, file=sys.stderr)
    Path(program.extras["out"], "environment.json").write_text(seen)
    Path(program.extras["work"], "environment.json").write_text(seen)
    program.progress(seen)
    if program.extras["fail"]:
        raise BuildError(seen)
    return {"seen": seen}

run(main)
"""


@pytest.mark.usefixtures("specs")
def test_a_build_keeps_no_secret(empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CYRENE_TOY_PYTHON", sys.executable)
    monkeypatch.setattr(pipes_runner, "WORKERS", "toy.workers")
    package = empty.home / "work" / "pythonpath" / "toy" / "workers" / "toy"
    package.mkdir(parents=True)
    (package / "talkative.py").write_text(_TALKATIVE, encoding="utf-8")

    def talk(build: ArtifactBuild, *, fail: bool) -> BuildResult:
        seen = build.run_program("talkative", {"fail": fail}, environment={})
        return BuildResult(seen["seen"], metadata=seen, measurements=seen)

    @artifact_asset(
        rebuild=AT_ONCE,
        group_name="toy",
        kinds=set(),
        code_version="1",
        params=lambda _project, _partition: {},
        toolchain=Toolchain("toy", "CYRENE_TOY_PYTHON", "train.txt", "train.txt", ("dagster",)),
    )
    def talker(build: ArtifactBuild) -> BuildResult:
        """Tell all that it sees."""
        return talk(build, fail=False)

    @artifact_asset(
        rebuild=AT_ONCE,
        group_name="toy",
        kinds=set(),
        code_version="1",
        deps=["talker"],
        params=lambda _project, _partition: {},
        toolchain=Toolchain("toy", "CYRENE_TOY_PYTHON", "train.txt", "train.txt", ("dagster",)),
    )
    def failure(build: ArtifactBuild) -> BuildResult:
        """Fail, and tell all that it sees."""
        return talk(build, fail=True)

    shown = io.StringIO()
    definitions = dg.Definitions(assets=[talker, failure], executor=dg.in_process_executor)
    with StepReporter(Console(file=shown, width=10_000)) as reporter:
        empty.build("sft_chat")
        with pytest.raises(BuildError) as caught:
            builder.build(
                empty.project, empty.instance, definitions, "failure", "tiny", reporter.report
            )
    collect(empty.project, empty.instance, dry_run=True)
    said = shown.getvalue() + str(caught.value)
    assert "CYRENE_TOY_PYTHON" in said
    assert not [name for name, value in SECRETS.items() if value in said]
    assert not [name for name in SECRETS if name in said]
    kept = list(holding(empty.home.parent, ["CYRENE_TOY_PYTHON"]))
    assert {path.suffix for path in kept} >= {".json", ".log", ".db"}
    assert not list(holding(empty.home.parent, SECRETS.values()))
