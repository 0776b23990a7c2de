"""What the command loads: counted by modules, for time depends on the machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import linked_root

# What takes long to load, and what only some commands use.
_HEAVY = {
    *("dagster", "dagster_shared", "sqlalchemy", "alembic", "pydantic", "rich", "yaml", "jinja2"),
    *("msgspec", "polars", "numpy", "scipy", "sklearn", "matplotlib", "tokenizers", "openai"),
    *("httpx2", "huggingface_hub", "prompt_toolkit", "torch"),
}
_LOADED = """
import sys
from cyrene_assets.cli.main import main
try:
    main(sys.argv[1:], prog_name="cyrene")
finally:
    print("loaded:", *sys.modules, file=sys.stderr)
"""


def loaded(*arguments: str, **variables: str) -> tuple[set[str], str]:
    """Return the modules that a command loads in a process of its own, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    messages, mark, modules = done.stderr.rpartition("loaded: ")
    assert mark, messages
    return set(modules.split()), done.stdout


def heavy(modules: set[str]) -> set[str]:
    """Return which of the modules are of heavy packages."""
    return {name for name in modules if name.partition(".")[0] in _HEAVY}


@pytest.mark.parametrize("line", ["--version", "--help", "build --help", "chat -h", "recipe -h"])
def test_help_and_version_load_nothing_heavy(line: str) -> None:
    modules, printed = loaded(*line.split())
    assert "click" in modules
    assert printed.startswith(("cyrene", "Usage:"))
    assert heavy(modules) == set()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("cyrene bu", "plain,build"),
        ("cyrene corpus im", "plain,import"),
        ("cyrene gc --d", "--dry"),
    ],
)
def test_completion_loads_nothing_heavy(words: str, offered: str) -> None:
    modules, printed = loaded(
        _CYRENE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    assert offered in printed
    assert heavy(modules) == set()


# What Dagster opens its databases with; nothing of it is needed where nothing is to do.
_STORAGE = {
    *("sqlalchemy", "alembic", "dagster._core.storage.runs", "dagster._core.storage.event_log"),
    *("dagster._core.storage.schedules", "dagster._daemon", "structlog"),
}
_NEVER = {"polars", "numpy", "scipy", "sklearn", "matplotlib", "tokenizers", "openai", "torch"}


@pytest.fixture(scope="module")
def variables(built: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process on a project whose corpus assets are built and known."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(built / "home", folder / "home")
    variables = {
        "PYTHONPATH": str(linked_root(folder / "root")),
        "CYRENE_HOME": str(folder / "home"),
        "DAGSTER_HOME": str(folder / "instance"),
    }
    # Makes the instance, as Dagster's defaults have it, and records in it what is built.
    _, printed = loaded("status", **variables)
    assert "up to date" in printed
    return variables


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("status", "up to date"),
        ("artifacts", "parallel_corpus"),
        ("build --plan --to parallel_corpus", "nothing to build"),
        ("build --to parallel_corpus", "nothing to do"),
    ],
)
def test_looking_where_all_is_up_to_date_opens_no_database_with_dagster(
    variables: dict[str, str], line: str, says: str
) -> None:
    modules, printed = loaded(*line.split(), **variables)
    assert says in printed
    assert modules & _STORAGE == set()
    assert modules & _NEVER == set()
    assert "dagster.components" in modules


def test_doctor_of_a_healthy_instance_loads_no_dagster(variables: dict[str, str]) -> None:
    modules, printed = loaded("doctor", **variables)
    assert "disk free" in printed
    assert modules & {"dagster", *_STORAGE, *_NEVER} == set()
