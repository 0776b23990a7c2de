"""The contracts of pyproject.toml see what they are about: planted imports break them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

BROKEN = {
    "checkpoints/files.py": ("import torch\n", "torch is in the toolchains alone"),
    "training/swift_args.py": (
        "def late() -> None:\n    import transformers\n",
        "the train toolchain's libraries are imported by its programs",
    ),
    "workers/train/merge.py": (
        "import vllm\n",
        "the serve toolchain's library is imported by its programs",
    ),
    "orchestration/planner.py": (
        "def late() -> None:\n    from cyrene_assets.cli.main import main\n",
        "a package imports from the layers under it alone",
    ),
    "store/manifest.py": (
        "def late() -> None:\n    from cyrene_assets.store import artifact_store\n",
        "no cycle among packages or modules",
    ),
    "serving/server.py": (
        "from cyrene_assets.workers.serve import serve\n",
        "workers are imported by nobody",
    ),
    "corpus/config.py": (
        "from cyrene_assets.defs import _evaluation\n",
        "a module with an underscore is imported in its package alone",
    ),
    "evaluation/metrics/style.py": ("import dagster\n", "what knows no Dagster"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "cyrene_assets", folder / "cyrene_assets")
    return folder


def test_lint_imports_of_the_package_finds_nothing(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


def test_lint_imports_of_planted_imports_names_every_contract(copy: Path) -> None:
    for name, (text, _) in BROKEN.items():
        path = copy / "cyrene_assets" / name
        path.write_text(path.read_text("utf-8") + text, encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1
    kept = {line for line in done.stdout.splitlines() if line.endswith(" KEPT")}
    for name, (_, contract) in BROKEN.items():
        assert not [line for line in kept if contract in line], name
