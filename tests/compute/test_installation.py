import shutil
import sys
from pathlib import Path

import pytest

from compute.compiled import MATH, SUFFIX, bundled, environment, needing
from cyrene_assets.compute import installation, numa, toolchains
from cyrene_assets.compute.hardware import Gpu, Hardware
from cyrene_assets.compute.installation import early_problems, load_all
from cyrene_assets.compute.library_check import unloadable
from cyrene_assets.compute.toolchains import SERVE, STAMP, TOOLCHAINS, TRAIN
from cyrene_assets.utils.errors import BuildError

H100 = Gpu("NVIDIA H100", 80 << 30, (9, 0), "GPU-1")
ALL = tuple(TOOLCHAINS.values())


@pytest.fixture(autouse=True)
def _on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hardware, "detect", Hardware)
    monkeypatch.setattr(installation, "wheel_problem", lambda *_: None)
    monkeypatch.setattr(installation, "cpu_problem", lambda: None)
    monkeypatch.setattr(installation, "platform_problem", lambda: None)


def test_early_problems_of_another_system_is_that_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "platform_problem", lambda: "no wheels for macOS")
    monkeypatch.setattr(installation, "cpu_problem", lambda: "an old CPU")
    assert early_problems(ALL, tmp_path, Hardware()) == ["no wheels for macOS"]


def test_early_problems_looks_only_at_what_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def without(lock: Path, *_: object) -> str:
        looked.append(lock.name)
        return f"{lock.name}: no wheel"

    monkeypatch.setattr(installation, "wheel_problem", without)
    assert early_problems([TRAIN], tmp_path, Hardware()) == ["train.txt: no wheel"]
    assert looked == ["train.txt"]
    folder = TRAIN.folder(tmp_path)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / STAMP).write_bytes(TRAIN.lock().read_bytes())
    assert early_problems(ALL, tmp_path, Hardware()) == ["serve-cpu.txt: no wheel"]
    assert looked == ["train.txt", "serve-cpu.txt"]


def test_early_problems_on_a_cpu_that_vllm_refuses_spares_the_look_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "cpu_problem", lambda: "needs AVX2")
    monkeypatch.setattr(installation, "wheel_problem", lambda *_: pytest.fail("looked up"))
    assert early_problems([SERVE], tmp_path, Hardware()) == ["needs AVX2"]


def test_early_problems_of_a_gpu_that_cannot_be_had_spares_the_look_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "wheel_problem", lambda *_: pytest.fail("looked up"))
    fault = "this machine has an NVIDIA GPU and no driver: install it, or set CUDA_VISIBLE_DEVICES="
    assert early_problems(ALL, tmp_path, Hardware(fault=fault)) == [fault]


def test_early_problems_with_a_gpu_needs_driver_compiler_and_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Hardware((H100,), "535.1", cuda=(12, 2))
    monkeypatch.setattr(Hardware, "detect", lambda: old)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    driver, compiler = early_problems(ALL, tmp_path, old)
    assert "the NVIDIA driver 535.1 is too old" in driver
    assert "there is no C compiler" in compiler
    new = Hardware((H100,), "580.1", cuda=(13, 0))
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr(installation, "python_header", lambda _: tmp_path / "Python.h")
    (line,) = early_problems(ALL, tmp_path, new)
    assert "Triton compiles against" in line
    (tmp_path / "Python.h").touch()
    assert early_problems(ALL, tmp_path, new) == []


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A serve environment of this home whose modules are Pillow's."""
    monkeypatch.setattr(installation, "_MODULES", {SERVE.name: ("_imagingmath",)})
    python, packages = environment(SERVE.folder(tmp_path))
    (packages / f"_imagingmath{SUFFIX}").write_bytes(MATH.read_bytes())
    return python, packages


def test_load_all_says_what_the_system_lacks_each_time_until_it_loads(
    tmp_path: Path, served: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    python, packages = served
    monkeypatch.setattr(installation, "can_load", lambda *_: True)
    module = packages / f"_imagingmath{SUFFIX}"
    module.write_bytes(needing("libq.so.6"))
    for _ in range(2):
        (line,) = load_all(SERVE, python, tmp_path, pytest.fail)
        assert line.startswith(f"this system has no libq.so.6, which {module.name} needs")
    module.write_bytes(MATH.read_bytes())
    assert load_all(SERVE, python, tmp_path, pytest.fail) == []
    # Once it has loaded, nothing is started again.
    monkeypatch.setattr(installation, "unloadable", lambda *_: pytest.fail("looked again"))
    assert load_all(SERVE, python, tmp_path, pytest.fail) == []


def test_load_all_brings_numa_where_the_system_has_none(
    tmp_path: Path, served: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    python, _ = served
    answers = iter([False])
    monkeypatch.setattr(installation, "can_load", lambda *_: next(answers))

    def carried(*arguments: str) -> None:
        folder = Path(arguments[arguments.index("--target") + 1]) / "nixl_cu12.libs"
        folder.mkdir()
        shutil.copyfile(bundled(), folder / "libnuma-0123abcd.so.1.0.0")

    monkeypatch.setattr(installation, "run_uv", carried)
    said: list[str] = []
    assert load_all(SERVE, python, tmp_path, said.append) == []
    assert said == [f"serve: this system has no libnuma.so.1: taken from {numa.CARRIER}"]
    assert (SERVE.folder(tmp_path) / "lib" / numa.LIBRARY).is_file()


def test_load_all_without_the_wheel_says_so_and_names_the_systems_package(
    tmp_path: Path, served: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    python, packages = served
    (packages / f"_imagingmath{SUFFIX}").write_bytes(needing("libq.so.6"))
    monkeypatch.setattr(installation, "can_load", lambda *_: False)

    def refused(*_: str) -> None:
        raise BuildError("the index does not answer")

    monkeypatch.setattr(installation, "run_uv", refused)
    said: list[str] = []
    (line,) = load_all(SERVE, python, tmp_path, said.append)
    assert "does not come with the environment (the index does not answer)" in said[0]
    assert "this system has no libq.so.6" in line


@pytest.mark.slow
def test_load_all_of_the_installed_toolchains_finds_nothing(
    tmp_path: Path, toolchain_environment: dict[str, str]
) -> None:
    for toolchain in ALL:
        python = Path(toolchain_environment[toolchain.variable])
        files = ["vllm/_C.abi3.so"] if toolchain is SERVE else []
        modules = installation._MODULES[toolchain.name]
        assert toolchains.versions(python, toolchain.packages)
        assert unloadable(python, modules, files) == []
