import sys
from dataclasses import replace
from pathlib import Path

import pytest

from compute.compiled import IMAGING, MATH, SITE, SUFFIX, environment, linked_by_the_loader, needing
from cyrene_assets.compute.library_check import (
    Packages,
    _exports,
    can_load,
    packages_of,
    unloadable,
)
from cyrene_assets.utils.errors import BuildError

PYTHON = Path(sys.executable)
ABSENT = "libq.so.6"


def test_from_the_system_has_what_the_loader_takes_from_the_system() -> None:
    found = Packages(SITE).from_the_system()
    assert packages_of(PYTHON) == SITE
    modules = [*SITE.glob(f"numpy/_core/*{SUFFIX}"), IMAGING, *SITE.glob("tokenizers/*.abi3.so")]
    assert len(modules) > 5
    for module in modules:
        assert linked_by_the_loader(module) <= found.keys(), module
    assert found["libz.so.1"] <= IMAGING.relative_to(SITE).as_posix()
    # What the wheels bring along is none of the system's.
    assert not [name for name in found if "openblas" in name or "gfortran" in name]


def test_from_the_system_follows_libraries_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    name = f"pkg/_module{SUFFIX}"
    (tmp_path / name).write_bytes(needing(ABSENT))
    assert Packages(tmp_path).from_the_system()[ABSENT] == name
    (tmp_path / "pkg" / ABSENT).write_bytes(needing("libw.so.6"))
    found = Packages(tmp_path).from_the_system()
    assert ABSENT not in found
    assert found["libw.so.6"] == f"pkg/{ABSENT}"


@pytest.mark.parametrize("name", ["transport.so.3", "libtransport.so", "libtransport.so.1.2"])
def test_from_the_system_of_plug_ins_alone_is_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(needing(ABSENT))
    assert Packages(tmp_path).from_the_system() == {}


@pytest.mark.parametrize("name", ["tbbpool", "omppool"])
def test_from_the_system_without_a_threading_layer_of_numba_is_nothing(
    tmp_path: Path, name: str
) -> None:
    """numba imports them where they load, and has one of its own."""
    folder = tmp_path / "numba" / "np" / "ufunc"
    folder.mkdir(parents=True)
    (folder / f"{name}{SUFFIX}").write_bytes(needing(ABSENT))
    assert Packages(tmp_path).from_the_system() == {}
    (folder / f"workqueue{SUFFIX}").write_bytes(needing(ABSENT))
    assert ABSENT in Packages(tmp_path).from_the_system()


def test_a_module_is_told_by_what_it_exports() -> None:
    """As Triton's libtriton.so, whose name is a library's."""
    assert _exports(MATH, "PyInit__imagingmath")
    assert not _exports(MATH, "PyInit__imaging")


def test_from_the_system_leaves_out_the_driver_and_what_is_no_library(tmp_path: Path) -> None:
    module = tmp_path / f"_gpu{SUFFIX}"
    module.write_bytes(MATH.read_bytes())
    (tmp_path / "script.so").write_text("GROUP ( libc.so.6 )", encoding="utf-8")
    found = Packages(tmp_path).from_the_system()
    assert found.keys() >= {"libm.so.6", "libc.so.6"}
    assert "script.so" not in found.values()
    library = Packages(tmp_path)
    library._libraries[module.name] = replace(
        library._libraries[module.name], needs=("libcuda.so.1", "libm.so.6")
    )
    assert library.from_the_system() == {"libm.so.6": module.name}


def test_unloadable_on_a_whole_environment_is_nothing() -> None:
    assert unloadable(PYTHON, ["numpy", "tokenizers"], ["PIL/_imaging.so"]) == []


def test_unloadable_names_a_missing_library_once_with_its_remedy(tmp_path: Path) -> None:
    python, packages = environment(tmp_path / "env")
    assert unloadable(python) == []
    name = f"_imagingmath{SUFFIX}"
    (packages / name).write_bytes(needing(ABSENT))
    (line,) = unloadable(python, ["_imagingmath"], [name, "not/there.so"])
    assert line.startswith(f"this system has no {ABSENT}, which {name} needs: install the package")
    assert f"apt-file search {ABSENT}" in line


def test_unloadable_tells_of_modules_and_files_that_fail_otherwise(tmp_path: Path) -> None:
    python, packages = environment(tmp_path / "env")
    (packages / "odd.py").write_text(
        "raise RuntimeError('operator torchvision::nms\\ndoes not exist')", encoding="utf-8"
    )
    (packages / "half.so").write_bytes(MATH.read_bytes()[:16])
    module, file = unloadable(python, ["odd"], ["half.so"])
    assert module.startswith(f"odd does not load in {python} (RuntimeError: operator torchvision::")
    assert file.startswith(f"{packages / 'half.so'} does not load in {python} (")
    assert "\n" not in module + file


def test_unloadable_with_an_interpreter_that_does_not_run_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    with pytest.raises(BuildError, match="does not run: No such file"):
        unloadable(broken)
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    with pytest.raises(BuildError, match="does not run: it is broken"):
        unloadable(broken)
    broken.write_text("#!/bin/sh\nkill -ILL $$\n", encoding="utf-8")
    with pytest.raises(BuildError, match="was killed by signal 4"):
        unloadable(broken)


def test_loads_looks_in_the_system() -> None:
    assert can_load(PYTHON, "libc.so.6")
    assert not can_load(PYTHON, ABSENT)
