"""What the command loads: counted by modules, for time depends on the machine."""

import os
import subprocess
import sys

import pytest

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
    print(*{name.partition(".")[0] for name in sys.modules}, sep="\\n", file=sys.stderr)
"""


def loaded(*arguments: str, **variables: str) -> tuple[set[str], str]:
    """Return the packages that a command loads in a process of its own, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split()), done.stdout


@pytest.mark.parametrize("line", ["--version", "--help", "build --help", "chat -h", "recipe -h"])
def test_help_and_version_load_nothing_heavy(line: str) -> None:
    modules, printed = loaded(*line.split())
    assert "click" in modules
    assert printed.startswith(("cyrene", "Usage:"))
    assert modules & _HEAVY == set()


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
    assert modules & _HEAVY == set()
