import re
import subprocess
import sys
from pathlib import Path

import pytest

from cyrene_assets.compute import toolchains
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.program_environment import VLLM_PLUGIN, linked_package
from cyrene_assets.compute.toolchains import (
    LOCKS,
    SERVE,
    STAMP,
    TOOLCHAINS,
    TRAIN,
    Toolchain,
    install,
    versions,
)
from cyrene_assets.utils.errors import BuildError, UserError


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for toolchain in TOOLCHAINS.values():
        monkeypatch.delenv(toolchain.variable, raising=False)


def interpreter(folder: Path) -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (folder / STAMP).write_text("")
    return python


def test_an_interrupted_installation_is_none(tmp_path: Path) -> None:
    own = interpreter(tmp_path / "envs" / "train")
    assert TRAIN.find(tmp_path) == own
    (tmp_path / "envs" / "train" / STAMP).unlink()
    with pytest.raises(UserError, match="`cyrene toolchain install train`"):
        TRAIN.python(tmp_path)


def test_a_variable_goes_before_the_homes_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TRAIN.find(tmp_path) is None
    own = interpreter(tmp_path / "envs" / "train")
    assert TRAIN.find(tmp_path) == TRAIN.python(tmp_path) == own
    assert SERVE.find(tmp_path) is None
    monkeypatch.setenv("CYRENE_TRAIN_PYTHON", sys.executable)
    assert TRAIN.python(tmp_path) == Path(sys.executable)
    monkeypatch.setenv("CYRENE_TRAIN_PYTHON", str(tmp_path / "not there"))
    assert TRAIN.find(tmp_path) is None


def test_a_toolchain_that_is_not_there_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError) as caught:
        SERVE.python(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "envs" / "serve") in message
    assert "run `cyrene toolchain install serve`" in message
    assert "CYRENE_SERVE_PYTHON" in message
    plain_file = tmp_path / "python"
    plain_file.write_text("not a program", encoding="utf-8")
    monkeypatch.setenv("CYRENE_SERVE_PYTHON", str(plain_file))
    with pytest.raises(UserError, match=f"CYRENE_SERVE_PYTHON={plain_file} has no interpreter"):
        SERVE.python(tmp_path)


def test_a_gpu_decides_on_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hardware, "detect", Hardware)
    assert [t.lock() for t in (TRAIN, SERVE)] == [LOCKS / "train.txt", LOCKS / "serve-cpu.txt"]
    # Hidden, or out of order: its environment stays.
    for found in (Hardware((), "580.1"), Hardware(fault="the driver does not answer")):
        monkeypatch.setattr(Hardware, "detect", lambda found=found: found)
        assert [t.lock() for t in (TRAIN, SERVE)] == [
            LOCKS / "train-cuda.txt",
            LOCKS / "serve-cuda.txt",
        ]


@pytest.mark.parametrize("path", sorted(LOCKS.glob("*.txt")), ids=lambda path: path.stem)
def test_locks_pin_every_package(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line.strip() and not line.lstrip().startswith(("#", "-"))]
    assert len(pinned) > 20
    for line in pinned:
        assert "==" in line or " @ https://" in line, line


def test_versions_are_the_interpreters_own(tmp_path: Path) -> None:
    found = versions(Path(sys.executable), ("dagster", "click", "no-such-package"))
    assert found.keys() == {"python", "dagster", "click"}
    assert found["python"] == sys.version.split()[0]
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    with pytest.raises(BuildError, match="does not run: it is broken"):
        versions(broken, ("dagster",))


def test_an_interpreter_that_cannot_be_started(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/not/there\n", encoding="utf-8")
    broken.chmod(0o755)
    with pytest.raises(BuildError, match="does not run"):
        versions(broken, ("click",))


def test_the_link_holds_this_package_and_the_plug_in_s_announcement_alone(tmp_path: Path) -> None:
    folder = linked_package(tmp_path / "work")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["cyrene_assets", "cyrene_vllm_plugin-1.dist-info"]
    package = Path(toolchains.__file__).parents[1]
    assert (folder / "cyrene_assets").readlink() == package
    (folder / "cyrene_assets").unlink()
    (folder / "cyrene_assets").symlink_to(tmp_path / "a package that moved")
    assert linked_package(tmp_path / "work") == folder
    assert (folder / "cyrene_assets").readlink() == package


def test_linked_package_announces_the_plug_in_to_every_python_that_has_it(tmp_path: Path) -> None:
    folder = linked_package(tmp_path / "work")
    announced = folder / "cyrene_vllm_plugin-1.dist-info" / "entry_points.txt"
    announced.write_text("[vllm.general_plugins]\nold = gone\n", encoding="utf-8")
    assert linked_package(tmp_path / "work") == folder
    code = (
        "import importlib.metadata as m\n"
        "(found,) = m.entry_points(group='vllm.general_plugins')\n"
        "print(found.name, found.load().__module__, m.version('cyrene-vllm-plugin'))"
    )
    # A Python of its own, without this test's: the one that a toolchain has.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [VLLM_PLUGIN, "cyrene_assets.workers.serve.vllm_plugin", "1"]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Toolchain:
    """A toolchain without packages, which needs no index to be made."""
    monkeypatch.setattr(toolchains, "LOCKS", tmp_path)
    (tmp_path / "toy.txt").write_text("# nothing\n", encoding="utf-8")
    return Toolchain("toy", "CYRENE_TOY_PYTHON", "toy.txt", "toy.txt", ("uv",))


def test_an_environment_is_made_once_and_renewed_with_its_lock(
    toy: Toolchain, tmp_path: Path
) -> None:
    said: list[str] = []
    home = tmp_path / "home"
    python = install(toy, home, said.append)
    assert python == toy.python(home)
    assert versions(python, ("uv",)).keys() == {"python"}
    (toy.folder(home) / "mark").touch()
    assert install(toy, home, said.append) == python
    assert (toy.folder(home) / "mark").exists()
    (tmp_path / "toy.txt").write_text("# nothing else\n", encoding="utf-8")
    install(toy, home, said.append)
    assert not (toy.folder(home) / "mark").exists()
    assert ["installing" in line for line in said] == [True, False, True]
    assert "up to date" in said[1]


def test_a_lock_that_cannot_be_installed_is_no_environment(toy: Toolchain, tmp_path: Path) -> None:
    (tmp_path / "toy.txt").write_text("toy @ file:///not/there.whl\n", encoding="utf-8")
    with pytest.raises(BuildError, match=r"uv pip install failed: .*there\.whl"):
        install(toy, tmp_path / "home", lambda _: None)
    # Half an environment is not taken for one.
    (tmp_path / "toy.txt").write_text("# nothing\n", encoding="utf-8")
    said: list[str] = []
    install(toy, tmp_path / "home", said.append)
    assert "installing" in said[0]


def test_a_home_that_cannot_be_written(toy: Toolchain, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way", encoding="utf-8")
    with pytest.raises(UserError, match="expected a folder, found a file"):
        install(toy, tmp_path / "home", lambda _: None)


@pytest.mark.parametrize("lock", ["train", "train-cuda", "serve-cpu", "serve-cuda"])
def test_lock_takes_no_local_build_of_torch(lock: str) -> None:
    """Compiled code of one build of torch does not load with another, such as ``2.13.0+cpu``."""
    lines = (LOCKS / f"{lock}.txt").read_text("utf-8").splitlines()
    found = [line for line in lines if re.match(r"(torch|torchvision|torchaudio)=", line)]
    assert len(found) >= 2
    for line in found:
        assert re.fullmatch(r"[a-z]+===[\d.]+", line), line
