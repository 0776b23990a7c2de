import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from compute.compiled import MATH, bundled, environment
from cyrene_assets.compute import numa
from cyrene_assets.compute.toolchains import run_uv
from cyrene_assets.utils.errors import BuildError

MAPPED = (
    "import ctypes; ctypes.CDLL('libnuma.so.1'); "
    "print(*{line.split()[-1] for line in open('/proc/self/maps') if 'libnuma' in line})"
)


def carried(*arguments: str) -> None:
    """Do as uv does with a wheel that holds a library under a long name."""
    target = Path(arguments[arguments.index("--target") + 1])
    (target / "nixl_cu12.libs").mkdir()
    shutil.copyfile(bundled(), target / "nixl_cu12.libs" / "libnuma-0123abcd.so.1.0.0")
    assert arguments[-1] == numa.CARRIER


def test_rename_makes_a_loaded_library_count_under_its_new_name(tmp_path: Path) -> None:
    copy = tmp_path / "library.so"
    shutil.copyfile(bundled(), copy)
    with pytest.raises(OSError, match="cannot open shared object file"):
        ctypes.CDLL("libqq.so.1")
    numa.set_soname(copy, "libqq.so.1")
    ctypes.CDLL(str(copy))
    ctypes.CDLL("libqq.so.1")


def test_rename_without_room_or_without_a_name_is_an_error(tmp_path: Path) -> None:
    copy = tmp_path / "library.so"
    shutil.copyfile(bundled(), copy)
    before = copy.read_bytes()
    with pytest.raises(BuildError, match="has no room for the name"):
        numa.set_soname(copy, "x" * 99)
    assert copy.read_bytes() == before
    shutil.copyfile(MATH, copy)
    with pytest.raises(BuildError, match="a shared library without a name"):
        numa.set_soname(copy, "libqq.so.1")


def test_bring_makes_every_start_of_the_interpreter_load_it(tmp_path: Path) -> None:
    python, packages = environment(tmp_path / "env")
    brought = numa.install_libnuma(tmp_path / "env", packages, carried)
    assert brought == tmp_path / "env" / "lib" / "libnuma.so.1"

    def said() -> subprocess.CompletedProcess[str]:
        command = [str(python), "-I", "-c", MAPPED]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert said().stdout.split() == [str(brought)]
    # What it was made from is gone, and a library that is gone does no harm.
    assert not list((tmp_path / "env").glob(".numa-*"))
    brought.unlink()
    assert str(brought) not in said().stdout
    assert "cyrene" not in said().stderr


def test_bring_from_a_wheel_without_it_leaves_nothing(tmp_path: Path) -> None:
    _, packages = environment(tmp_path / "env")
    with pytest.raises(BuildError, match=r"holds no nixl_cu12\.libs/libnuma-"):
        numa.install_libnuma(tmp_path / "env", packages, lambda *_: None)
    assert not (tmp_path / "env" / "lib" / numa.LIBRARY).exists()
    assert not list(packages.glob("cyrene*"))


@pytest.mark.slow
@pytest.mark.network
def test_bring_from_the_index_is_libnuma(tmp_path: Path, package_index: None) -> None:
    python, packages = environment(tmp_path / "env")
    brought = numa.install_libnuma(tmp_path / "env", packages, run_uv)
    # Whether the kernel has NUMA, -1 without; and a symbol of the version that vLLM is linked with.
    code = (
        "import ctypes; l = ctypes.CDLL('libnuma.so.1'); "
        "assert l.numa_available() in (0, -1); l.numa_parse_nodestring; " + MAPPED
    )
    done = subprocess.run(
        [str(python), "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [str(brought)], done.stderr
