"""A small sample of what `make torture` does in full; nothing may be lost."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torture.jobs import SAMPLE

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows(
    tmp_path_factory: pytest.TempPathFactory, toolchain_environment: dict[str, str]
) -> dict[tuple[str, str], dict[str, Any]]:
    """The sample's rows, by job and stage."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler, with which disks fail and clocks are set back")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torture", "sample", "--seed", "1"),
            *("--folder", str(tmp_path_factory.mktemp("torture"))),
        ],
        env={**os.environ, **toolchain_environment, "PYTHONPATH": str(ROOT / "tests")},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"job"')]
    return {(row["job"], row["stage"]): row for row in found}


@pytest.mark.parametrize(("job", "stage", "times"), SAMPLE)
def test_nothing_is_lost(
    rows: dict[tuple[str, str], dict[str, Any]], job: str, stage: str, times: int
) -> None:
    row = next(row for (name, _), row in rows.items() if name == job and row["times"] == times)
    assert row["lost"] == []
    if job == "kills":
        assert rows[job, stage]["lost"] == []
        assert sum(rows[job, stage]["kills"].values()) == times
    if job == "disks":
        assert row["ends"] == {"an error in words": times}
    if job == "cancel":
        assert row["cancelled"] == times
