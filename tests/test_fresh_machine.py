"""The script that tries a bare Debian; running it takes root and half an hour."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "fresh_machine"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_help_names_what_it_needs() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "It needs root, debootstrap" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("--demos", "trixie"), ("--demo",)])
def test_arguments_that_say_nothing_are_refused(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_a_machine_without_debootstrap_is_told_what_to_install(tmp_path: Path) -> None:
    for name in ("bash", "env", "id", "git", "dirname"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = run("trixie", PATH=str(tmp_path))
    assert done.returncode == 1
    wanted = "apt-get install debootstrap" if os.geteuid() == 0 else "run it with sudo"
    assert wanted in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_holds_no_address_of_a_machine() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert not re.search(r"https?://|\b\d+\.\d+\.\d+\.\d+\b", text)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
