"""Dagster's own commands, from any folder of the project, in an environment as set-up makes it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import Command

from cyrene_assets.orchestration.literal_commands import (
    MODULE,
    VARIABLE,
    enter,
    install,
    project_root,
)

Done = subprocess.CompletedProcess[str]
BIN = Path(sys.executable).parent
SCRIPT = """\
#!{python}
# -*- coding: utf-8 -*-
import sys
from {module} import main
if __name__ == "__main__":
    sys.exit(main())
"""


def own_commands(folder: Path) -> Path:
    """Make an environment's `bin` folder with the two commands, and have them enter."""
    folder.mkdir(parents=True)
    for name, module in (("dagster", "dagster._cli"), ("dg", "dagster_dg_cli.cli")):
        file = folder / name
        file.write_text(SCRIPT.format(python=sys.executable, module=module), encoding="utf-8")
        file.chmod(0o755)
    install(folder)
    return folder


def shell(folder: Path, line: str, path: Path, **environment: str) -> Done:
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env={"PATH": f"{path}:/usr/bin:/bin", "HOME": os.environ["HOME"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    return own_commands(tmp_path / "venv" / "bin")


@pytest.fixture
def inside(cyrene: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A project whose root the process is in."""
    (cyrene.root / "docs").mkdir()
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(cyrene.root / "docs")
    return cyrene


def entered(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["dagster", *arguments])
    enter()
    return sys.argv[1:]


def test_enter_goes_to_the_root_and_names_the_module(
    inside: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("asset", "materialize", "--select", "fp8_model", "--partition", "4B")
    assert entered(monkeypatch, *given) == list(given)
    assert Path.cwd() == inside.root
    assert os.environ[VARIABLE] == MODULE


@pytest.mark.parametrize(
    "given",
    [
        ("dev",),
        ("definitions", "validate"),
        ("job", "launch"),
        ("asset", "list", "-m", "other.module"),
        ("asset", "list", "--python-file=defs.py"),
    ],
)
def test_enter_names_no_module_where_another_is_named_or_a_workspace_is_read(
    inside: Command, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    entered(monkeypatch, *given)
    assert VARIABLE not in os.environ


def test_enter_keeps_paths_those_of_the_folder_that_they_were_given_in(
    inside: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = inside.root / "docs"
    found = entered(
        monkeypatch, "job", "execute", "-c", "a.yaml", "--config=../b.yaml", "-j", "model"
    )
    assert found == [
        "job",
        "execute",
        "-c",
        f"{here}/a.yaml",
        f"--config={here}/../b.yaml",
        "-j",
        "model",
    ]


def test_enter_in_a_shell_that_names_a_module_keeps_it(
    inside: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "mine")
    entered(monkeypatch, "asset", "list")
    assert os.environ[VARIABLE] == "mine"


@pytest.mark.parametrize(
    "pyproject",
    [
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "theirs"\n',
        '[tool.dagster]\nmodule_name = "theirs.definitions"\n',
        "[tool.dg\n",
        None,
    ],
    ids=["dg", "dagster", "not TOML", "none"],
)
def test_enter_in_another_projects_folder_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pyproject: str | None
) -> None:
    folder = tmp_path / "theirs" / "src"
    folder.mkdir(parents=True)
    if pyproject is not None:
        (folder.parent / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(folder)
    given = ["asset", "list", "-w", "workspace.yaml"]
    assert entered(monkeypatch, *given) == given
    assert Path.cwd() == folder
    assert VARIABLE not in os.environ


def test_project_root_of_another_project_inside_this_one_is_not_this_one(inside: Command) -> None:
    theirs = inside.root / "docs" / "theirs"
    theirs.mkdir()
    assert project_root(theirs) == inside.root
    (theirs / "pyproject.toml").write_text("[tool.ruff]\n", encoding="utf-8")
    assert project_root(theirs) == inside.root
    (theirs / "pyproject.toml").write_text("[tool.dagster]\n", encoding="utf-8")
    assert project_root(theirs) is None


def test_install_twice_changes_nothing_more_and_keeps_the_mode(commands: Path) -> None:
    before = {file.name: file.read_text() for file in commands.iterdir()}
    install(commands)
    assert {file.name: file.read_text() for file in commands.iterdir()} == before
    assert all(os.access(file, os.X_OK) for file in commands.iterdir())


def test_install_where_a_command_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="dagster: not a command as pip or uv write it"):
        install(tmp_path)


def test_make_setup_installed_the_commands_of_this_environment() -> None:
    for name in ("dagster", "dg"):
        assert "literal_commands import enter; enter()" in (BIN / name).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".", "docs", "corpora/sample"])
@pytest.mark.parametrize(
    "line",
    [
        "dagster asset materialize --select raw_dialog --partition en",
        "dg launch --assets raw_dialog --partition en",
    ],
)
def test_the_literal_commands_work_word_for_word_in_any_folder(
    cyrene: Command, commands: Path, line: str, folder: str
) -> None:
    assert cyrene.run("init").returncode == 0
    (cyrene.root / "docs").mkdir(exist_ok=True)
    # A folder that is a link leads out of the project.
    (cyrene.root / "corpora").unlink()
    (cyrene.root / "corpora" / "sample").mkdir(parents=True)
    done = shell(cyrene.root / folder, line, commands)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(cyrene.run("artifacts", "--json").stdout)
    assert (row["asset"], row["partition"]) == ("raw_dialog", "en")
    assert Path(row["path"]).is_relative_to(cyrene.home / "store")
    # Nothing is left behind where the command was given.
    left = {path.name for path in (cyrene.root / "docs").iterdir()}
    assert left == set()


@pytest.mark.slow
def test_asset_list_lists_the_assets_in_any_folder(cyrene: Command, commands: Path) -> None:
    assert cyrene.run("init").returncode == 0
    (cyrene.root / "docs").mkdir()
    done = shell(cyrene.root / "docs", "dagster asset list", commands)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"raw_dialog", "fp8_model", "scoreboard"} <= set(done.stdout.split())


@pytest.mark.slow
def test_a_run_of_fp8_model_names_what_is_missing_and_nothing_of_arguments(
    cyrene: Command, commands: Path
) -> None:
    assert cyrene.run("init").returncode == 0
    (cyrene.root / "docs").mkdir()
    line = "dagster asset materialize --select fp8_model --partition 4B"
    done = shell(cyrene.root / "docs", line, commands)
    assert done.returncode != 0
    assert "Invalid set of CLI arguments" not in done.stderr
    assert "nothing was begun" in done.stdout + done.stderr


SHELLS = {"bash": "activate", "fish": "activate.fish", "tcsh": "activate.csh"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHELLS)
def test_an_activated_environment_has_the_commands_and_no_variable_more(
    inside: Command, name: str
) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    assert inside.run("init").returncode == 0
    activate = f"{'.' if name == 'bash' else 'source'} {BIN / SHELLS[name]}"
    said = in_shell(name, f"{activate}; dagster asset list; env", inside.root / "docs")
    assert "fp8_model" in said
    assert not [line for line in said if line.startswith(("DAGSTER_", "CYRENE_"))]


def test_another_projects_environment_activated_after_this_one_is_as_it_was(
    inside: Command, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(theirs)], check=True)
    own = theirs / "bin" / "dagster"
    own.write_text("#!/bin/sh\npwd; env\n", encoding="utf-8")
    own.chmod(0o755)
    line = f". {BIN / 'activate'}; . {theirs / 'bin' / 'activate'}; dagster asset list"
    said = in_shell("bash", line, theirs)
    assert said[0] == str(theirs)
    assert not [line for line in said if line.startswith(("DAGSTER_", "CYRENE_"))]


def in_shell(name: str, line: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [str(shutil.which(name)), "-c", line],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
