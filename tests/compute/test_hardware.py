from pathlib import Path

import pynvml
import pytest

from cyrene_assets.compute import nvidia_driver
from cyrene_assets.compute.hardware import GIB, Gpu, Hardware, visible

A = Gpu("A", 24 * GIB, (8, 6), "GPU-aaaa1111")
B = Gpu("B", 80 * GIB, (9, 0), "GPU-bbbb2222")


def test_smallest_gpu_and_oldest_capability_decide() -> None:
    hardware = Hardware((A, B))
    assert hardware.memory == 24 * GIB
    assert hardware.capability == (8, 6)
    assert hardware.describe() == "A (24 GiB, sm_86), B (80 GiB, sm_90)"


def test_no_gpu_is_the_cpu() -> None:
    assert Hardware().memory == 0
    assert Hardware().capability == (0, 0)
    assert Hardware().describe() == "no NVIDIA GPU: the CPU"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, (A, B)),
        ("0,1", (A, B)),
        ("1, 0", (B, A)),
        ("1", (B,)),
        ("GPU-bbbb", (B,)),
        ("", ()),
        ("-1", ()),
        ("1,7,0", (B,)),
        ("GPU-", ()),
        ("²", ()),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(
    value: str | None, expected: tuple[Gpu, ...]
) -> None:
    assert visible([A, B], value) == expected


@pytest.mark.parametrize(
    "error", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED]
)
def test_detect_without_a_driver_tells_a_gpu_from_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: int
) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(error)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    monkeypatch.setattr(nvidia_driver, "PCI_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert Hardware.detect() == Hardware()
    device = tmp_path / "0000:3b:00.0"
    device.mkdir()
    (device / "vendor").write_text("0x10de\n", encoding="ascii")
    (device / "class").write_text("0x030200\n", encoding="ascii")
    found = Hardware.detect()
    assert found.gpus == ()
    assert "an NVIDIA GPU (PCI 0000:3b:00.0) and no driver for it: install" in str(found.fault)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Hardware.detect() == Hardware()


def test_a_driver_that_does_not_answer_is_no_machine_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after an update of the driver without a restart."""

    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = Hardware.detect()
    assert found.gpus == ()
    assert str(found.fault).startswith("the NVIDIA driver does not answer (")
    assert "restart the machine" in str(found.fault)
    # Who wants no GPU does not mind.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Hardware.detect() == Hardware()


def test_detection_reads_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        total = 24 * GIB
        used = 0

    for name, value in {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "handle",
        "nvmlDeviceGetName": "A",
        "nvmlDeviceGetMemoryInfo": Memory,
        "nvmlDeviceGetCudaComputeCapability": [8, 6],
        "nvmlDeviceGetUUID": "GPU-aaaa1111",
        "nvmlSystemGetDriverVersion": "580.95",
        "nvmlSystemGetCudaDriverVersion": 13020,
    }.items():
        monkeypatch.setattr(pynvml, name, lambda *_, value=value: value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert Hardware.detect() == Hardware((A,), "580.95", cuda=(13, 2))
    for nothing in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", nothing)
        assert Hardware.detect() == Hardware((), "580.95", cuda=(13, 2))
    # A mistake is not the wish for a CPU.
    for mistake in ("1", "MIG-1234"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mistake)
        found = Hardware.detect()
        assert found.gpus == ()
        assert f"CUDA_VISIBLE_DEVICES={mistake} names no GPU" in str(found.fault)
        assert "0 (GPU-aaaa1111)" in str(found.fault)
