import sys
from pathlib import Path

import pytest

from cyrene_assets.compute import nvidia_driver
from cyrene_assets.compute.cpu import read_cpuinfo
from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.compute.nvidia_driver import no_driver_problem, nvidia_devices
from cyrene_assets.compute.platform_support import (
    cpu_problem,
    cuda_of_lock,
    cuda_of_packages,
    driver_problem,
    platform_problem,
)
from cyrene_assets.compute.toolchains import LOCKS

GPU = Gpu("NVIDIA H100", 80 * GIB, (9, 0))
# As /proc/cpuinfo of an Intel Xeon X5670 (2010) has it.
WESTMERE = (
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush dts acpi mmx "
    "fxsr sse sse2 ss ht tm pbe syscall nx pdpe1gb rdtscp lm constant_tsc pni pclmulqdq ssse3 cx16 "
    "sse4_1 sse4_2 popcnt aes lahf_lm"
)


def test_platform_problem_on_this_machine_is_none() -> None:
    assert platform_problem() is None


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [
        ("linux", "x86_64", None),
        ("linux", "aarch64", None),
        ("linux", "ppc64le", "Linux on ppc64le"),
        ("darwin", "arm64", "vLLM has no wheels for macOS (arm64)"),
        ("win32", "AMD64", "vLLM has no wheels for Windows (AMD64)"),
    ],
)
def test_platform_problem_names_the_system_and_what_works(
    system: str, machine: str, expected: str | None
) -> None:
    found = platform_problem(system, machine)
    if expected is None:
        assert found is None
        return
    assert expected in str(found)
    assert "\n" not in str(found)
    assert ("container" in str(found)) == (system != "linux")
    assert ("WSL 2" in str(found)) == (system == "win32")


def test_cpu_problem_of_this_machine_is_none() -> None:
    assert cpu_problem() is None


def test_cpu_problem_of_an_old_cpu_names_what_it_lacks() -> None:
    text = f"processor\t: 0\nmodel name\t: Xeon X5670\nflags\t\t: {WESTMERE}\n"
    found = str(cpu_problem(read_cpuinfo(text, "x86_64")))
    assert "AVX2" in found
    assert "Xeon X5670" in found
    assert "use a newer CPU" in found
    assert cpu_problem(read_cpuinfo(text.replace("\n", " avx avx2 fma\n"), "x86_64")) is None


def write_device(folder: Path, vendor: str, kind: str, driver: str | None = None) -> None:
    folder.mkdir()
    (folder / "vendor").write_text(f"{vendor}\n", encoding="ascii")
    (folder / "class").write_text(f"{kind}\n", encoding="ascii")
    if driver is not None:
        (folder / "driver").symlink_to(folder.parent / "drivers" / driver)


def test_nvidia_devices_are_its_gpus_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nvidia_driver, "PCI_DEVICES", tmp_path)
    assert nvidia_devices() == []
    write_device(tmp_path / "0000:01:00.0", "0x10de", "0x030000", "nouveau")
    write_device(tmp_path / "0000:01:00.1", "0x10de", "0x040300", "snd_hda_intel")
    write_device(tmp_path / "0000:02:00.0", "0x10de", "0x030200", "vfio-pci")
    write_device(tmp_path / "0000:03:00.0", "0x10de", "0x030200")
    write_device(tmp_path / "0000:04:00.0", "0x1002", "0x030000", "amdgpu")
    (tmp_path / "0000:05:00.0").mkdir()
    assert nvidia_devices() == ["0000:01:00.0", "0000:03:00.0"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells")
def test_nvidia_devices_of_this_machine_are_what_the_driver_finds() -> None:
    """Real: where a driver answers, it has as many GPUs as PCI; where none does, there is none."""
    hardware = Hardware.detect()
    assert hardware.fault is None
    assert bool(nvidia_devices()) or not hardware.gpus


def test_no_driver_problem_names_the_device_and_the_remedies() -> None:
    assert no_driver_problem([]) is None
    found = str(no_driver_problem(["0000:01:00.0", "0000:02:00.0"]))
    assert "(PCI 0000:01:00.0, 0000:02:00.0) and no driver" in found
    assert "580 or later" in found
    assert "CUDA_VISIBLE_DEVICES=" in found


def test_cuda_of_lock_reads_the_lock_files_that_ship() -> None:
    for name in ("train-cuda.txt", "serve-cuda.txt"):
        assert cuda_of_lock(LOCKS / name) == 13
    assert cuda_of_lock(LOCKS / "orchestrator.txt") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nvidia-cuda-runtime==13.0.96 ; sys_platform == 'linux'", 13),
        ("nvidia-cuda-runtime-cu12==12.8.90", 12),
        ("nvidia-cudnn-cu13==9.20.0.48", None),
        ("torch==2.14.0", None),
    ],
)
def test_cuda_of_packages_reads_both_ways_of_naming_the_runtime(
    line: str, expected: int | None
) -> None:
    assert cuda_of_packages(["accelerate==1.15.0", line]) == expected


def test_driver_problem_compares_cuda_releases() -> None:
    old = Hardware((GPU,), "570.124.06", cuda=(12, 8))
    found = str(driver_problem(old, 13))
    assert "the NVIDIA driver 570.124.06 is too old: it goes up to CUDA 12.8" in found
    assert "built for CUDA 13: install driver 580 or later" in found
    assert driver_problem(old, 12) is None
    assert driver_problem(old, None) is None
    assert driver_problem(Hardware((GPU,), "580.95", cuda=(13, 0)), 13) is None
    assert driver_problem(Hardware((GPU,), "610.1", cuda=(14, 0)), 13) is None
    # The GPUs are hidden, or nothing is known of the driver.
    assert driver_problem(Hardware((), "570.124.06", cuda=(12, 8)), 13) is None
    assert driver_problem(Hardware((GPU,), "570.124.06"), 13) is None
    assert "install a later driver" in str(driver_problem(old, 15))
